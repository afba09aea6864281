"""Threads and connections that end when the window does."""
