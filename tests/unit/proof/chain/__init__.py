"""Of sendrecv/proof/chain: the chain of audits on the disk, edited, cut off, packed and joined.

As all of tests/unit.
"""
