"""Tests of what composes the parts."""
