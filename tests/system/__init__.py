"""The package, its units and commands on real systemd, in booted throw-away machines.

Runs on each release, as root: `python3 -m pytest tests/system --release trixie -k NAME`. What it
takes: CONTRIBUTING.md. test_chaos.py is a step of its own. `make test` runs some modules on one
release alone (ON_ONE in tests/steps.py), plants violations, which test the checkers, on Debian 13
only, and leaves those of several hosts to `make hosts`. pytest itself leaves nothing out.

Nothing here says how fast something is: each test waits for an event, counts what happened, or
compares with what the same machine took for something else. Limits in seconds are for what hangs.
"""
