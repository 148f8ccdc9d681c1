"""Of sendrecv/proof: which verdict a journal gets that is written here, entry by entry.

As all of tests/unit; what takes longest is run on one release (tests/steps.py).
"""
