"""Values, geometry, protocols and errors; knows numpy and scipy only."""
