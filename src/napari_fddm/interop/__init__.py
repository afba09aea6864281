"""Formats shared with other tools."""
