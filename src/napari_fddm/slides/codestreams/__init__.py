"""What the coded data of a tile says of itself: whether it is complete, its size, its colors."""
