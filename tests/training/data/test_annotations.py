"""Annotations of a slide give the same answer whatever file holds them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fddm.core.class_names import ClassNames
from napari_fddm.core.errors import DataError
from napari_fddm.core.geometry import Region
from napari_fddm.slides import ArraySlide, open_slide
from napari_fddm.training.data.annotations import open_annotation
from tests.support import stores

NAMES = ClassNames()


@pytest.fixture
def slide():
    with ArraySlide(np.full((800, 1200, 3), 200, np.uint8), mpp=1.0, name="s") as made:
        yield made


def square(y0, x0, y1, x1):
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def feature(name, *rings, kind="Polygon", multi=None):
    geometry = {"type": kind, "coordinates": multi if multi is not None else list(rings)}
    said = {} if name is None else {"classification": {"name": name, "color": [1, 2, 3]}}
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": "x", **said}}


def write(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return str(path)


def test_outlines_have_holes_and_the_later_one_counts(tmp_path, slide):
    path = write(
        tmp_path / "a.geojson",
        feature("Necrosis", square(100, 100, 500, 700), square(200, 200, 300, 300)),
        feature(None, square(0, 0, 800, 1200)),
        feature("Viable", kind="MultiPolygon", multi=[[square(400, 600, 500, 700)]]),
        feature("Viable", kind="Point", multi=[1, 2]),
    )
    annotation = open_annotation(path, slide, NAMES)
    expected = np.zeros((800, 800), np.uint8)
    expected[100:500, 100:700] = 3
    expected[200:300, 200:300] = 0
    expected[400:500, 600:700] = 2
    assert np.array_equal(annotation.labels(Region(0, 0, 800, 800), 800), expected)
    half = annotation.labels(Region(100, 100, 400, 400), 200)
    assert np.array_equal(half, expected[101:500:2, 101:500:2])
    assert annotation.notes == (
        "1 annotation without a class left out",
        "1 annotation without an area (Point) left out",
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"type": "FeatureCollection", "features": 3}', "no features"),
        ("[1, 2]", "no features"),
        ("{", "cannot be read as GeoJSON"),
        (json.dumps([feature("Osteoid", square(0, 0, 9, 9))]), "'Osteoid'"),
        (json.dumps([feature("Viable", [[0, 0], [1, 1]])]), "three corners"),
        (json.dumps([feature(None, square(0, 0, 9, 9))]), "no outline with a class"),
    ],
)
def test_broken_outlines_are_refused(tmp_path, slide, content, words):
    (tmp_path / "a.geojson").write_text(content)
    with pytest.raises(DataError, match=words):
        open_annotation(str(tmp_path / "a.geojson"), slide, NAMES)


def test_a_mask_image_covers_the_slide(tmp_path, slide):
    labels = np.random.default_rng(0).integers(0, 8, (80, 120)).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "m.png")
    annotation = open_annotation(str(tmp_path / "m.png"), slide, NAMES)
    found = annotation.labels(Region(200, 300, 400, 400), 40)
    assert np.array_equal(found, labels[20:60, 30:70])
    outside = annotation.labels(Region(700, 1100, 200, 200), 20)
    assert np.array_equal(outside[:10, :10], labels[70:, 110:])
    assert not outside[10:].any()
    assert not outside[:, 10:].any()


def test_a_mask_of_another_shape_is_refused(tmp_path, slide):
    Image.fromarray(np.ones((80, 80), np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(DataError, match="shape"):
        open_annotation(str(tmp_path / "m.png"), slide, NAMES)


def test_a_mask_that_states_another_size_is_refused(tmp_path, slide):
    labels = np.ones((80, 120), np.uint8)
    for size, fits in ((10.0, True), (2.5, False)):
        about = {"PhysicalSizeX": size, "PhysicalSizeY": size}
        tifffile.imwrite(tmp_path / "m.tif", labels, ome=True, metadata=about)
        if fits:
            assert open_annotation(str(tmp_path / "m.tif"), slide, NAMES).notes == ()
            continue
        with pytest.raises(DataError, match=r"pixels of 2\.5 µm \(OME-XML\), which does not fit"):
            open_annotation(str(tmp_path / "m.tif"), slide, NAMES)


def test_corrections_are_learned_from_and_models_are_not(tmp_path):
    with open_slide("synthetic:4500x5500?seed=1&mpp=0.5") as slide:
        info = {"name": slide.name, "fingerprint": slide.fingerprint}
        rng = np.random.default_rng(0)
        said = stores.random_labels(rng)
        path = tmp_path / "s.fddm.ome.zarr"
        with stores.make(path, slide_info=info) as store:
            stores.write_tiles(store, rng, stores.every_tile())
            stores.refine_all(store, said)
        with pytest.raises(DataError, match="no corrections"):
            open_annotation(str(path), slide, NAMES)
        with stores.AnalysisStore.open(path, "r+") as store:
            labels = store.labels("corrected")
            store.corrections.append_edit(stores.stroke(labels, stores.Window(3, 4, 20, 30), 5))
        annotation = open_annotation(str(path), slide, NAMES)
        cell = stores.GEOMETRIES.label.cell
        found = annotation.labels(Region(0, 0, 40 * cell, 40 * cell), 40)
        assert np.array_equal(found, labels[:40, :40])
        assert (found[3:23, 4:34] == 5).all()
    with (
        open_slide("synthetic:4500x5500?seed=2&mpp=0.5") as other,
        pytest.raises(DataError, match="another slide"),
    ):
        open_annotation(str(path), other, NAMES)


def test_the_truth_belongs_to_synthetic_slides(slide):
    with pytest.raises(DataError, match="synthetic"):
        open_annotation("truth", slide, NAMES)


def test_an_outline_that_is_left_out_removes_all_under_it_in_any_order(tmp_path, slide):
    tumor, fold = feature("Viable", square(0, 0, 400, 400)), feature("Fold", square(0, 0, 200, 400))
    hole = feature("Ignore*", square(200, 0, 400, 200), square(250, 50, 350, 150))
    region = feature("Region*", square(0, 0, 800, 1200))
    names = ClassNames.with_own(["Fold=-"])
    expected = np.zeros((400, 400), np.uint8)
    expected[200:, 200:] = expected[250:350, 50:150] = 2
    found = []
    for n, order in enumerate(([tumor, fold, hole, region], [region, hole, fold, tumor])):
        path = write(tmp_path / f"{n}.geojson", *order)
        annotation = open_annotation(path, slide, names)
        assert np.array_equal(annotation.labels(Region(0, 0, 400, 400), 400), expected)
        found.append(sorted(annotation.notes))
    assert found[0] == [
        "1 outline 'Fold' left out, with all under it",
        "1 outline 'Ignore*' left out, with all under it",
        "1 outline 'Region*' left out",
    ]
    assert found[0] == found[1]


def test_every_name_that_is_no_class_is_listed_with_its_number(tmp_path, slide):
    some = [feature(n, square(0, 0, 9, 9)) for n in ("Tumor+", "坏死2", "Tumor+", "Viable")]
    with pytest.raises(DataError, match=r"'Tumor\+' \(2\), '坏死2' \(1\) are no classes"):
        open_annotation(write(tmp_path / "a.geojson", *some), slide, NAMES)


def test_where_everything_is_left_out_nothing_can_be_learned(tmp_path, slide):
    path = write(
        tmp_path / "a.geojson",
        feature("Ignore*", square(0, 0, 9, 9)),
        feature(None, square(0, 0, 9, 9)),
    )
    with pytest.raises(DataError, match=r"1 annotation without a class .*'Ignore\*' left out"):
        open_annotation(path, slide, NAMES)


def test_outlines_off_the_slide_are_counted_and_their_area_is_said(tmp_path, slide):
    path = write(
        tmp_path / "a.geojson",
        feature("Viable", square(700, 1100, 900, 1300)),
        feature("Necrosis", square(900, 0, 950, 50)),
        feature("Necrosis", square(-60, -60, -10, -10)),
        feature("Viable", square(790, 0, 800.0001, 10)),
    )
    assert open_annotation(path, slide, NAMES).notes == (
        "2 outlines 'Necrosis' outside the slide left out",
        "0.030 mm² of outlines beyond the edge of the slide left out",
    )
    far = write(tmp_path / "b.geojson", feature("Viable", square(9000, 9000, 9900, 9900)))
    with pytest.raises(DataError, match="outside the slide s of 1200 × 800 px") as caught:
        open_annotation(far, slide, NAMES)
    assert "micrometers" in caught.value.hint
