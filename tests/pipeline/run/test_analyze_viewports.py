"""A viewport equals the crop of the whole slide, and says how much of it it covers (P27)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.events import RegionRefined
from napari_fddm.core.geometry import Region, Window
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.pipeline.stage2 import stage
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
    mosaic,
    tissue_tiles,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fddm.models import LoadedModel


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


CONFIGS = {"one step": CONFIG, "three steps": changed(steps=3), "7 µm": changed(label_mpp=7.0)}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("view", VIEWS)
def test_p27_a_viewport_equals_the_crop_of_the_whole_slide(
    loaded: LoadedModel, whole_runs: dict[str, Path], view: Region, name: str, tmp_path: Path
):
    """Also where regions overlap, at the border, and with noise that many steps draw."""
    store, config = tmp_path / "view", CONFIGS[name]
    drain(analyze(WatchedSlide(PIXELS), store=store, model=loaded, config=config, region=view))
    part, full = contents(store), contents(whole_runs[name])
    tiles = tiles_of(view)
    cells = tiles.scaled(8).slices
    tissue = tissue_tiles()[tiles.slices]

    assert np.array_equal(part["patch"][tiles.slices], full["patch"][tiles.slices])
    assert np.array_equal(part["patch coverage"][tiles.slices], tissue)
    for key in ("patch probs", "cell probs", "features"):
        window = tiles.slices if key == "patch probs" else cells
        assert np.array_equal(part[key][:, *window], full[key][:, *window]), key
    assert np.array_equal(part["refined probs"][:, *cells], full["refined probs"][:, *cells])
    inside = np.zeros(part["refined coverage"].shape, bool)
    inside[cells] = True
    assert np.array_equal(part["refined coverage"], inside)

    rows, cols = ((np.arange(n) + 0.5) * config.label_mpp for n in part["refined"].shape)
    in_view = (256 * tiles.y <= rows) & (rows < 256 * (tiles.y + tiles.height))
    in_view = in_view[:, None] & (256 * tiles.x <= cols) & (cols < 256 * (tiles.x + tiles.width))
    for key in ("refined", "corrected"):
        assert np.array_equal(part[key], np.where(in_view, full[key], 0)), key
    assert part["refined"].any() == tissue.any()


@pytest.fixture(scope="module")
def whole_runs(
    whole: Path, loaded: LoadedModel, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Whole runs by the names of their settings."""
    runs = {"one step": whole}
    for name, config in CONFIGS.items():
        if name not in runs:
            runs[name] = tmp_path_factory.mktemp("whole") / "s.fddm.ome.zarr"
            drain(analyze(WatchedSlide(PIXELS), store=runs[name], model=loaded, config=config))
    steps = [contents(runs[name])["refined probs"] for name in ("one step", "three steps")]
    assert not np.array_equal(*steps)
    return runs


def test_a_stopped_run_leaves_nothing_provisional(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Overlaps that wait for another region are not stored, whatever runs afterwards."""
    monkeypatch.setattr(stage, "REGION_BATCH", 1)
    tall = mosaic(5700, 2000, seed=5)
    run = partial(analyze, WatchedSlide(tall), model=loaded, config=changed(tissue="all"))
    drain(run(store=tmp_path / "whole"))
    full = contents(tmp_path / "whole")
    stopped = run(store=tmp_path / "s")
    regions = 0
    for event in stopped:
        regions += isinstance(event, RegionRefined)
        if regions == 3:
            break
    stopped.close()
    first = contents(tmp_path / "s")
    assert first["refined coverage"].any()
    drain(run(store=tmp_path / "s", region=Region(5500, 0, 100, 100)))
    for found in (first, contents(tmp_path / "s")):
        done = found["refined coverage"]
        assert not done.all()
        assert np.array_equal(found["refined probs"][:, done], full["refined probs"][:, done])
        labeled = found["corrected"] != 0
        assert labeled.any()
        assert np.array_equal(found["corrected"][labeled], full["corrected"][labeled])


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
    assert result.report["tissue_not_analyzed_mm2"] == pytest.approx(tissue - analyzed, rel=0.01)
    # What the mask left out does not depend on what was looked at: here the mosaic's glass.
    assert result.report["tissue_excluded_mm2"] == pytest.approx(2.6**2 - (8 * 0.256) ** 2)


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
