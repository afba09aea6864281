from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models.v05.image import Image
from ome_zarr_models.v05.image_label import ImageLabelAttrs

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable, Role, TissueClass
from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.interop import ngff, ome_zarr, validation
from napari_fddm.interop.pyramids import mean_halved, mode_halved

LABELS = MapGeometry((700, 900), 16.0, 0.25)
TILES = MapGeometry((11, 15), 1024.0, 0.25)


def build(path, seed=0):
    rng = np.random.default_rng(seed)
    image = ome_zarr.create_image(path, LABELS, name="slide")
    rgb = rng.integers(0, 256, (*LABELS.shape, 3)).astype(np.uint8)
    ome_zarr.write_image_window(image, Window(0, 0, *LABELS.shape), rgb)
    ome_zarr.rebuild_image_pyramid(image)
    maps = {}
    for name, geometry in (("patch", TILES), ("refined", LABELS)):
        group = ome_zarr.create_labels(image, name, geometry, OSTEOSARCOMA)
        maps[name] = rng.integers(0, 8, geometry.shape).astype(np.uint8)
        ome_zarr.write_label_window(group, Window(0, 0, *geometry.shape), maps[name])
        ome_zarr.rebuild_label_pyramid(group)
    return rgb, maps


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.ome.zarr"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("built") / "a.ome.zarr"
    return (path, *build(path))


def edit_json(file, change):
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


def test_p28_what_is_written_is_valid_and_comes_back(built):
    path, rgb, maps = built
    validation.validate(path)
    for name, geometry in (("patch", TILES), ("refined", LABELS)):
        data = ome_zarr.read_labels(path, name)
        assert np.array_equal(data.labels, maps[name])
        assert data.geometry == geometry
        assert data.table == OSTEOSARCOMA
        assert data.exact
    assert np.array_equal(np.moveaxis(zarr.open_array(path / "0", mode="r")[...], 0, 2), rgb)


def test_another_library_accepts_every_part(built):
    path, _, _ = built
    image = Image.from_zarr(zarr.open_group(path, mode="r"))
    assert image.labels is not None
    assert image.labels.label_paths == ["patch", "refined"]
    for name in image.labels.label_paths:
        ome = zarr.open_group(path / "labels" / name, mode="r").attrs["ome"]
        label = ImageLabelAttrs.model_validate(ome).image_label
        assert label is not None
        assert label.version == "0.5"
        assert {c.label_value: c.rgba[:3] for c in label.colors if c.label_value} == {
            c.value: c.display_rgb for c in OSTEOSARCOMA
        }
        assert label.colors[0].rgba[3] == 0
        assert (path / "labels" / name / label.source.image / "zarr.json").resolve() == (
            path / "zarr.json"
        ).resolve()


def test_p28_a_foreign_reader_finds_labels_that_lie_on_the_image(built):
    path, _, maps = built
    nodes = {node.zarr.basename(): node for node in Reader(parse_url(path))()}
    assert {"a.ome.zarr", "patch", "refined"} <= set(nodes)
    assert np.array_equal(np.asarray(nodes["refined"].data[0]), maps["refined"])
    image_steps = nodes["a.ome.zarr"].metadata["coordinateTransformations"]
    for name, geometry in (("patch", TILES), ("refined", LABELS)):
        label_steps = nodes[name].metadata["coordinateTransformations"]
        assert len(label_steps) == len(image_steps)
        for level, steps in enumerate(label_steps):
            scale, shift = np.array(steps[0]["scale"]), np.array(steps[1]["translation"])
            # The upper left edge of every level is the upper left edge of level-0 pixel 0.
            assert np.allclose(shift - scale / 2, -0.25 / 2)
            assert np.allclose(scale, geometry.cell_um * 2**level)
    for steps in image_steps:
        scale, shift = np.array(steps[0]["scale"][1:]), np.array(steps[1]["translation"][1:])
        assert np.allclose(shift - scale / 2, -0.25 / 2)
    properties = nodes["refined"].metadata["properties"]
    assert properties[3] == {"name": "necrosis", "short": "NC"}


