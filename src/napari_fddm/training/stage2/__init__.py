"""Training of stage 2: the bridge, its rivals, their evaluation."""
