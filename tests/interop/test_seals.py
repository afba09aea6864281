"""What the metadata says about numbers is stated twice, and compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.interop import ngff, ome_zarr
from napari_fddm.interop.seals import check_seal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GEOMETRY = MapGeometry((40, 30), 16.0, 0.25)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    image = ome_zarr.create_image(tmp_path / "a.ome.zarr", GEOMETRY, name="x")
    group = ome_zarr.create_labels(image, "refined", GEOMETRY, OSTEOSARCOMA)
    ome_zarr.write_label_window(group, Window(0, 0, 40, 30), np.ones((40, 30), np.uint8))
    return tmp_path / "a.ome.zarr" / "labels" / "refined"


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def check(labels: Path) -> None:
    check_seal(zarr.open_group(labels, mode="r"), required=True)


def dataset(values: dict[str, Any]) -> list[dict[str, Any]]:
    entry = values["attributes"]["ome"]["multiscales"][0]["datasets"][0]
    transformations: list[dict[str, Any]] = entry["coordinateTransformations"]
    return transformations


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda v: v["shape"].__setitem__(0, 41), "shape is"),
        (lambda v: v.update(fill_value=3), "fill is"),
        (lambda v: v.update(data_type="int8"), "type is"),
        (
            lambda v: v["chunk_grid"]["configuration"].update(chunk_shape=[256, 512]),
            "chunks is",
        ),
        (lambda v: v["codecs"].pop(), "codecs is"),
    ],
)
def test_a_changed_array_is_named(
    labels: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    check(labels)
    edit(labels / "0" / "zarr.json", change)
    with pytest.raises(StoreError, match=named) as caught:
        check(labels)
    assert f"{labels}/0/zarr.json" in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        lambda v: dataset(v)[0].update(scale=[5.0, 5.0]),
        lambda v: dataset(v)[1].update(translation=[0.0, 0.0]),
        lambda v: v["attributes"]["ome"]["multiscales"][0]["axes"][0].update(unit="millimeter"),
        lambda v: v["attributes"]["ome"]["image-label"]["properties"][2].update(name="necrosis"),
        lambda v: v["attributes"][ngff.BLOCK]["geometry"].update(mpp=0.5),
        lambda v: v["attributes"][ngff.BLOCK].pop("sha256"),
        lambda v: v["attributes"].pop(ngff.BLOCK),
    ],
)
def test_a_changed_scale_unit_or_class_is_refused(
    labels: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    edit(labels / "zarr.json", change)
    with pytest.raises(StoreError, match="damaged"):
        check(labels)


def test_what_changes_no_number_may_be_changed_by_others(labels: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        ome = values["attributes"]["ome"]
        ome["multiscales"][0]["name"] = "another name"
        ome["image-label"]["colors"][1]["rgba"] = [1, 2, 3, 255]
        values["attributes"]["viewer"] = {"opacity": 0.5}

    edit(labels / "zarr.json", change)
    check(labels)


def test_a_label_map_whose_chunk_is_lost_is_refused(labels: Path) -> None:
    image = labels.parent.parent
    assert ome_zarr.read_labels(image, "refined").notes == ()
    (labels / "0" / "c" / "0" / "0").unlink()
    with pytest.raises(StoreError, match=r"1 of 1 chunks .* are missing"):
        ome_zarr.read_labels(image, "refined")


def test_missing_chunks_of_other_programs_are_said(labels: Path) -> None:
    image = labels.parent.parent
    edit(labels / "zarr.json", lambda v: v["attributes"].pop(ngff.BLOCK))
    (labels / "0" / "c" / "0" / "0").unlink()
    (note,) = ome_zarr.read_labels(image, "refined").notes
    assert "1 of 1 chunks" in note
    assert "taken for 0" in note
