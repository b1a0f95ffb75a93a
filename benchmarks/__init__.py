"""Timings, as medians of repeated runs with minimum and maximum. They decide no test."""
