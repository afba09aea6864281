"""The rate of several slides together, e.g. of a case (``docs/algorithm.md#cases``)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.necrosis import ClassAreas, NecrosisDefinition, compute_rate

if TYPE_CHECKING:
    from collections.abc import Sequence


def pool_areas(slides: Sequence[ClassAreas]) -> ClassAreas:
    """Add up the areas of several slides, e.g. of a case: each mm² counts alike.

    Raises
    ------
    ConfigError
        If there is no slide, or cell sizes or classes differ.
    """
    first = slides[0] if slides else None
    if first is None or any(
        s.table != first.table or not math.isclose(s.cell_mm2, first.cell_mm2, rel_tol=1e-6)
        for s in slides
    ):
        raise ConfigError(
            "areas can be pooled only over slides with the same classes and cell size.",
            hint="Analyze them with the same label resolution.",
        )
    columns = zip(*(s.counts for s in slides), strict=True)
    return ClassAreas(tuple(sum(column) for column in columns), first.cell_mm2, first.table)


def mean_rate(slides: Sequence[ClassAreas], definition: NecrosisDefinition) -> float | None:
    """Average the rates of slides, each slide counting alike, as the paper does.

    Slides without a rate are left out; None if no slide has one.
    """
    rates = [compute_rate(areas, definition).rate for areas in slides]
    known = [rate for rate in rates if rate is not None]
    return sum(known) / len(known) if known else None
