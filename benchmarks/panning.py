"""How long does the window stand still while one pans and zooms? Prints a table.

    xvfb-run -a python -m benchmarks.panning [SLIDE …]

Each slide is shown in a real window of its own process, with napari's asynchronous
slicing off and on. The camera is moved every 40 ms, as a mouse does: across the slide
at several zooms, then from the whole slide down to its pixels and back. Beside it a
timer of 5 ms beats; a gap is the time between two beats. Without an argument: a
synthetic slide of 10 GB, and its tissue as a JPEG pyramid and as a TIFF in strips.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari

SYNTHETIC = "synthetic:60000x60000?seed=3&mpp=0.25"
SIDE = 12_000
"""Edge of the slides that are written, px."""
STEP_MS = 40
BEAT_MS = 5
SETTLE_S = 3.0
RUN = [sys.executable, "-W", "ignore", "-m", "benchmarks.panning", "--measure"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slides", nargs="*", help="files or synthetic: texts")
    parser.add_argument("--measure", choices=["off", "on"], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        print(json.dumps(measure(chosen.slides[0], asynchronous=chosen.measure == "on")))
        return
    print("| slide | asynchronous | longest gap, ms | 95 % of gaps below, ms | sharp after, ms |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="fddm-panning-") as name:
        for slide in chosen.slides or [SYNTHETIC, *written_slides(Path(name))]:
            for mode in ("off", "on"):
                # A configuration of its own: napari would write the setting into the user's.
                own = {**os.environ, "NAPARI_CONFIG": str(Path(name) / "napari" / "settings.yaml")}
                done = subprocess.run(
                    [*RUN, mode, slide], capture_output=True, text=True, check=True, env=own
                )
                found = json.loads(done.stdout.splitlines()[-1])
                title = slide if slide.startswith("synthetic") else Path(slide).name
                print(
                    f"| {title} | {mode} | {found['longest']:.0f} | {found['most']:.0f} "
                    f"| {found['sharp']:.0f} |",
                    flush=True,
                )


def written_slides(folder: Path) -> Iterator[str]:
    """Write synthetic tissue as a JPEG pyramid, and the same without tiles."""
    import tifffile

    from napari_fddm.slides.synthetic import SyntheticSlide

    slide = SyntheticSlide(SIDE, SIDE, mpp=0.5, seed=3)
    pyramid = folder / "pyramid.tif"
    slide.write_tiff(pyramid)
    yield str(pyramid)
    strips = folder / "strips.tif"
    rows = np.asarray(slide.as_dask()[0][: SIDE // 2])
    tifffile.imwrite(strips, rows, rowsperstrip=16, compression="jpeg", photometric="rgb")
    yield str(strips)


def measure(text: str, *, asynchronous: bool) -> dict[str, float]:
    """Show a slide, move about, and return the gaps of the event loop in ms.

    Returns
    -------
    dict
        "longest" gap, "most": 95 % of the time's gaps are shorter, "sharp": how long
        after the last move the view was complete.
    """
    import napari
    from napari.settings import get_settings
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    from napari_fddm.plugin.layers.slides import slide_layer_data
    from napari_fddm.slides import open_slide

    get_settings().experimental.async_ = asynchronous
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(1600, 1000)
    data, options, _ = slide_layer_data(open_slide(text, look=False), text)
    layer = viewer.add_image(data, **options)
    app = QApplication.instance()
    assert app is not None
    _wait(app, SETTLE_S)
    beats = [time.perf_counter()]
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    timer.start(BEAT_MS)
    for center, zoom in moves(viewer):
        viewer.scene.camera.center, viewer.scene.camera.zoom = center, zoom
        _wait(app, STEP_MS / 1000)
    moved = time.perf_counter()
    _wait(app, 0.02)
    while not layer.loaded:
        _wait(app, 0.005)
    sharp = time.perf_counter() - moved
    timer.stop()
    gaps = 1000 * np.array([b - a for a, b in itertools.pairwise(beats)])
    # By time, not by number: half a second that stands still weighs half a second.
    gaps.sort()
    within = np.searchsorted(np.cumsum(gaps), 0.95 * gaps.sum())
    viewer.close()
    return {"longest": gaps[-1], "most": gaps[min(within, len(gaps) - 1)], "sharp": 1000 * sharp}


def moves(viewer: napari.Viewer) -> Iterator[tuple[tuple[float, float, float], float]]:
    """Yield camera centers and zooms: across at three zooms, then in and out."""
    (y0, x0), (y1, x1) = viewer.layers.extent.world
    whole = float(viewer.scene.camera.zoom)
    finest = 1.0 / viewer.layers[0].scale[-1]
    middle = ((y0 + y1) / 2, (x0 + x1) / 2)
    for zoom in (2 * whole, math.sqrt(whole * finest), finest):
        for t in np.linspace(-1, 1, 40):
            shift = 300 * t / zoom  # px of the canvas
            yield (0.0, middle[0] + shift / 2, middle[1] + shift), zoom
    for t in (*np.linspace(0, 1, 40), *np.linspace(1, 0, 40)):
        yield (0.0, *middle), whole * (finest / whole) ** t


def _wait(app: object, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        app.processEvents()  # type: ignore[attr-defined]
        time.sleep(0.001)


if __name__ == "__main__":
    main()
