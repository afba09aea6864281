"""Tests of the Brownian bridge."""
