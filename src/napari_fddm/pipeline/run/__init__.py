"""One analysis from the slide to the report, as a generator of events."""
