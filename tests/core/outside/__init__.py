"""Tests of the boundary to what comes from outside."""
