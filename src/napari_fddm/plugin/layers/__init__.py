"""The napari layers of an analysis, and what mouse, keys and camera do with them."""
