from __future__ import annotations

import shutil

import pytest
import zarr

from napari_fddm.core.errors import StoreError
from napari_fddm.interop import validation
from tests.interop.test_ome_zarr import build, edit_json


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("built") / "a.ome.zarr"
    build(path)
    return path


def metadata_of(path, part):
    return path / part / "zarr.json" if part else path / "zarr.json"


def in_ome(*keys, value):
    def change(values):
        place = values["attributes"]["ome"]
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("part", "change", "named"),
    [
        ("", in_ome("version", value="0.4"), "image"),
        ("", in_ome("multiscales", value=[]), "image"),
        ("", in_ome("multiscales", 0, "datasets", 0, "path", value="9"), "image"),
        ("", in_ome("multiscales", 0, "axes", 1, "type", value="time"), "image"),
        ("", lambda v: v["attributes"].pop("ome"), "no OME metadata"),
        ("labels", lambda v: v["attributes"]["ome"].pop("version"), "list of labels"),
        ("labels", in_ome("labels", value=["patch", "gone"]), "gone is listed but missing"),
        ("labels/refined", in_ome("multiscales", 0, "datasets", value=[]), "refined"),
        ("labels/refined", in_ome("image-label", "version", value="9"), "refined"),
        ("labels/refined", in_ome("image-label", "colors", 0, "rgba", value=[0, 0]), "refined"),
        (
            "labels/refined",
            in_ome("image-label", "colors", 0, "label-value", value=1),
            "refined",
        ),
        ("labels/refined", lambda v: v["attributes"]["ome"].pop("image-label"), "refined"),
        ("labels/refined", lambda v: v.pop("node_type"), "node_type"),
        (
            "labels/refined",
            in_ome("multiscales", 0, "datasets", 0, "coordinateTransformations", 1,
                   "translation", value=[0.0, 0.0]),
            "its scales, units or class names are not those that were written",
        ),
    ],
)  # fmt: skip
def test_validation_names_the_path_and_the_part_that_fails(built, tmp_path, part, change, named):
    path = tmp_path / "damaged.ome.zarr"
    shutil.copytree(built, path)
    edit_json(metadata_of(path, part), change)
    with pytest.raises(StoreError, match=named) as caught:
        validation.validate(path)
    assert "damaged.ome.zarr" in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("part", ["1", "labels/refined/2", "labels/patch"])
def test_validation_misses_no_missing_part(built, tmp_path, part):
    path = tmp_path / "damaged.ome.zarr"
    shutil.copytree(built, path)
    shutil.rmtree(path / part)
    with pytest.raises(StoreError, match=r"damaged\.ome\.zarr"):
        validation.validate(path)


def test_strangers_are_refused(tmp_path):
    (tmp_path / "file.txt").write_text("hello")
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "zarr.json").write_text("{ not json")
    zarr.create_group(tmp_path / "v2", zarr_format=2)
    zarr.create_array(tmp_path / "array", shape=(3, 3), dtype="uint8")
    zarr.create_group(tmp_path / "plain", zarr_format=3)
    for name in ("missing", "file.txt", "junk", "v2", "array", "plain"):
        with pytest.raises(StoreError, match=name) as caught:
            validation.validate(tmp_path / name)
        assert caught.value.hint
