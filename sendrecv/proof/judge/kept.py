"""What is part of a judge's state: see state.py."""

NOT_KEPT = {"kept": False}
"""Metadata of a field that is not."""
