"""napari-fddm: the osteosarcoma necrosis rate on whole-slide images.

Research software; not a medical device and not for diagnosis.
"""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

try:
    __version__ = version("napari-fddm")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

# The public functions stand in __init__.pyi and are imported on first use, so that
# importing the package is cheap. Every room of the package shows its names in this way.
__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["__version__", *_names]
