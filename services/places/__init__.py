"""Finds requests and works at one place, across cases. See `logic.py`."""
