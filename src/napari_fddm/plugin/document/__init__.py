"""An analysis that is open in the window: its layers, strokes, counts and engine."""
