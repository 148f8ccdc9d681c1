"""Both ends of a connection, fuzzed by atheris, which sees which lines an input reaches.

Runs in a virtual environment with atheris from PyPI, for as long as one lets it: twenty minutes is
a start. gateway.py has the receiver's end, connection.py the sender's, and they say how. Not part
of `make test`, which has inputs of hypothesis in its place: test_gateway_fuzz.py and
test_connection_fuzz.py in tests/unit.
"""
