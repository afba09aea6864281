from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.interop import ngff

geometries = st.builds(
    MapGeometry,
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    st.floats(0.5, 2000),
    st.floats(0.05, 5),
    st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)),
)


@given(geometries)
def test_p28_our_block_is_exact_after_json(geometry):
    text = json.dumps(ngff.geometry_block(geometry))
    assert ngff.geometry_of_block(json.loads(text)) == geometry


@given(geometries)
def test_p28_the_transformations_say_scale_then_translation(geometry):
    entry = ngff.multiscale("x", [geometry], method="mode", channels=False)
    scale, translation = entry["datasets"][0]["coordinateTransformations"]
    assert scale == {"type": "scale", "scale": [geometry.cell_um] * 2}
    assert translation == {"type": "translation", "translation": list(geometry.translate)}


@given(geometries, st.booleans(), st.one_of(st.none(), st.floats(0.05, 5)))
def test_p28_ngff_alone_places_a_map_at_the_same_micrometers(geometry, channels, mpp):
    entry = ngff.multiscale("x", [geometry], method="mode", channels=channels)
    again = ngff.geometry_of_multiscale(entry, geometry.shape, mpp)
    assert again.scale == pytest.approx(geometry.scale)
    assert again.translate == pytest.approx(geometry.translate, abs=1e-6)
    assert mpp is None or again.mpp == mpp


@given(geometries)
def test_every_level_starts_at_the_same_edge(geometry):
    levels = ngff.pyramid_geometries(geometry)
    assert max(levels[-1].shape) <= 256
    for level in levels:
        scale, shift = ngff.placed(ngff.multiscale("x", [level], method="mean", channels=True))
        edge = [t - s / 2 for t, s in zip(shift, scale, strict=True)]
        wanted = [(o - 0.5) * geometry.mpp for o in geometry.origin]
        assert edge == pytest.approx(wanted, abs=1e-6)


def test_a_pyramid_can_be_asked_for_a_number_of_levels():
    shapes = [g.shape for g in ngff.pyramid_geometries(MapGeometry((3, 5), 1.0, 0.25), count=5)]
    assert shapes == [(3, 5), (2, 3), (1, 2), (1, 1), (1, 1)]


def test_units_and_global_transformations_count():
    entry = {
        "axes": [{"name": "y", "type": "space", "unit": "millimeter"}, {"name": "x", "unit": "µm"}],
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [
                    {"type": "scale", "scale": [0.001, 1.0]},
                    {"type": "translation", "translation": [0.002, 3.0]},
                ],
            }
        ],
        "coordinateTransformations": [{"type": "scale", "scale": [4.0, 4.0]}],
    }
    scale, shift = ngff.placed(entry)
    assert scale == pytest.approx((4.0, 4.0))
    assert shift == pytest.approx((8.0, 12.0))


@pytest.mark.parametrize(
    ("unit", "words"), [({}, "'x' has no unit"), ({"unit": "furlong"}, "'furlong'")]
)
def test_without_a_known_unit_there_is_no_length(unit: dict[str, str], words: str):
    entry = entry_with(axes=[{"name": "y", "unit": "micrometer"}, {"name": "x", **unit}])
    with pytest.raises(StoreError, match=words):
        ngff.placed(entry)


def test_a_length_needs_a_unit_and_a_bare_place_does_not():
    entry = entry_with(axes=[{"name": "y", "type": "space"}, {"name": "x", "type": "space"}])
    assert not ngff.has_units(entry)
    with pytest.raises(StoreError, match="no unit"):
        ngff.placed(entry)
    assert ngff.transformed(entry) == ngff.placed(entry_with())


def entry_with(**changes):
    geometry = MapGeometry((4, 4), 4.0, 0.25)
    entry = ngff.multiscale("x", [geometry], method="mode", channels=False)
    return json.loads(json.dumps(entry)) | changes


@pytest.mark.parametrize(
    "entry",
    [
        {},
        entry_with(axes=[]),
        entry_with(datasets=[]),
        entry_with(datasets=[{"path": "0"}]),
        entry_with(coordinateTransformations=[{"type": "scale", "scale": [1.0, 2.0]}]),
        entry_with(coordinateTransformations=[{"type": "scale", "scale": [0.0, 0.0]}]),
        entry_with(coordinateTransformations=[{"type": "affine", "affine": [[1, 0], [0, 1]]}]),
        entry_with(coordinateTransformations=[{"type": "scale", "scale": ["a", "b"]}]),
        entry_with(coordinateTransformations=[{"type": "scale", "scale": [float("nan")] * 2}]),
        entry_with(axes=[{"name": "y", "unit": "parsec"}, {"name": "x", "unit": "parsec"}]),
    ],
)
def test_impossible_places_are_refused(entry):
    with pytest.raises(StoreError):
        ngff.geometry_of_multiscale(entry, (4, 4))


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [4]},
        {"shape": [0, 4]},
        {"mpp": 0},
        {"mpp": None},
        {"cell_level0_px": float("inf")},
        {"origin_yx_level0_px": "here"},
    ],
)
def test_a_damaged_geometry_block_is_refused(changes):
    block = ngff.geometry_block(MapGeometry((4, 4), 4.0, 0.25)) | changes
    with pytest.raises(StoreError):
        ngff.geometry_of_block(block)


def test_a_table_comes_back_or_is_refused():
    block = json.loads(json.dumps(ngff.table_block(OSTEOSARCOMA)))
    assert ngff.table_of_block(block) == OSTEOSARCOMA
    for damaged in (
        block[1:],
        [block[0] | {"role": "hero"}, *block[1:]],
        [block[0] | {"paper_rgb": [1]}, *block[1:]],
        [{}],
        [*block, block[0]],
    ):
        with pytest.raises(StoreError):
            ngff.table_of_block(damaged)


def test_colors_and_names_cover_the_same_values():
    label = ngff.image_label(OSTEOSARCOMA)
    values = [color["label-value"] for color in label["colors"]]
    assert values == [p["label-value"] for p in label["properties"]] == list(range(8))
    assert ngff.table_of_names(label["properties"]) == OSTEOSARCOMA
    assert ngff.table_of_names([]) is None
    assert ngff.table_of_names([{"name": "x"}]) is None
