"""Settings of the unit tests, wherever they run."""

from hypothesis import HealthCheck, settings

# No deadline: two steps of `make test` share the machine. A failing example is printed in a form
# that replays it, because the tree that it was found in is gone afterwards.
settings.register_profile(
    "sendrecv", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("sendrecv")
