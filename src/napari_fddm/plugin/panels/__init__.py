"""The parts of the dock widget: Qt only, no controller; named as the controllers they serve."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
