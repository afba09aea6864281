"""Training data of stage 2: regions with the maps of stage 1 and the true map."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
