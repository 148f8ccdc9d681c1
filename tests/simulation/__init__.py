"""Both machines in a world of their own: any fault, at any step, in simulated time.

A seed repeats a run; violations that are planted must be found. Runs on the Python of each release,
in one step with the unit tests; see there for the time. It never looks at the host's clock.
"""
