"""Helpers that build slides, so that tests need no files from elsewhere."""
