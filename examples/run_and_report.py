"""Analyze a slide, watch it happen, and read the report.

    python examples/run_and_report.py STORE [SLIDE] [MODEL]

STORE is a folder to create, e.g. slide.fddm.ome.zarr: another run goes on in it, and the window
opens it. MODEL is an id, a folder or hf:owner/name; without it the bundled model is taken.
"""

from __future__ import annotations

import sys

import napari_fddm
from napari_fddm.core.config import AnalysisConfig
from napari_fddm.core.events import TileBatch

SYNTHETIC = "synthetic:1500x1800?seed=3&mpp=0.5"


def main(store: str, source: str = SYNTHETIC, model: str = "fddm-small") -> None:
    """Run, and print progress, rate and areas."""
    config = AnalysisConfig(label_mpp=8.0)
    with napari_fddm.open_slide(source) as slide:
        # A generator: nothing runs between its events, and closing it stops the run.
        for event in napari_fddm.analyze(slide, store=store, model=model, config=config):
            if isinstance(event, TileBatch):
                print(f"{event.done} of {event.total} tiles")
    report = napari_fddm.read_report(store)
    if report["rate"] is None:
        print("no rate:", report["reason"])
    else:
        print(f"necrosis rate {report['rate']:.1%}, Huvos {report['huvos']}")
    for name, area in report["areas_mm2"].items():
        print(f"{name}: {area:.3f} mm²")


if __name__ == "__main__":
    main(*sys.argv[1:])
