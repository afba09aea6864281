"""Tests of the slide readers."""
