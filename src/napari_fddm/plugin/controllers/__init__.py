"""One noun each: what happens when the user does something, and what is shown for it."""
