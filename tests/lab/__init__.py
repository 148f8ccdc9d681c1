"""What tests are done in: machines and hosts that boot, their networks, and the package in them.

Needs root, and systemd-nspawn. reception.py is the real receiver in the process of a unit test,
and needs neither. Its own tests are in tests/unit/lab and tests/system/test_machine.py. The roots
of the machines are made once, in /var/cache/sendrecv-tests; what that takes is in CONTRIBUTING.md.
"""
