"""Faults at random, troubles that last, starvation: on real systemd, in a booted machine.

`make test` has 120 faults on each release, three troubles of twenty seconds, and fifteen seconds of
starvation, which with the tests of the checker take four to five minutes for each release, one of
them CPU (tests/system/test_chaos.py). As commands they take as long as one likes: `make chaos
FAULTS=`, half a second a fault; `make endure`, an hour; `make starve`, five minutes.
"""
