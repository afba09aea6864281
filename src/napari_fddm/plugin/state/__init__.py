"""The state of the window as plain values, without Qt."""
