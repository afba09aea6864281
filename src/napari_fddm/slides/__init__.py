"""Slide backends behind one protocol."""
