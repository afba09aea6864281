"""Open analyses: their labels, strokes and counts, their store, the engine, and the session."""
