"""Of sendrecv/sender: the real one, with receivers and members of etcd that misbehave.

As all of tests/unit.
"""
