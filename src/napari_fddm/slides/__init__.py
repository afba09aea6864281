"""Whole-slide images: one reader for each file format, all with the same interface."""
