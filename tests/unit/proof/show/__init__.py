"""Of sendrecv/proof/show: report, picture and past, compared word for word.

As all of tests/unit.
"""
