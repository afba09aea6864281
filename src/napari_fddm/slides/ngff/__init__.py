"""Slides stored as OME-Zarr: which of the images is the slide, its channels, its stored chunks."""
