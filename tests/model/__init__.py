"""The protocol as a model that spin searches to the end: every order of every step, with faults.

takeover.pml is one machine with its receiver, lease.pml an App on several hosts. Each rule that is
taken away must break a promise. Runs once, in Debian 13's build root: the model is in no language
of either release. It is a step of `make test`, with the simulation: what both take, CONTRIBUTING.md
says.
"""
