"""Both machines in a world of their own: any fault, at any step, in simulated time.

A seed repeats a run; violations that are planted must be found. It never looks at the host's
clock. Runs on the Python of Debian 13: it looks for orders of events, which are the same on both
releases. In `make test` it belongs to the step "model"; see CONTRIBUTING.md for the time.
"""
