#!/bin/sh
# Installs those of Debian's packages named here that this machine does not have yet, with fresh
# package lists only if the ones at hand will not do. Says so in one line; apt's output goes to
# .build/log/host.log. In shell, as Python is one of these packages.
set -u
log="$PWD/.build/log/host.log"

if [ "$(id -u)" != 0 ]; then
    echo "run this as root: it boots machines" >&2
    exit 1
fi
dpkg-query -W -f '${db:Status-Status}\n' "$@" 2>&1 | grep -qvx installed || exit 0

install_packages() {
    apt-get install -y --no-install-recommends "$@"
}

started=$(date +%s)
mkdir -p "${log%/*}"
printf "installing Debian's tools on this machine ... " >&2
{
    export DEBIAN_FRONTEND=noninteractive
    install_packages "$@" || { apt-get update && install_packages "$@"; }
} </dev/null >"$log" 2>&1
status=$?
seconds=$(($(date +%s) - started))
if [ "$status" != 0 ]; then
    {
        echo "FAILED after $seconds s"
        tail -n 20 "$log" | sed 's/^/    /'
        echo "log: $log"
    } >&2
    exit 1
fi
echo "$seconds s" >&2
