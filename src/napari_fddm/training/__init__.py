"""Training of both stages from annotated data, and learning from corrections."""
