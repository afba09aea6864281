"""Training data of stage 2: regions with the maps of stage 1 and the true map."""
