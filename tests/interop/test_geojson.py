"""GeoJSON as QuPath and other programs write it."""

from __future__ import annotations

import gzip
import json
import os

import numpy as np
import pytest

from napari_fddm.core.errors import DataError
from napari_fddm.interop.geojson import is_geojson, read_outlines

SQUARE = [[0, 0], [9, 0], [9, 5], [0, 5], [0, 0]]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE]}


def feature(said=None, geometry=POLYGON):
    properties = {} if said is None else {"classification": said}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def ring(corners):
    return feature("A", {"type": "Polygon", "coordinates": [corners]})


def read(tmp_path, content, name="a.geojson"):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (tmp_path / name).write_bytes(data)
    return read_outlines(tmp_path / name)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"name": "Necrosis", "color": [1, 2, 3]}, "Necrosis"),
        ({"names": ["Necrosis"], "color": [1, 2, 3]}, "Necrosis"),
        ({"names": ["Tumor", "Positive"]}, "Tumor: Positive"),
        ({"name": "Tumor: Positive", "names": ["Tumor", "Positive"]}, "Tumor: Positive"),
        ("Necrosis", "Necrosis"),
        ({"name": " ", "names": []}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_class_is_named_in_any_version(tmp_path, said, name):
    found = read(tmp_path, {"type": "FeatureCollection", "features": [feature(said)]})
    assert [o.name for o in found.outlines] == ([] if name is None else [name])
    assert found.unnamed_features == len(found.unnamed) == (name is None)


@pytest.mark.parametrize(
    ("content", "named", "unnamed"),
    [
        (feature("A"), 1, 0),
        ([feature("A"), feature()], 1, 1),
        (POLYGON, 0, 1),
        ({"type": "MultiPolygon", "coordinates": [[SQUARE], [SQUARE]]}, 0, 2),
        (feature("A", {"type": "GeometryCollection", "geometries": [POLYGON, POLYGON]}), 2, 0),
    ],
)
def test_other_shapes_of_the_file_are_read(tmp_path, content, named, unnamed):
    found = read(tmp_path, content)
    assert (len(found.outlines), len(found.unnamed)) == (named, unnamed)


def test_what_has_no_area_is_counted_by_its_kind(tmp_path):
    line = {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}
    point = {"type": "Point", "coordinates": [0, 0]}
    found = read(
        tmp_path, [feature("A"), feature("A", line), feature("B", point), feature("A", None)]
    )
    assert found.without_area == {"LineString": 1, "Point": 1, "no geometry": 1}
    assert found.skipped == 3


@pytest.mark.parametrize(
    ("encode", "name"),
    [
        (lambda text: text.encode("utf-8-sig"), "a.geojson"),
        (lambda text: text.encode("utf-16"), "a.json"),
        (lambda text: gzip.compress(text.encode()), "a.geojson.gz"),
        (lambda text: gzip.compress(text.encode()), "a.geojson"),
    ],
)
def test_encodings_and_compression(tmp_path, encode, name):
    found = read(tmp_path, encode(json.dumps([feature("坏死")], ensure_ascii=False)), name)
    assert [o.name for o in found.outlines] == ["坏死"]
    assert is_geojson(tmp_path / name)
    assert np.array_equal(found.outlines[0].rings[0][2], [5, 9])  # y before x


def test_a_measurement_without_a_value_does_no_harm(tmp_path):
    text = json.dumps([feature("A")]).replace('"properties": {', '"properties": {"area": NaN, ')
    assert len(read(tmp_path, text.encode()).outlines) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([ring([[0, 0], [1, float("nan")], [1, 0]])], "corners"),
        ([ring([[0, 0], [1, "1"], [1, 0]])], "corners"),
        ([ring([[0, 0], [1, True], [1, 0]])], "corners"),
        ([ring([[0, 0], [10**400, 1], [1, 0]])], "corners"),
        ([ring([[0, 0], [0], [1, 0]])], "corners"),
        ([ring([[0, 0], [1, 1], [0, 0], [1, 1]])], "three corners"),
        ([feature("A", {"type": "Polygon", "coordinates": {}})], "coordinates are an object"),
        ([feature("A", {"type": "MultiPolygon", "coordinates": "x"})], "coordinates are a text"),
        ([feature(5)], "feature 1 of a.geojson: its class is a number"),
        ([feature({"names": "A"})], "names of its class are a text"),
        ([feature({"names": [["A"]]})], "its class is a list"),
        ([feature({"name": "A", "names": ["B"]})], "two classes, 'A' and 'B'"),
        ([{"type": "Topology"}], "holds no features"),
        ([], "holds no features"),
        ({"type": "FeatureCollection"}, "holds no features"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\x1f\x8b\x08\x00", "cannot be read as GeoJSON"),
        (b'[{"a": "\xe9"}]', "line 1 is not UTF-8"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        read(tmp_path, content)


def test_nested_collections_end_in_a_sentence(tmp_path):
    depth = 3000
    inner = '{"type": "GeometryCollection", "geometries": [' * depth + "]}" * depth
    with pytest.raises(DataError, match="nested too deeply"):
        read(tmp_path, f'[{{"type": "Feature", "geometry": {inner}}}]'.encode())


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.geojson")
    with pytest.raises(DataError, match="a pipe"):
        read_outlines(tmp_path / "a.geojson")
