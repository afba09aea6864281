"""Label maps of other programs: any whole numbers, with the place that they state or none."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.interop.label_images import label_names, read_label_image
from tests.support.foreign_labels import scale, translation, write_labels

if TYPE_CHECKING:
    from pathlib import Path

VALUES = np.arange(80 * 100).reshape(80, 100)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int32", "uint32", "int64"])
def test_whole_numbers_of_every_type_come_unchanged(tmp_path: Path, dtype: str):
    labels = (VALUES % 100).astype(dtype)
    found = read_label_image(write_labels(tmp_path / "a", labels, [scale(4, 4)]), "tissue")
    assert np.array_equal(found.values, labels)
    assert found.values.dtype == labels.dtype
    assert found.not_stored == (0, 4)


def test_numbers_of_objects_do_not_wrap(tmp_path: Path):
    labels = VALUES.astype(np.int64) + 65_536
    found = read_label_image(write_labels(tmp_path / "a", labels, [scale(4, 4)]), "tissue")
    assert (found.values.min(), found.values.max()) == (65_536, 65_536 + 7_999)


@pytest.mark.parametrize(
    ("steps", "of_all", "cell", "begin"),
    [
        ([scale(4, 4), translation(530, 12.5)], [], 4.0, (530.0, 12.5)),
        ([translation(10, 20), scale(4, 4)], [], 4.0, (40.0, 80.0)),
        ([scale(2, 2), translation(3, 4)], [scale(2, 2), translation(-1, -9)], 4.0, (5.0, -1.0)),
        ([scale(4, 4), {"type": "identity"}, translation(-7.25, 0)], [], 4.0, (-7.25, 0.0)),
    ],
)
def test_every_transformation_counts_in_its_order(tmp_path: Path, steps, of_all, cell, begin):
    path = write_labels(tmp_path / "a", VALUES, steps, of_all=of_all)
    found = read_label_image(path, "tissue")
    assert found.placed
    assert found.geometry.cell_um == pytest.approx(cell)
    assert found.geometry.translate == pytest.approx(begin)


def test_a_map_without_a_translation_does_not_say_where_it_begins(tmp_path: Path):
    assert not read_label_image(
        write_labels(tmp_path / "a", VALUES, [scale(4, 4)]), "tissue"
    ).placed


def test_without_a_unit_there_is_no_size(tmp_path: Path):
    bare = write_labels(tmp_path / "a", VALUES, [scale(4, 4)], unit=None)
    found = read_label_image(bare, "tissue")
    assert found.geometry is None
    assert "no unit" in found.unit_problem
    with pytest.raises(StoreError, match="'furlong'"):
        read_label_image(
            write_labels(tmp_path / "b", VALUES, [scale(4, 4)], unit="furlong"), "tissue"
        )


def test_planes_of_deeper_maps_and_of_zarr_2_are_read(tmp_path: Path):
    steps = [scale(1, 1, 1, 4, 4), translation(0, 0, 0, 8, 12)]
    path = write_labels(tmp_path / "a", VALUES[None, None, None], steps, axes="tczyx")
    found = read_label_image(path, "tissue")
    assert np.array_equal(found.values, VALUES)
    assert found.geometry.translate == pytest.approx((8.0, 12.0))
    old = write_labels(tmp_path / "b", VALUES, [scale(4, 4)], zarr_format=2)
    assert label_names(old) == ["tissue"]
    assert np.array_equal(read_label_image(old, "tissue").values, VALUES)


@pytest.mark.parametrize(
    ("labels", "axes", "words"),
    [
        (VALUES.astype(np.float32), "yx", "not whole numbers"),
        (np.stack([VALUES, VALUES]), "zyx", "no single plane"),
        (VALUES, "xy", "no single plane"),
        (VALUES, "zyx", "3 axes"),
    ],
)
def test_what_is_no_label_map_is_refused(tmp_path: Path, labels, axes, words):
    path = write_labels(tmp_path / "a", labels, [scale(*(4,) * len(axes))], axes=axes)
    with pytest.raises(StoreError, match=words):
        read_label_image(path, "tissue")


def test_chunks_that_are_not_there_are_counted_and_damaged_ones_refused(tmp_path: Path):
    path = write_labels(tmp_path / "a", VALUES + 1, [scale(4, 4)])
    chunk = path / "labels/tissue/0/c/0/1"
    stored = chunk.read_bytes()
    chunk.write_bytes(stored[: len(stored) // 2])
    with pytest.raises(StoreError, match="tissue/0"):
        read_label_image(path, "tissue")
    chunk.unlink()
    found = read_label_image(path, "tissue")
    assert found.not_stored == (1, 4)
    assert found.notes("a", "no tissue") == (
        "1 of 4 chunks of a is not stored: it counts as no tissue",
    )
    assert not found.values[:64, 64:].any()


def test_damaged_metadata_is_one_sentence(tmp_path: Path):
    for number, damage in enumerate(
        ('{"attributes": {"ome" {', '{"attributes": {"ome": 3}}', "[]")
    ):
        path = write_labels(tmp_path / str(number), VALUES, [scale(4, 4)])
        (path / "labels/zarr.json").write_text(damage)
        with pytest.raises(StoreError, match="labels"):
            label_names(path)
    path = write_labels(tmp_path / "huge", VALUES, [scale(4, 4)])
    about = path / "labels/tissue/0/zarr.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"shape": [80, 10**18]}))
    with pytest.raises(StoreError, match="impossible shape"):
        read_label_image(path, "tissue")
    shutil.rmtree(path / "labels/tissue/0")
    with pytest.raises(StoreError, match="tissue/0"):
        read_label_image(path, "tissue")


def test_a_rotation_is_not_passed_over(tmp_path: Path):
    steps = [scale(4, 4), {"type": "rotation", "rotation": [0, 1, -1, 0]}]
    with pytest.raises(StoreError, match="'rotation'"):
        read_label_image(write_labels(tmp_path / "a", VALUES, steps), "tissue")
