"""Which part of a slide is tissue: detected, given by the user or edited; the overview."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
