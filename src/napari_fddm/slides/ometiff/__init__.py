"""OME-TIFF: its images, and which pages of which files belong to each of them."""
