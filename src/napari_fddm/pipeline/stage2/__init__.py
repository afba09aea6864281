"""Stage 2: the bridge refines the map of cells, region by region."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
