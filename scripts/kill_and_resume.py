"""Kill ``napari-fddm run`` at ten random moments, resume it, and compare every bit.

    python scripts/kill_and_resume.py [SLIDE] [--kills 10] [--seed 0] [-- RUN OPTIONS]

One run is left alone, another is killed (SIGKILL, or its like on Windows) and
resumed until it was killed often enough, then finished. Every array of the two
stores must be equal, bit for bit. Exit code 0 if they are, else 1.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import zarr

from napari_fddm.core.errors import FddmError
from napari_fddm.pipeline.store import AnalysisStore

DEFAULT_SLIDE = "synthetic:5000x5000?seed=11&mpp=0.5"
POLL_S = 0.05


def start(slide: str, store: Path, options: list[str]) -> subprocess.Popen[bytes]:
    """Start a run, which resumes the store if it exists."""
    command = [sys.executable, "-m", "napari_fddm", "run", slide, "-o", str(store), "--quiet"]
    return subprocess.Popen([*command, "--resume", *options])


def progress(store: Path) -> tuple[int, int]:
    """Return how many tiles and refined cells a store holds; it must open at any moment."""
    if not store.exists():
        return 0, 0
    with AnalysisStore.open(store) as made:
        return tuple(
            int(made.maps.probability_map(name).coverage.sum()) for name in ("patch", "refined")
        )


def undisturbed(slide: str, store: Path, options: list[str]) -> tuple[float, float]:
    """Run to the end; return the seconds until the first tile and until the end."""
    started = time.monotonic()
    run = start(slide, store, options)
    first = 0.0
    while run.poll() is None:
        if not first and progress(store)[0]:
            first = time.monotonic() - started
        time.sleep(POLL_S)
    if run.returncode:
        raise SystemExit(f"the undisturbed run ended with exit code {run.returncode}")
    return first, time.monotonic() - started


def killed(slide: str, store: Path, options: list[str], seconds: float) -> bool:
    """Kill a run after some seconds; False if it had ended before."""
    run = start(slide, store, options)
    try:
        run.wait(seconds)
    except subprocess.TimeoutExpired:
        run.kill()
        run.wait()
        return True
    if run.returncode:
        raise SystemExit(f"a resumed run ended with exit code {run.returncode}")
    return False


def unequal_arrays(one: Path, other: Path) -> tuple[int, list[str]]:
    """Compare every array of two stores; return their number and the names that differ."""
    groups = [zarr.open_group(path, mode="r") for path in (one, other)]
    arrays = [
        {n: m for n, m in group.members(max_depth=None) if isinstance(m, zarr.Array)}
        for group in groups
    ]
    names = sorted(set(arrays[0]) | set(arrays[1]))
    return len(names), [name for name in names if not _same(*(a.get(name) for a in arrays))]


def _same(one: zarr.Array | None, other: zarr.Array | None) -> bool:
    if one is None or other is None:
        return False
    left, right = one[...], other[...]
    return left.dtype == right.dtype and np.array_equal(
        np.ascontiguousarray(left).view(np.uint8), np.ascontiguousarray(right).view(np.uint8)
    )


def main() -> int:
    """Run the comparison and print a table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", nargs="?", default=DEFAULT_SLIDE)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("options", nargs="*", help="options of napari-fddm run, after --")
    wanted = parser.parse_args()
    chance = random.Random(wanted.seed)  # noqa: S311 - moments, not secrets
    warnings.simplefilter("ignore")  # zarr names each file of ours that is no array
    with tempfile.TemporaryDirectory() as folder:
        whole, store = Path(folder) / "whole", Path(folder) / "killed"
        first, total = undisturbed(wanted.slide, whole, wanted.options)
        print(f"undisturbed: first tile after {first:.1f} s, end after {total:.1f} s")
        print(f"{'kill':>4} {'after':>8} {'tiles':>7} {'refined cells':>14}  store opens")
        count = 0
        while count < wanted.kills:
            # Some before the first tile, most soon after it: work adds up over ten kills.
            seconds = max(0.1, first + chance.uniform(-0.5, 1.0) * (total - first) / 4)
            if not killed(wanted.slide, store, wanted.options, seconds):
                first *= 0.9  # nothing is left to classify: kill earlier
                continue
            count += 1
            tiles, cells = progress(store)
            print(f"{count:>4} {seconds:>6.1f} s {tiles:>7} {cells:>14}  yes", flush=True)
        end = start(wanted.slide, store, wanted.options).wait()
        arrays, different = unequal_arrays(whole, store)
    print(f"last resume: exit code {end}")
    if different or end:
        print(f"NOT EQUAL: {len(different)} of {arrays} arrays differ: {', '.join(different)}")
        return 1
    print(f"equal: all {arrays} arrays of the two stores, bit for bit")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FddmError as error:
        sys.exit(f"a store that was killed does not open: {error}")
