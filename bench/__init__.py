"""Measurements: ratios in one run, beside the machine's description. Nothing here is asserted in a test."""
