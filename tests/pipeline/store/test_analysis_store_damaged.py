"""No byte of an analysis changes a number without a word."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.core.tiling import TileGrid
from napari_fddm.interop import ozx
from napari_fddm.pipeline.outputs import export_store, read_report
from napari_fddm.pipeline.store import AnalysisStore, StoreGeometries
from tests.support.stores import make, random_labels, random_probs, stroke

if TYPE_CHECKING:
    from pathlib import Path

GEOMETRIES = StoreGeometries.of_grid(TileGrid((1000, 1400), 0.5, 1.0), 8.0)
LABELS = GEOMETRIES.label.shape
CELLS = GEOMETRIES.cell.shape


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An analysis of six tiles that was finished, with a stroke of a reader."""
    path = tmp_path_factory.mktemp("whole") / "slide.fddm.ome.zarr"
    rng = np.random.default_rng(3)
    run = {"coverage": 0.9, "config": {"seed": 1}}
    with make(path, geometries=GEOMETRIES, provenance=run) as store:
        window = Window(0, 0, *LABELS)
        store.maps.write_overview(window, rng.integers(0, 255, (*LABELS, 3)).astype(np.uint8))
        tiles = np.argwhere(np.ones(GEOMETRIES.tile.shape, bool))[:5]
        patch, cells = random_probs(rng, 5, 7), random_probs(rng, 5, 7, 8, 8)
        store.maps.write_tiles(tiles, patch, cells, cells[:, :6])
        refined = random_probs(rng, 7, *CELLS, axis=0)
        labels = random_labels(rng, LABELS)
        store.maps.write_refined(window, labels, Window(0, 0, *CELLS), refined)
        store.finish()
    with AnalysisStore.open(path, "r+") as store:
        labels = store.labels("corrected")
        store.corrections.append_edit(stroke(labels, Window(3, 3, 20, 30), 2))
        store.corrections.add_reader("dee")
    return path


def everything(path: Path) -> dict[str, Any]:
    """Return all numbers that come out of an analysis."""
    with AnalysisStore.open(path) as store:
        names = ("patch", "refined", *store.corrections.layers)
        found: dict[str, Any] = {name: store.labels(name).tobytes() for name in names}
        for name in ("patch", "cell", "refined"):
            maps = store.maps.probability_map(name)  # type: ignore[arg-type]
            found[f"{name} maps"] = maps.probs.tobytes() + maps.coverage.tobytes()
        found["features"] = store.maps.tissue_features().tobytes()
        found["overview"] = store.maps.overview().tobytes()
    return found | {name: read_report(path, label=name) for name in ("refined", "corrected")}


def test_no_damage_to_a_file_changes_a_number_without_a_word(whole: Path, tmp_path: Path) -> None:
    path = shutil.copytree(whole, tmp_path / whole.name)
    right = everything(path)
    rng = np.random.default_rng(15)
    files = [p for p in sorted(path.rglob("*")) if p.is_file() and not p.name.endswith(".lock")]
    refused = 0
    for file in files:
        data = file.read_bytes()
        at = int(rng.integers(len(data)))
        flipped = data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]
        if file.name == "events.jsonl":
            continue  # the log has tests of its own
        for damaged in (flipped, data[:at], None):
            file.unlink()
            if damaged is not None:
                file.write_bytes(damaged)
            try:
                assert everything(path) == right, file
            except StoreError:
                refused += 1
            file.write_bytes(data)
    assert refused > len(files)
    assert everything(path) == right


def test_no_flipped_byte_of_a_packed_export_changes_a_number_without_a_word(
    whole: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "slide.ozx"
    with AnalysisStore.open(whole) as store:
        export_store(store, packed)
    data = packed.read_bytes()
    with ozx.unpacked(packed) as folder:
        right = everything(folder)
    rng = np.random.default_rng(16)
    directory = data.rindex(b"PK\x05\x06")
    places = [
        *rng.integers(len(data), size=10),
        *rng.integers(directory - 4000, len(data), size=25),
    ]
    refused = 0
    for at in places:
        packed.write_bytes(
            data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]
        )
        try:
            with ozx.unpacked(packed) as folder:
                assert everything(folder) == right, at
        except StoreError:
            refused += 1
    assert refused > len(places) // 3
