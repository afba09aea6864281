"""Stage 2: the bridge refines the map of cells, region by region."""
