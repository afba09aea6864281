"""napari-fddm: the osteosarcoma necrosis rate on whole-slide images.

Research software; not a medical device and not for diagnosis.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_fddm.core.necrosis import necrosis_report
    from napari_fddm.pipeline.outputs.report import read_report
    from napari_fddm.pipeline.run.analyze import analyze
    from napari_fddm.slides.opening import open_slide

try:
    __version__ = version("napari-fddm")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

__all__ = ["__version__", "analyze", "necrosis_report", "open_slide", "read_report"]

_LAZY = {
    "analyze": "napari_fddm.pipeline.run.analyze",
    "necrosis_report": "napari_fddm.core.necrosis",
    "open_slide": "napari_fddm.slides.opening",
    "read_report": "napari_fddm.pipeline.outputs.report",
}


def __getattr__(name: str) -> Any:
    """Import the public functions on first use, so that importing the package is cheap."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
