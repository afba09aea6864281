"""What napari calls by the manifest: reader, writer, commands, sample data."""
