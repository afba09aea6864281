"""How good a label map is, given the truth."""
