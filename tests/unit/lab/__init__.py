"""Of the tests themselves: that judges, chaos, bench and steps find what is planted.

Runs on Debian 13 only, in the step unit-trixie: nothing of this is in the package.
"""
