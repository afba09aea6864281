"""File formats shared with other tools (OME-Zarr, GeoJSON, PNG, TIFF), and safe writing."""
