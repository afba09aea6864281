"""The rate of a case from those of its slides."""

from __future__ import annotations

import pytest

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.necrosis import FDDM, ClassAreas, compute_rate, mean_rate, pool_areas

CELL_MM2 = 1.0  # every count is then well above the smallest bed


def areas(cell_mm2: float = CELL_MM2, **counts: int) -> ClassAreas:
    values = [counts.get("none", 0), *(counts.get(c.short, 0) for c in OSTEOSARCOMA)]
    return ClassAreas(tuple(values), cell_mm2)


def test_p30_pooling_is_not_averaging():
    slides = [areas(NC=10, VT=90), areas(NC=900, VT=100)]
    pooled = compute_rate(pool_areas(slides), FDDM)
    assert pooled.rate == pytest.approx(0.8273, abs=5e-5)
    assert mean_rate(slides, FDDM) == pytest.approx(0.5)


def test_slides_without_a_rate_leave_the_mean_alone():
    assert mean_rate([areas(NC=10, VT=90), areas(BG=100)], FDDM) == pytest.approx(0.1)
    assert mean_rate([areas(BG=100)], FDDM) is None
    assert mean_rate([], FDDM) is None


def test_only_like_areas_are_pooled():
    with pytest.raises(ConfigError, match="same classes and cell size"):
        pool_areas([areas(VT=1), areas(2.0, VT=1)])
    two = ClassTable(OSTEOSARCOMA.classes[:2])
    with pytest.raises(ConfigError, match="same classes"):
        pool_areas([areas(VT=1), ClassAreas((0, 1, 1), CELL_MM2, two)])
    with pytest.raises(ConfigError, match="pooled"):
        pool_areas([])
