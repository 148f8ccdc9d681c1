"""Figures of an App on several hosts: `make bench ONLY=hosts`.

Each section boots a cluster of its own: three hosts with etcd, and a receiver's host. All machines
share the kernel's monotonic clock, so a fault on one and a line on another can be compared.
"""
