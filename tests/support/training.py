"""Small images, manifests and datasets to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_fddm.core.class_names import ClassNames
from napari_fddm.training.data import build_dataset, read_manifest, split_manifest
from napari_fddm.training.data.patches import PatchSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from napari_fddm.training.data import Dataset

COLORS = {"VT": (120, 60, 150), "NC": (220, 150, 180), "NT": (180, 110, 90)}


def drained(run: Generator[Any, None, Any], seen: Callable[[Any], None] = id) -> Any:
    """Run a generator to its end and return its result; each event is shown to ``seen``."""
    while True:
        try:
            seen(next(run))
        except StopIteration as stop:
            return stop.value


def write_tile(path: Path, color: tuple[int, int, int], *, side: int = 256, seed: int = 0) -> Path:
    """Write a noisy tile of one color."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-20, 21, (side, side, 3))
    pixels = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_tiles(folder: Path, cases: str = "abc", per_class: int = 2) -> Path:
    """Write a manifest of tiles: each case with every class."""
    rows = ["tile,label,case"]
    seed = 0
    for case in cases:
        for label, color in COLORS.items():
            for _ in range(per_class):
                name = f"{case}-{label}-{seed}.png"
                write_tile(folder / name, color, seed=seed)
                rows.append(f"{name},{label},{case}")
                seed += 1
    return write_rows(folder / "tiles.csv", *rows)


def write_rows(path: Path, *rows: str) -> Path:
    """Write a table."""
    path.write_text("\n".join(rows) + "\n")
    return path


def tile_dataset(folder: Path, **options: Any) -> Dataset:
    """Build a dataset of small tiles, case "c" held out."""
    folder.mkdir(exist_ok=True)
    manifest = split_manifest(read_manifest(write_tiles(folder)), hold_out=("c",))
    return drained(build_dataset(manifest, folder / "data", PatchSettings(**options), ClassNames()))


def flat_textures(folder, per_case=2):
    """Write a manifest of one-colored tiles: the color says the class, and nothing else."""
    colors = {"non_tumor": (10, 200, 30), "necrosis": (200, 20, 60), "viable_tumor": (30, 40, 220)}
    lines = ["file,label3,patient,slide"]
    for case in ("P1", "P2", "P3"):
        for label, color in colors.items():
            for i in range(per_case):
                name = f"{case}-{label}-{i}.png"
                Image.new("RGB", (90, 70), color).save(folder / name)
                lines.append(f"{name},{label},{case},{case}/S{i}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder / "manifest.csv"