def test_coarser_levels_hold_modes_and_means(built):
    path, rgb, maps = built
    level = np.moveaxis(rgb, 2, 0)
    labels = maps["refined"]
    for index in (1, 2):
        level, labels = mean_halved(level), mode_halved(labels)
        assert np.array_equal(zarr.open_array(path / str(index), mode="r")[...], level)
        stored = zarr.open_array(path / "labels" / "refined" / str(index), mode="r")[...]
        assert np.array_equal(stored, labels)


windows = st.builds(
    Window, st.integers(-90, 700), st.integers(-90, 900), st.integers(1, 300), st.integers(1, 300)
)


@settings(max_examples=12, deadline=None)
@given(windows, st.integers(0, 7))
def test_updating_the_pyramid_of_a_window_equals_updating_all(built, window, value):
    path, _, maps = built
    group = ome_zarr.open_group(path, "labels/refined", mode="r+")
    patch = np.full((window.height, window.width), value, np.uint8)
    ome_zarr.write_label_window(group, window, patch)
    ome_zarr.rebuild_label_pyramid(group, window)
    expected = group["0"][...]
    inside = window.clipped(LABELS.shape)
    assert (expected[inside.slices] == value).all()
    for index in (1, 2):
        expected = mode_halved(expected)
        assert np.array_equal(group[str(index)][...], expected)
    ome_zarr.write_label_window(group, Window(0, 0, *LABELS.shape), maps["refined"])
    ome_zarr.rebuild_label_pyramid(group)


def test_another_class_table_and_an_origin_come_back(path):
    table = ClassTable(
        (
            TissueClass(1, "A", "äußeres", Role.OUTSIDE, (1, 2, 3), (4, 5, 6)),
            TissueClass(2, "B", "b", Role.VIABLE, (0, 0, 0), (255, 255, 255)),
        )
    )
    geometry = MapGeometry((3, 5), 7.3, 0.2513, (12.5, -3.25))
    image = ome_zarr.create_image(path, geometry, name="x")
    group = ome_zarr.create_labels(image, "mine", geometry, table)
    validation.validate(path)
    with pytest.raises(StoreError, match="1 of 1 chunks"):
        ome_zarr.read_labels(path, "mine")
    ome_zarr.write_label_window(group, Window(0, 0, 3, 5), np.zeros((3, 5), np.uint8))
    data = ome_zarr.read_labels(path, "mine")
    assert (data.geometry, data.table, data.notes) == (geometry, table, ())


def make_foreign(path):
    """Leave nothing of ours in a store."""
    for file in path.rglob("zarr.json"):
        edit_json(file, lambda v: v.get("attributes", {}).pop(ngff.BLOCK, None))


def test_without_our_block_the_place_follows_from_ngff(path):
    _, maps = build(path)
    make_foreign(path)
    validation.validate(path)
    data = ome_zarr.read_labels(path, "refined")
    assert not data.exact
    assert np.array_equal(data.labels, maps["refined"])
    assert data.geometry.scale == pytest.approx(LABELS.scale)
    assert data.geometry.translate == pytest.approx(LABELS.translate)
    assert data.geometry.cell == 1.0
    assert data.table == OSTEOSARCOMA  # told by the class names alone
    known = ome_zarr.read_labels(path, "refined", mpp=0.25).geometry
    assert known.cell == pytest.approx(LABELS.cell)
    assert known.origin == pytest.approx(LABELS.origin)


def test_foreign_class_names_are_not_given_a_meaning(path):
    build(path)
    make_foreign(path)

    def rename(values):
        label = values["attributes"]["ome"]["image-label"]
        label["properties"][2]["name"] = "tumour, perhaps"

    edit_json(path / "labels" / "refined" / "zarr.json", rename)
    assert ome_zarr.read_labels(path, "refined").table is None


