"""Training of stage 1: classifiers and segmenters."""
