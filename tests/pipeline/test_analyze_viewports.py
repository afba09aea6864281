"""A viewport equals the crop of the whole slide, and says how much of it it covers (P27)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.geometry import Region, Window
from napari_fddm.pipeline.analyze import analyze
from napari_fddm.pipeline.store import AnalysisStore
from tests.support.runs import (
    CONFIG,
    MARGIN,
    PIXELS,
    SIDE,
    CountingModel,
    WatchedSlide,
    assert_equal,
    changed,
    contents,
    drain,
    tissue_tiles,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fddm.core.config import AnalysisConfig
    from napari_fddm.models.bundle import LoadedModel


def tiles_of(region: Region) -> Window:
    y0, x0 = int(max(region.y, 0) // 256), int(max(region.x, 0) // 256)
    y1, x1 = (-int(-min(end, SIDE) // 256) for end in (region.y_end, region.x_end))
    return Window(y0, x0, y1 - y0, x1 - x0)


VIEWS = [
    Region(700, 900, 500, 300),
    Region(0, 0, 600, 600),
    Region(1900, 1900, 700, 700),
    Region(-50, 1200, 400, 5000),
    Region(1535, 1535, 2, 2),
]


@pytest.mark.parametrize("config", [CONFIG, changed(steps=3)])
@pytest.mark.parametrize("view", VIEWS)
def test_p27_a_viewport_equals_the_crop_of_the_whole_slide(
    loaded: LoadedModel,
    whole_runs: dict[int, Path],
    view: Region,
    config: AnalysisConfig,
    tmp_path: Path,
):
    """Also where regions overlap, at the border, and with noise that many steps draw."""
    store = tmp_path / "view"
    drain(analyze(WatchedSlide(PIXELS), store=store, model=loaded, config=config, region=view))
    part, full = contents(store), contents(whole_runs[config.steps])
    tiles = tiles_of(view)
    cells = tiles.scaled(8).slices
    labels = tiles.scaled(32).clipped(full["refined"].shape)
    tissue = tissue_tiles()[tiles.slices]

    assert np.array_equal(part["patch"][tiles.slices], full["patch"][tiles.slices])
    assert np.array_equal(part["patch coverage"][tiles.slices], tissue)
    for name in ("patch probs", "cell probs", "features"):
        window = tiles.slices if name == "patch probs" else cells
        assert np.array_equal(part[name][:, *window], full[name][:, *window]), name
    assert np.array_equal(part["refined probs"][:, *cells], full["refined probs"][:, *cells])
    for name in ("refined", "corrected"):
        assert np.array_equal(part[name][labels.slices], full[name][labels.slices]), name
        outside = part[name].copy()
        outside[labels.slices] = 0
        assert not outside.any()
    assert part["refined"].any() == tissue.any()


@pytest.fixture(scope="module")
def whole_runs(
    whole: Path, loaded: LoadedModel, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, Path]:
    """Whole runs by the number of steps."""
    three = tmp_path_factory.mktemp("three") / "three.fddm.ome.zarr"
    config = changed(steps=3)
    drain(analyze(WatchedSlide(PIXELS), store=three, model=loaded, config=config))
    assert not np.array_equal(contents(three)["refined probs"], contents(whole)["refined probs"])
    return {1: whole, 3: three}


def test_viewports_grow_into_the_whole(model: CountingModel, whole: Path, tmp_path: Path):
    run = partial(analyze, WatchedSlide(PIXELS), store=tmp_path / "s", model=model, config=CONFIG)
    shares = []
    for view in (VIEWS[0], VIEWS[2], None):
        _, result = drain(run(region=view))
        shares.append(result.report["coverage"])
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert sum(model.batches) < tissue_tiles().sum() + 3 * 16
    assert_equal(tmp_path / "s", whole)


@pytest.mark.parametrize("stage", ["patch", "refined"])
def test_coverage_is_the_share_of_tissue_that_has_labels(
    model: CountingModel, tmp_path: Path, stage: str
):
    config = changed(stage=stage)
    view = Region(256 * 3, 256 * 2, 256 * 4, 256 * 5)
    _, result = drain(
        analyze(WatchedSlide(PIXELS), store=tmp_path / "s", model=model, config=config, region=view)
    )
    with AnalysisStore.open(tmp_path / "s") as store:
        labels = store.labels("corrected")
        analyzed = np.count_nonzero(labels) * store.geometries.label.cell_mm2
        tissue = store.provenance["tissue_mm2"]
    assert analyzed == pytest.approx(256e-3 * 4 * 256e-3 * 5)  # all of it tissue
    assert tissue == pytest.approx((SIDE - 2 * MARGIN) ** 2 / 1e6, rel=0.08)
    assert result.report["coverage"] == pytest.approx(analyzed / tissue, rel=0.01)
    assert result.report["tissue_excluded_mm2"] == pytest.approx(tissue - analyzed, rel=0.01)


def test_a_stopped_run_does_not_show_the_coverage_of_the_run_before(
    model: CountingModel, tmp_path: Path
):
    run = partial(analyze, WatchedSlide(PIXELS), store=tmp_path / "s", model=model, config=CONFIG)
    drain(run(region=VIEWS[0]))
    second = run()
    next(second)
    second.close()
    with AnalysisStore.open(tmp_path / "s") as store:
        assert store.provenance.get("coverage") is None
