"""``napari-fddm demo``: analyzes a synthetic slide and compares the result with its truth."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from napari_fddm.cli.doctor import can_open_window
from napari_fddm.cli.printing import say
from napari_fddm.cli.run import run_slide
from napari_fddm.core.errors import FddmError
from napari_fddm.core.necrosis import ClassAreas, compute_rate, find_definition

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_fddm.pipeline.store import AnalysisStore

DEMO_SLIDE = "synthetic:8192x8192?seed=7&mpp=0.5"
DEMO_BAR_POINTS = 3.0
"""Largest allowed error of the demo's rate, percentage points."""


def run_demo(out: Path, *, window: bool | None, device: str) -> None:
    """Analyze the demo slide, compare with its truth, write a preview and a store.

    Raises
    ------
    FddmError
        If the error of the rate is larger than `DEMO_BAR_POINTS`.
    """
    from napari_fddm.pipeline.store import AnalysisStore

    out.mkdir(parents=True, exist_ok=True)
    path = out / "demo.fddm.ome.zarr"
    report = run_slide(
        DEMO_SLIDE,
        path,
        region=None,
        model="fddm-small",
        mpp=None,
        report=out / "report.json",
        quiet=False,
        device=device,
    )
    with AnalysisStore.open(path) as store:
        store.validate()
        truth = _truth_labels(store)
        preview = out / "preview.png"
        write_preview(store, truth, preview)
        true_rate = compute_rate(
            ClassAreas.from_labels(truth, store.geometries.label.cell_mm2), find_definition("fddm")
        ).rate
    off = _points_off(report["rate"], true_rate)
    say(f"truth of the synthetic slide: {true_rate:.1%}, off by {off:.1f} points")
    say(f"preview: {preview}\nvalid OME-Zarr 0.5: {path}")
    if off > DEMO_BAR_POINTS:
        raise FddmError(
            f"the demo's rate is {off:.1f} points off its truth, more than {DEMO_BAR_POINTS:g}.",
            hint="Run napari-fddm doctor and report what it prints.",
        )
    if window if window is not None else can_open_window():
        _open_window(path)


def _points_off(rate: float | None, truth: float | None) -> float:
    if rate is None or truth is None:
        return float("inf")
    return 100 * abs(rate - truth)


def _truth_labels(store: AnalysisStore) -> npt.NDArray[np.uint8]:
    """Return the true labels on the label grid."""
    from napari_fddm.slides.synthetic import open_synthetic

    with closing(open_synthetic(DEMO_SLIDE)) as slide:
        return slide.truth_map(store.geometries.label)


def write_preview(store: AnalysisStore, truth: npt.NDArray[np.uint8], path: Path) -> None:
    """Write a picture of the slide, its tile and refined classes, the truth and a legend."""
    from napari_fddm.cli.preview import draw_preview

    draw_preview(
        store.maps.overview(),
        {
            "tiles": store.labels("patch"),
            "refined": store.labels("refined"),
            "truth": truth,
        },
        store.table,
    ).save(path)


def _open_window(store: Path) -> None:
    """Open napari with the demo's slide and analysis, in another process."""
    code = f"""
import napari, pathlib
viewer = napari.Viewer()
viewer.open_sample("napari-fddm", "synthetic")
_, widget = viewer.window.add_plugin_dock_widget("napari-fddm")
widget.controller.run.open_store(pathlib.Path({str(store)!r}))
napari.run()
"""
    say("opening napari; close its window to end the demo")
    subprocess.run([sys.executable, "-c", code], check=False)  # noqa: S603 - our own code
