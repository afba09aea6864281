"""Truth in other programs' files: numbers of any type, crops with a place, sizes or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError, FddmError, StoreError
from napari_fddm.evaluation.pairs import Pair
from napari_fddm.evaluation.reading import ReadingSettings, read_label_input
from napari_fddm.evaluation.slides import SlideSettings, evaluate_slide
from tests.support.evaluating import VT, random_map, save
from tests.support.foreign_labels import scale, translation, write_labels

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("not analyzed", *(c.name for c in OSTEOSARCOMA))
WHOLE = random_map(1, (100, 160))
PLAIN = SlideSettings(calibration=False)
UM = {"PhysicalSizeX": 4.0, "PhysicalSizeY": 4.0}


def zarr_of(path: Path, labels: np.ndarray, *begin: float, cell: float = 4.0, unit="micrometer"):
    steps = [scale(cell, cell), *([translation(*begin)] if begin else [])]
    return write_labels(path, labels, steps, unit=unit, names=NAMES)


def compare(pred: Path, truth: Path, settings: SlideSettings = PLAIN):
    return evaluate_slide(Pair("s", "c", str(pred), str(truth)), settings)


@pytest.mark.parametrize("dtype", ["int64", "uint16", "int8"])
def test_class_values_of_any_type_are_read(tmp_path: Path, dtype: str):
    path = zarr_of(tmp_path / "a.ome.zarr", WHOLE.astype(dtype))
    assert np.array_equal(read_label_input(str(path), ReadingSettings()).labels, WHOLE)


def test_values_of_no_class_are_refused_or_counted(tmp_path: Path):
    labels = WHOLE.astype(np.int32)
    labels[:2, :2] = 70_001  # 4465 in 16 bits
    path = str(zarr_of(tmp_path / "a.ome.zarr", labels))
    with pytest.raises(FddmError, match="70001 in 4 px"):
        read_label_input(path, ReadingSettings())
    found = read_label_input(path, ReadingSettings(leave_out=True))
    assert not found.labels[:2, :2].any()
    assert found.about["left_out"] == {"70001": 4}
    assert any("4 px of 1 values" in note for note in found.notes)


def test_without_a_unit_only_mpp_gives_a_size(tmp_path: Path):
    path = str(zarr_of(tmp_path / "a.ome.zarr", WHOLE, unit=None))
    with pytest.raises(StoreError, match="has no unit") as caught:
        read_label_input(path, ReadingSettings())
    assert "--mpp" in caught.value.hint
    found = read_label_input(path, ReadingSettings(mpp=2.0))
    assert found.grid.cell_um == 2.0
    assert any("no unit" in note and "2 µm" in note for note in found.notes)


@pytest.mark.parametrize("begin", [(10, 30), (-5, 20), (88, 150)])
def test_a_truth_of_a_part_is_compared_in_its_place(tmp_path: Path, begin: tuple[int, int]):
    """A slice of the map itself agrees in every cell, also where it reaches over the edge."""
    pred = zarr_of(tmp_path / "p.ome.zarr", WHOLE, 0, 0)
    around = np.pad(WHOLE, 100, constant_values=VT)
    y, x = (b + 100 for b in begin)
    crop = around[y : y + 20, x : x + 10]
    truth = zarr_of(tmp_path / "t.ome.zarr", crop, *(4.0 * b for b in begin))
    found = compare(pred, truth)
    inside = WHOLE[max(0, begin[0]) : begin[0] + 20, begin[1] : begin[1] + 10]
    assert found.confusion.counts.sum() == np.trace(found.confusion.counts) == inside.size
    assert any("outside of it nothing is scored" in note for note in found.notes)


def test_sizes_that_fit_neither_the_other_map_nor_a_place_are_refused(tmp_path: Path):
    pred = zarr_of(tmp_path / "p.ome.zarr", WHOLE)
    for number, (labels, begin, cell) in enumerate(
        [(WHOLE[:50, :80], (), 4.0), (WHOLE, (), 1.0), (WHOLE, (10, 10), 4000.0)]
    ):
        truth = zarr_of(tmp_path / f"{number}.ome.zarr", labels, *begin, cell=cell)
        with pytest.raises(ConfigError, match=r"other sizes: .* mm high") as caught:
            compare(pred, truth)
        assert "translation" in caught.value.hint


def test_the_size_that_a_tiff_states_counts_and_a_contradiction_is_said(tmp_path: Path):
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, WHOLE.astype(np.uint8), ome=True, metadata=UM)
    assert read_label_input(str(path), ReadingSettings()).grid.cell_um == pytest.approx(4.0)
    found = read_label_input(str(path), ReadingSettings(mpp=8.0))
    assert found.grid.cell_um == 8.0
    assert found.notes == ("t.tif states pixels of 4 µm (OME-XML), --mpp says 8",)
    other = zarr_of(tmp_path / "p.ome.zarr", WHOLE, cell=16.0)
    with pytest.raises(ConfigError, match="other sizes"):
        compare(other, path)
    odd = UM | {"PhysicalSizeXUnit": "furlong", "PhysicalSizeYUnit": "furlong"}
    tifffile.imwrite(path, WHOLE.astype(np.uint8), ome=True, metadata=odd)
    assert "'furlong'" in read_label_input(str(path), ReadingSettings()).notes[0]


def test_what_the_truth_leaves_open_is_counted(tmp_path: Path):
    truth = WHOLE.copy()
    truth[:10] = 0
    pred, true = save(tmp_path / "p.png", WHOLE), save(tmp_path / "t.png", truth)
    settings = SlideSettings(
        pred=ReadingSettings(mpp=10.0), truth=ReadingSettings(mpp=10.0), calibration=False
    )
    notes = compare(pred, true, settings).notes
    assert any("1600 cells (0.16 mm²) that the prediction labels" in note for note in notes)
    assert not any("no class in the truth" in note for note in compare(true, pred).notes)


def test_chunks_that_are_not_stored_are_said(tmp_path: Path):
    path = zarr_of(tmp_path / "a.ome.zarr", WHOLE)
    (path / "labels/tissue/0/c/0/0").unlink()
    assert read_label_input(str(path), ReadingSettings()).notes == (
        "1 of 6 chunks of a.ome.zarr, tissue is not stored: it counts as not labeled",
    )
