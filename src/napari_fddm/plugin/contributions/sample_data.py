"""npe2 sample data: synthetic slides in two sizes, computed instead of downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_fddm.plugin.layers.slides import LayerData

SAMPLE_URI = "synthetic:8192x8192?seed=7&mpp=0.5"
"""A 4 mm slide with all seven classes; analyzing all of it takes minutes."""
LARGE_SAMPLE_URI = "synthetic:40000x40000?seed=3&mpp=0.5"
"""A 20 mm slide, as large as a scanned one."""


def synthetic_slide() -> list[LayerData]:
    """Return the synthetic sample slide as a lazy pyramid."""
    return _sample(SAMPLE_URI)


def large_synthetic_slide() -> list[LayerData]:
    """Return the large synthetic sample slide as a lazy pyramid."""
    return _sample(LARGE_SAMPLE_URI)


def _sample(uri: str) -> list[LayerData]:
    from napari_fddm.plugin.layers.slides import slide_layer_data
    from napari_fddm.slides import open_slide

    return [slide_layer_data(open_slide(uri, look=False), uri)]
