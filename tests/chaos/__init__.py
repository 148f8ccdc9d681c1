"""Faults at random, troubles that last, starvation: on real systemd, in booted machines.

`make test` has 120 faults on each release, three troubles of twenty seconds, and fifteen seconds of
starvation, which with the tests of the checker take four to five minutes for each release, one of
them CPU (tests/system/test_chaos.py); and 30 faults on several hosts, which with the tests of their
judges take two to three minutes more (tests/system/test_chaos_hosts.py). As commands they take as
long as one likes: `make chaos FAULTS=`, half a second a fault; `make chaos HOSTS=3 FAULTS=`, two
seconds a fault; `make endure`, an hour; `make starve`, five minutes.
"""
