"""Which part of a slide is tissue: detected, given by the user or edited; the overview."""
