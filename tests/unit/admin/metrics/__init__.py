"""Of sendrecv/admin/metrics: from what is measured to the page that Prometheus reads.

As all of tests/unit.
"""
