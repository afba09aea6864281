"""Tests of the boundary for what comes from outside."""
