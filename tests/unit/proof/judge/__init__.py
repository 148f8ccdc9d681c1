"""Of sendrecv/proof/judge: what follows from a made-up journal, read at once or in pieces.

As all of tests/unit.
"""
