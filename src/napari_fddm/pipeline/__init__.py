"""Composes the parts into runs; every long job is a generator of events."""
