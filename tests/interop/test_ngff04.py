from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr

from napari_fddm.core.errors import StoreError
from napari_fddm.interop import ngff, ngff04, validation
from tests.interop.test_ome_zarr import build


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    rgb, maps = build(folder / "new.ome.zarr")
    ngff04.write_v04(folder / "new.ome.zarr", folder / "old.ome.zarr")
    return folder / "old.ome.zarr", rgb, maps


def attributes(path, part=""):
    return json.loads((path / part / ".zattrs").read_text())


def test_values_and_layout(converted):
    path, rgb, maps = converted
    validation.validate_v04(path)
    root = zarr.open_group(path, mode="r", zarr_format=2)
    np.testing.assert_array_equal(np.moveaxis(root["0"][...], 0, 2), rgb)
    for name, labels in maps.items():
        np.testing.assert_array_equal(root[f"labels/{name}/0"][...], labels)
        assert root[f"labels/{name}/0"].dtype == np.uint8
    assert (path / "0" / "0" / "1" / "1").is_file()  # chunk (0, 1, 1): "/" between numbers
    assert not list(path.rglob("zarr.json"))


def test_attributes_are_where_version_04_wants_them(converted):
    path, _, _ = converted
    image = attributes(path)
    assert "ome" not in image
    assert image["multiscales"][0]["version"] == image["omero"]["version"] == "0.4"
    assert attributes(path, "labels") == {"labels": ["patch", "refined"]}
    label = attributes(path, "labels/refined")
    assert label["image-label"]["version"] == "0.4"
    assert label["image-label"]["source"] == {"image": "../../"}
    assert [c["label-value"] for c in label["image-label"]["colors"]] == list(range(8))


@pytest.mark.parametrize(
    ("part", "change", "named"),
    [
        ("", lambda v: v["multiscales"][0].pop("axes"), "the image"),
        ("", lambda v: v["multiscales"][0]["datasets"][0].update(path="9"), "the image"),
        ("labels/refined", lambda v: v["multiscales"][0]["datasets"].clear(), "labels/refined"),
        (
            "labels/patch",
            lambda v: v["image-label"]["colors"][0].update({"rgba": [1]}),
            "labels/patch",
        ),
    ],
)
def test_validation_names_what_is_wrong(converted, tmp_path, part, change, named):
    path = tmp_path / "damaged.ome.zarr"
    shutil.copytree(converted[0], path)
    values = attributes(path, part)
    change(values)
    (path / part / ".zattrs").write_text(json.dumps(values))
    with pytest.raises(StoreError, match=named) as caught:
        validation.validate_v04(path)
    assert "damaged.ome.zarr" in str(caught.value)
    assert caught.value.hint


def test_our_copies_are_told_from_others(converted, tmp_path):
    path, _, _ = converted
    assert ngff04.is_v04_export(path)
    other = tmp_path / "other.ome.zarr"
    shutil.copytree(path, other)
    values = attributes(other)
    del values[ngff.BLOCK]
    (other / ".zattrs").write_text(json.dumps(values))
    assert not ngff04.is_v04_export(other)
    (other / ".zattrs").write_text("not json")
    assert not ngff04.is_v04_export(other)
    (tmp_path / "link").symlink_to(path)
    assert not ngff04.is_v04_export(tmp_path / "link")
    assert not ngff04.is_v04_export(tmp_path / "gone")


def test_a_damaged_source_is_an_error(tmp_path):
    build(tmp_path / "new.ome.zarr")
    chunk = tmp_path / "new.ome.zarr" / "labels" / "refined" / "0" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(StoreError, match="damaged"):
        ngff04.write_v04(tmp_path / "new.ome.zarr", tmp_path / "old.ome.zarr")
