"""Learning from a pathologist's corrections."""
