"""A drawn slide whose true classes are known at every pixel."""
