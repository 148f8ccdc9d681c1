"""Faults at random, troubles that last, starvation: on real systemd, in booted machines.

`make test` has 120 faults on each release, three troubles of twenty seconds, and fifteen seconds
of starvation (tests/system/test_chaos.py); and 30 faults on several hosts, with the tests of their
judges (tests/system/test_chaos_hosts.py). What these take: CONTRIBUTING.md. As commands they take
as long as one likes: `make chaos FAULTS=`, half a second a fault; `make chaos HOSTS=3 FAULTS=`,
two seconds a fault; `make endure`, two hours; `make starve`, five minutes.
"""
