"""Of sendrecv/admin/checks: what `sendrecv check` finds wrong. As all of tests/unit."""
