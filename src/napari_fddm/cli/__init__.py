"""The command line: `napari-fddm` and its commands."""
