"""Axes, scales, units and channels of NGFF metadata, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from napari_fddm.core.errors import SlideError
from napari_fddm.slides.channels import Channel
from napari_fddm.slides.mpp import MppClaim
from napari_fddm.slides.ngff.metadata import read_channels, read_multiscale, version_refusal


def said(unit: Any = "micrometer", scales: Any = ((0.5, 0.5), (1.0, 1.0)), **more: Any) -> Any:
    axes = [{"name": "c", "type": "channel"}, *({"name": a, "unit": unit} for a in "yx")]
    datasets = [
        {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": [1.0, *pair]}]}
        for n, pair in enumerate(scales)
    ]
    return {"axes": axes, "datasets": datasets, **more}


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("micrometer", 1), ("um", 1), ("µm", 1), ("mu\u00adm", None), ("Micron", 1),
     ("nanometer", 1e-3), ("angstrom", 1e-4), ("millimetre", 1e3), ("Mm", None)],
)  # fmt: skip
def test_units_are_those_of_the_table(unit: str, factor: float | None) -> None:
    claim, sentence = read_multiscale(said(unit), "a").pixel_size()
    if factor is None:
        assert claim is None
        assert "is not known" in sentence
    else:
        assert claim == MppClaim(0.5 * factor, 0.5 * factor, "ome")


def test_an_unknown_unit_is_quoted_and_none_is_no_micrometer() -> None:
    assert "'furlong'" in read_multiscale(said("furlong"), "a").pixel_size()[1]
    for missing in (None, ""):
        claim, sentence = read_multiscale(said(missing), "a").pixel_size()
        assert claim is None
        assert "0.5 without a unit" in sentence
    bare = said()
    del bare["datasets"][0]["coordinateTransformations"]
    assert "no scale" in read_multiscale(bare, "a").pixel_size()[1]


def test_scales_of_level_and_image_multiply() -> None:
    common = [{"type": "scale", "scale": [1, 2, 3]}, {"type": "translation", "translation": "x"}]
    claim, _ = read_multiscale(said(coordinateTransformations=common), "a").pixel_size()
    assert claim == MppClaim(1.0, 1.5, "ome")


@pytest.mark.parametrize(
    ("scales", "contradicts"),
    [
        (((0.5, 0.5), (1.0, 1.0)), False),
        (((0.5, 0.5), (1.01, 1.0)), False),
        (((0.25, 0.25), (1.0, 1.0)), True),
        (((0.5, 0.5), (0.5, 0.5)), False),  # some writers repeat the first scale
    ],
)
def test_scales_are_compared_with_sizes(scales: Any, contradicts: bool) -> None:
    found = read_multiscale(said(scales=scales), "a").contradiction([(200, 160), (100, 80)])
    assert bool(found) == contradicts


@pytest.mark.parametrize(
    ("changes", "quoted"),
    [
        ({"axes": "yx"}, "'axes' is a text"),
        ({"axes": [{"name": "y"}, {"name": 3}]}, "'name' is a number"),
        ({"axes": [{"name": "y"}, {"name": "y"}, {"name": "x"}]}, "axes are y, y, x"),
        ({"axes": [{"name": "z"}]}, "no y and x axis"),
        ({"axes": [None]}, "expected a JSON object"),
        ({"datasets": []}, "0 levels"),
        ({"datasets": None}, "'datasets' is null"),
        ({"datasets": [{"path": 0}]}, "'path' is a number"),
        ({"name": ["a"]}, "'name' is a list"),
        ({"coordinateTransformations": [{"type": "scale", "scale": [1, 2]}]}, "list of 3 numbers"),
        ({"coordinateTransformations": [{"type": "scale", "scale": [1, 2, "3"]}]}, "of 3 numbers"),
        ({"coordinateTransformations": [{"type": "scale", "scale": [1, -2, 3]}]}, "a scale is"),
        ({"coordinateTransformations": [{"type": "scale", "scale": [1, 1e999, 3]}]}, "a scale is"),
    ],
)
def test_damage_is_named(changes: dict[str, Any], quoted: str) -> None:
    with pytest.raises(SlideError, match=quoted) as caught:
        read_multiscale({**said(), **changes}, "a.zarr")
    assert "a.zarr" in str(caught.value)


def test_versions() -> None:
    assert version_refusal({}, {"version": "0.3"}) == "is OME-Zarr 0.3; 0.4 and 0.5 can be read"
    assert version_refusal({"version": "0.5"}, {}) == version_refusal({}, {}) == ""


def test_channels_have_names_and_colors() -> None:
    omero = {
        "channels": [{"label": "Red", "color": "FF0000"}, {"color": "#00ff00ff"}, {"color": 3}]
    }
    found = (Channel("Red", (255, 0, 0)), Channel("", (0, 255, 0)), Channel(""))
    assert read_channels(omero, "a") == (found, False)
    gray = {**omero, "rdefs": {"model": "greyscale"}}
    assert read_channels(gray, "a") == (tuple(Channel(one.name) for one in found), True)
    assert read_channels(None, "a") == read_channels({}, "a") == ((), False)
    for damaged in ([], {"channels": 3}, {"channels": [3]}, {"channels": [{"label": 5}]}):
        with pytest.raises(SlideError, match="a"):
            read_channels(damaged, "a")
