"""The receiver's gateway, fuzzed by atheris, which sees which lines an input reaches.

Runs in a virtual environment with atheris from PyPI (gateway.py says how), for as long as one lets
it: twenty minutes is a start. Not part of `make test`, which has inputs of hypothesis in its place,
in tests/unit/receiver/test_fuzz_gateway.py.
"""
