"""All tests, and what they need: see CONTRIBUTING.md for how to run them and what they take.

system, chaos and admin boot machines, and so does bench, whose figures no test looks at. unit,
model and simulation need none. lab, peers and judges have no tests: others use them. demo.py and
demo_hosts.py are `make demo`; steps.py is `make test` and `make long`.
"""