@pytest.mark.parametrize("dtype", ["int32", "uint16"])
def test_a_foreign_map_of_another_integer_type_is_read(path, dtype):
    build(path)
    make_foreign(path)
    folder = path / "labels" / "patch" / "0"
    values = zarr.open_array(folder, mode="r")[...]
    shutil.rmtree(folder)
    array = zarr.create_array(folder, shape=values.shape, dtype=dtype, dimension_names=("y", "x"))
    array[...] = values
    validation.validate(path)
    data = ome_zarr.read_labels(path, "patch")
    assert data.labels.dtype == np.uint8
    assert np.array_equal(data.labels, values)
    array[0, 0] = 300
    with pytest.raises(StoreError, match="not a class map"):
        ome_zarr.read_labels(path, "patch")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b"])
def test_impossible_label_names_are_refused(path, name):
    image = ome_zarr.create_image(path, LABELS, name="x")
    with pytest.raises(StoreError):
        ome_zarr.create_labels(image, name, LABELS, OSTEOSARCOMA)
    validation.validate(path)


def test_nothing_is_overwritten(path):
    build(path)
    with pytest.raises(StoreError, match="exists"):
        ome_zarr.create_image(path, LABELS, name="x")
    image = ome_zarr.open_group(path, mode="r+")
    with pytest.raises(StoreError, match="exists"):
        ome_zarr.create_labels(image, "refined", LABELS, OSTEOSARCOMA)
    validation.validate(path)


def test_a_label_map_is_listed_only_when_it_is_whole(path, monkeypatch):
    image = ome_zarr.create_image(path, LABELS, name="x")
    ome_zarr.create_labels(image, "patch", TILES, OSTEOSARCOMA)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ome_zarr, "create_level", fail)
    with pytest.raises(StoreError, match="No space left"):
        ome_zarr.create_labels(image, "refined", LABELS, OSTEOSARCOMA)
    validation.validate(path)


def test_windows_must_fit_their_values(path):
    image = ome_zarr.create_image(path, LABELS, name="x")
    group = ome_zarr.create_labels(image, "refined", LABELS, OSTEOSARCOMA)
    for values in (np.zeros((3, 4), np.uint8), np.zeros((4, 4), np.int64)):
        with pytest.raises(StoreError, match="window"):
            ome_zarr.write_label_window(group, Window(0, 0, 4, 4), values)
    with pytest.raises(StoreError, match="RGB"):
        ome_zarr.write_image_window(image, Window(0, 0, 4, 4), np.zeros((4, 4, 4), np.uint8))


def test_a_damaged_chunk_is_an_error_not_a_value(path):
    build(path)
    chunk = path / "labels" / "refined" / "0" / "c" / "0" / "0"
    raw = bytearray(chunk.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    chunk.write_bytes(bytes(raw))
    with pytest.raises(StoreError, match="damaged"):
        ome_zarr.read_labels(path, "refined")


def test_large_images_are_sharded_and_labels_never(path):
    geometry = MapGeometry((30, 20_000), 4.0, 0.25)
    image = ome_zarr.create_image(path, geometry, name="wide")
    labels = ome_zarr.create_labels(image, "refined", geometry, OSTEOSARCOMA)
    assert image["0"].shards == (3, 2048, 2048)
    assert image["1"].shards is None
    assert labels["0"].shards is None
    window = Window(3, 2000, 10, 100)
    rgb = np.full((10, 100, 3), 7, np.uint8)
    ome_zarr.write_image_window(image, window, rgb)
    assert (image["0"][(slice(None), *window.slices)] == 7).all()
    assert image["0"][0, 0, 0] == 255
    validation.validate(path)


def test_an_image_without_labels_is_valid(path):
    ome_zarr.create_image(path, MapGeometry((1, 1), 16.0, 0.25), name="tiny")
    validation.validate(path)
    with pytest.raises(StoreError, match="labels/none"):
        ome_zarr.read_labels(path, "none")
