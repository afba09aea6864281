"""What the window shows, as plain values without Qt."""
