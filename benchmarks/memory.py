"""Peak memory of whole runs on synthetic slides, each in a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

MPP = 0.25
TISSUE_PX = 14_142
"""Edge of the tissue: 2 % of 100 000² px, half of 20 000²."""
SMALL, LARGE = 20_000, 100_000


def measure() -> dict[int, float]:
    """Return the peak of resident memory, GiB, by the slide's edge in px."""
    return {side: peak_gib(side) for side in (SMALL, LARGE)}


def peak_gib(side: int) -> float:
    """Run an analysis in a fresh process and return the peak of its resident memory."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.memory", str(side)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    from benchmarks.glass import TissueOnGlass
    from napari_fddm.pipeline.run.analyze import analyze

    side = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder, TissueOnGlass(side, TISSUE_PX, MPP) as slide:
        for _ in analyze(slide, store=Path(folder) / "run.ome.zarr"):
            pass
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(kib / (2**20 if sys.platform != "darwin" else 2**30))


if __name__ == "__main__":
    main()
