"""Saving layers through napari: what is written is valid and comes back the same."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari_ome_zarr import napari_get_reader
from npe2 import PluginManager

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.events import RegionRefined
from napari_fddm.core.geometry import Window
from napari_fddm.interop import label_files, validation
from napari_fddm.interop.label_files import Drawn, Place, read_label_file, write_label_file
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.plugin.contributions.reader import get_reader
from napari_fddm.plugin.contributions.writer import write_layers
from napari_fddm.plugin.layers.napari_colormap import class_colormap
from tests.support.disks import small_disk

pytestmark = pytest.mark.gui

PLACE = {"scale": (3.0, 2.0), "translate": (40.0, -7.0), "units": ("um", "um")}
SUFFIXES = (".ome.zarr", ".ozx")


@pytest.fixture(autouse=True)
def known_plugins():
    PluginManager.instance().discover()  # a window would have done it


@pytest.fixture
def random():
    return np.random.default_rng(3)


def saved(path, *layers):
    viewer = ViewerModel()
    for layer in layers:
        viewer.add_layer(layer)
    assert viewer.layers.save(str(path), plugin="napari-fddm") == [str(path)]
    validation.validate(path)
    return path


def read_again(path):
    return {
        options["name"]: (data, options) for data, options, _ in get_reader(str(path))(str(path))
    }


def has_our_colors(options):
    found, ours = options["colormap"].color_dict, class_colormap(OSTEOSARCOMA).color_dict
    return set(found) == set(ours) and all(np.array_equal(found[k], ours[k]) for k in ours)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("top", "dtype"), [(9, "int64"), (300, "int32"), (70_000, "uint32")])
def test_any_labels_come_back_with_values_and_place(tmp_path, random, suffix, top, dtype):
    labels = random.integers(0, top + 1, (300, 517)).astype(dtype)
    labels[0, 0] = top
    path = saved(tmp_path / f"x{suffix}", Labels(labels, name="my cells / 1", **PLACE))
    again = read_again(path)
    data, options = again["my-cells-1"]
    assert np.array_equal(data, labels)
    assert data.dtype.kind == "u"
    assert (options["scale"], options["translate"]) == (PLACE["scale"], PLACE["translate"])
    assert options["units"] == ("um", "um")
    assert "colormap" not in options
    layer = Labels(data, **options)
    assert np.allclose(layer.extent.world, Labels(labels, **PLACE).extent.world)


def test_napari_ome_zarr_opens_labels_where_they_lie(tmp_path, random):
    labels = random.integers(0, 8, (300, 517))
    path = saved(tmp_path / "x.ome.zarr", Labels(labels, name="cells", **PLACE))
    found = {
        kind: (data, options) for data, options, kind in napari_get_reader(str(path))(str(path))
    }
    data, options = found["labels"]
    finest = np.asarray(data[0] if isinstance(data, list) else data)
    assert np.array_equal(finest, labels)
    assert tuple(options["scale"]) == PLACE["scale"]
    assert "image" in found


def test_millimeters_become_micrometers_and_pixels_stay_pixels(tmp_path):
    labels = np.ones((4, 5), np.uint8)
    mm = saved(
        tmp_path / "a.ome.zarr", Labels(labels, name="a", scale=(0.5, 0.5), units=("mm", "mm"))
    )
    assert read_again(mm)["a"][1]["scale"] == (500.0, 500.0)
    pixels = saved(tmp_path / "b.ome.zarr", Labels(labels, name="a", scale=(2.0, 2.0)))
    assert read_again(pixels)["a"][1]["units"] == ("pixel", "pixel")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_image_goes_along(tmp_path, random, suffix):
    rgb = random.integers(0, 256, (300, 400, 3)).astype(np.uint8)
    labels = random.integers(0, 8, (150, 200))
    path = saved(
        tmp_path / f"x{suffix}",
        Image(rgb, rgb=True, name="tissue", **PLACE),
        Labels(labels, name="cells", **PLACE),
        Labels(labels + 1, name="cells", **PLACE),
    )
    again = read_again(path)
    assert set(again) == {"image", "cells", "cells-1"}
    assert np.array_equal(again["image"][0], rgb)
    assert again["image"][1]["rgb"]
    assert np.array_equal(again["cells-1"][0], labels + 1)


def test_a_slide_goes_along_only_as_fine_as_its_labels(tmp_path):
    pyramid = [
        da.full((n, n, 3), k, dtype=np.uint8, chunks=1000)
        for k, n in enumerate((8000, 4000, 2000, 1000))
    ]
    um = {"units": ("um", "um")}
    slide = Image(pyramid, rgb=True, multiscale=True, scale=(0.5, 0.5), **um)
    labels = Labels(np.ones((1000, 1000), np.uint8), scale=(4.0, 4.0), translate=(1.75, 1.75), **um)
    again = read_again(saved(tmp_path / "x.ome.zarr", slide, labels))
    data, options = again["image"]
    assert data.shape == (1000, 1000, 3)
    assert (data == 3).all()
    assert (options["scale"], options["translate"]) == ((4.0, 4.0), (1.75, 1.75))


def test_what_is_there_is_never_replaced(tmp_path):
    place = tmp_path / "x.ome.zarr"
    place.mkdir()
    (place / "mine").write_text("precious")
    with pytest.raises(StoreError, match="exists already"):
        write_layers(str(place), [(np.ones((3, 3), np.uint8), {}, "labels")])
    assert [p.name for p in tmp_path.rglob("*")] == ["x.ome.zarr", "mine"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (np.full((3, 3), -1), "from -1"),
        (np.ones((2, 3, 3), int), "shape"),
        (np.ones((3, 3)), "float64"),
    ],
)
def test_what_are_no_labels_is_refused_and_leaves_nothing(tmp_path, data, said):
    with pytest.raises(StoreError, match=said):
        write_layers(str(tmp_path / "x.ome.zarr"), [(data, {}, "labels")])
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_one_file_is_refused(tmp_path):
    labels, image = np.ones((3, 3), np.uint8), np.ones((3, 3), np.uint8)
    path = str(tmp_path / "x.ome.zarr")
    turned = {"affine": [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]}
    for layers in (
        [(labels, {}, "labels"), (image, {}, "image"), (image, {}, "image")],
        [(labels, {}, "labels"), (np.ones((3, 3)), {}, "image")],
        [(labels, turned, "labels")],
        [(image, {}, "image")],
    ):
        with pytest.raises(ConfigError):
            write_layers(path, layers)
    with pytest.raises(ConfigError, match=r"end with \.ome\.zarr"):
        write_layers(str(tmp_path / "x.zip"), [(labels, {}, "labels")])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_file(tmp_path, random):
    labels = random.integers(0, 60_000, (3000, 3000)).astype(np.uint16)
    with small_disk(tmp_path / "disk", "4m") as disk:
        with pytest.raises(StoreError, match="No space left"):
            write_layers(str(disk.folder / "x.ome.zarr"), [(labels, {}, "labels")])
        assert list(disk.folder.iterdir()) == []


def test_a_large_map_is_read_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(label_files, "_BLOCK", 512)
    largest = 0

    class Lazy:
        shape, dtype, ndim = (3000, 2000), np.dtype(np.uint8), 2

        def __getitem__(self, key):
            nonlocal largest
            part = np.ones(self.shape, np.uint8)[key]
            largest = max(largest, part.size)
            return part

    write_label_file(tmp_path / "x", {"a": Drawn(Lazy(), Place())})
    assert largest <= 512**2
    _, labels = read_label_file(tmp_path / "x")
    assert (labels["a"].data == 1).all()


def test_a_layer_of_an_analysis_saves_all_of_it_as_shown(bench, tmp_path):
    bench.start()
    shape = bench.controller.current.layer.data.shape
    bench.answer(RegionRefined(Window(0, 0, *shape), np.full(shape, 3, np.uint8), 1, 1))
    layer = bench.controller.current.layer
    layer.data[5:9, 5:9] = 2  # what the disk has not got
    path = tmp_path / "x.ome.zarr"
    layer.save(str(path), plugin="napari-fddm")
    validation.validate(path)
    with AnalysisStore.open(path) as copy:
        assert np.array_equal(copy.labels("corrected"), layer.data)
        assert copy.slide_info["name"] == "slide abc"
    again = read_again(path)
    data, options = again["corrected classes — slide abc"]
    assert np.array_equal(data, layer.data)
    assert has_our_colors(options)


def test_stored_labels_keep_their_classes(tmp_path, random):
    labels = random.integers(0, 8, (30, 40)).astype(np.uint8)
    block = {"metadata": {"napari_fddm": {"role": "stored", "label": "corrected"}}}
    path = saved(tmp_path / "x.ozx", Labels(labels, name="mine", **block, **PLACE))
    data, options = read_again(path)["mine"]
    assert np.array_equal(data, labels)
    assert has_our_colors(options)
