"""Tests of the formats shared with other programs."""
