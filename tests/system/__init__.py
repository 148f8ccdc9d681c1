"""The package, its units and commands on real systemd, in booted throw-away machines.

Runs on each release, as root: `python3 -m pytest tests/system --release trixie -k NAME`. Takes
eight minutes of CPU for each release, and longer than that, because much of it is waiting.
test_chaos.py is a step of its own. Planted violations, which test the checkers, are planted on
Debian 13 alone by the steps; pytest itself leaves nothing out.

Nothing here says how fast something is: each test waits for an event, counts what happened, or
compares with what the same machine took for something else. Limits in seconds are for what hangs.
"""
