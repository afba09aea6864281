"""Threads and signal connections that end when the window closes."""
