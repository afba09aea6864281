"""Stage 1: tiles are read, classified, and laid out as maps of cells."""
