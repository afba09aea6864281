"""What leaves a store: exports, reports, the summary that the window shows."""
