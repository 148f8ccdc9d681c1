"""Of sendrecv/proof/audit: what an hourly audit reads and finds, in journals that are made up.

As all of tests/unit.
"""
