"""Tests of the values and the mathematics."""
