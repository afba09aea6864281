"""The folder of an analysis: maps, corrections and the event log, and what happens to them."""
