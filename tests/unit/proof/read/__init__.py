"""Of sendrecv/proof/read: how a journal is read, and what is missing from it.

As all of tests/unit.
"""
