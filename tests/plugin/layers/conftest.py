"""A layer of corrected labels over random ones of a model."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.maps import LabelMap
from napari_fddm.plugin.layers import CorrectedLabels


@pytest.fixture
def label_map():
    automatic = np.random.default_rng(0).integers(0, 8, (60, 80)).astype(np.uint8)
    return LabelMap(
        automatic.copy(), automatic.copy(), MapGeometry((60, 80), 8.0, 0.5, (16.0, 32.0))
    )


@pytest.fixture
def layer(label_map):
    return CorrectedLabels(label_map, OSTEOSARCOMA, "corrected")
