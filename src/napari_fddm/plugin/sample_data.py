"""Sample data: a synthetic slide, made on the fly, nothing downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_fddm.plugin.slides import LayerData

SAMPLE_URI = "synthetic:8192x8192?seed=7&mpp=0.5"
"""A 4 mm slide with all seven classes."""


def synthetic_slide() -> list[LayerData]:
    """Return the synthetic sample slide as a lazy pyramid."""
    from napari_fddm.plugin.slides import slide_layer_data
    from napari_fddm.slides.opening import open_slide

    return [slide_layer_data(open_slide(SAMPLE_URI, look=False), SAMPLE_URI)]
