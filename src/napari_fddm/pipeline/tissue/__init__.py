"""Which part of a slide is tissue: found, given by the user, kept, or read for the overview."""
