#!/bin/sh
# Makes the files of README.md in this directory.
set -e
cd "$(dirname "$0")"
work=$(mktemp -d)
names=DNS:localhost,DNS:receiver.example,IP:127.0.0.1,IP:192.0.2.1
subject="/CN=sendrecv test"
hosts=DNS:a,DNS:b,DNS:c,IP:127.0.0.1,IP:10.77.0.1,IP:10.77.0.2,IP:10.77.0.3

key() {
    openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$work/$1.key"
}

# Usage: ca NAME
ca() {
    key "$1"
    openssl req -x509 -new -key "$work/$1.key" -subj "/CN=sendrecv test $1" -days 36500 \
        -addext keyUsage=critical,keyCertSign -out "$1.pem"
}

# Usage: leaf NAME CA NAMES [START END], with $subject
leaf() {
    key "$1"
    openssl req -new -key "$work/$1.key" -subj "$subject" -out "$work/$1.csr"
    printf 'subjectAltName=%s\n' "$3" > "$work/ext"
    : > "$work/index"
    cat > "$work/conf" <<END
[ca]
default_ca=test
[test]
database=$work/index
new_certs_dir=$work
rand_serial=yes
default_md=sha256
policy=any
[any]
commonName=optional
organizationName=optional
END
    openssl ca -batch -notext -config "$work/conf" -cert "$2.pem" -keyfile "$work/$2.key" \
        -in "$work/$1.csr" -extfile "$work/ext" -out "$work/$1.crt" \
        -startdate "${4:-20200101000000Z}" -enddate "${5:-21200101000000Z}"
    cat "$work/$1.key" "$work/$1.crt" > "$1.pem"
}

ca ca
ca other-ca
leaf good ca $names
leaf renewed ca $names
leaf expired ca $names 20000101000000Z 20001231000000Z
leaf wrong-name ca DNS:elsewhere.example
leaf other other-ca $names
ca etcd-ca
leaf etcd etcd-ca $hosts
key self-signed
openssl req -x509 -new -key "$work/self-signed.key" -subj "$subject" -days 36500 \
    -addext subjectAltName=$names -out "$work/self-signed.crt"
cat "$work/self-signed.key" "$work/self-signed.crt" > self-signed.pem
# With passwords, etcd's JSON gateway refuses a client whose certificate has a common name.
subject="/O=sendrecv test"
leaf etcd-client etcd-ca DNS:sender.example
rm -r "$work"
