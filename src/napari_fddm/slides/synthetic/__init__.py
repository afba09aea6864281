"""Synthetic slides: procedurally drawn tissue whose true class is known at every pixel."""
