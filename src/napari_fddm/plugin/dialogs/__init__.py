"""Dialog windows: Qt only, no controller."""
