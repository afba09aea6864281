"""Where the user looks comes first, and changes nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.events import TileBatch
from napari_fddm.pipeline.run.analyze import analyze
from tests.support.runs import CONFIG, PIXELS, WatchedSlide, assert_equal, drain

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fddm.models import LoadedModel


@pytest.mark.parametrize("focus", [(500.0, 500.0), (2200.0, 700.0), (-9e4, 1e5)])
def test_a_focus_orders_the_tiles_and_changes_no_bit(
    loaded: LoadedModel, whole: Path, focus: tuple[float, float], tmp_path: Path
):
    store = tmp_path / "focused.fddm.ome.zarr"
    run = analyze(WatchedSlide(PIXELS), store=store, model=loaded, config=CONFIG, focus=focus)
    events, _ = drain(run)
    batches = [e for e in events if isinstance(e, TileBatch)]
    tiles = np.concatenate([np.stack([b.rows, b.cols], axis=1) for b in batches])
    distances = np.hypot(*(((tiles + 0.5) * 256 - focus).T))
    assert (np.diff(distances) >= -1e-6).all()
    assert_equal(store, whole)
