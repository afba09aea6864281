"""Patches and regions: pixels and truth of the same place, built once, resumed, refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from napari_fddm.core.class_names import ClassNames
from napari_fddm.core.errors import DataError
from napari_fddm.core.geometry import Region
from napari_fddm.slides import open_slide
from napari_fddm.training.data import (
    build_dataset,
    datasets,
    open_dataset,
    read_manifest,
    split_manifest,
)
from napari_fddm.training.data.majority import cell_majority
from napari_fddm.training.data.patches import PatchSettings, RegionSettings, dominant
from tests.support.training import drained, tile_dataset, write_rows, write_tile

NAMES = ClassNames()

SLIDE = "synthetic:1500x1800?seed=3&mpp=0.5"


def built(tmp_path, settings, *rows, folder="data"):
    path = write_rows(tmp_path / "m.csv", "tile,slide,mask,label,case,mpp", *rows)
    manifest = split_manifest(read_manifest(path, NAMES), val_share=0)
    return drained(build_dataset(manifest, tmp_path / folder, settings, NAMES))


def test_a_large_tile_is_cut_into_sixteen(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 200, (1024, 1024, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "t.png")
    made = built(tmp_path, PatchSettings(), "t.png,,,VT,a,1.0")
    assert len(made.values) == 16
    assert (made.values == 2).all()
    assert (made.truth == 2).all()
    assert np.array_equal(made.read([0, 5]), [pixels[:256, :256], pixels[256:512, 256:512]])


@pytest.mark.parametrize(("label", "value"), [("VT", 2), ("BG", 1)])
def test_the_label_of_a_tile_is_not_that_of_its_glass(tmp_path, label, value):
    pixels = np.full((256, 256, 3), 240, np.uint8)
    pixels[:32, 32:64] = (150, 70, 150)
    tissue = np.zeros((8, 8), bool)
    tissue[0, 1] = True
    Image.fromarray(pixels).save(tmp_path / "t.png")
    settings = PatchSettings(min_tissue=0.01 if value > 1 else 0.9)
    made = built(tmp_path, settings, f"t.png,,,{label},a,1.0")
    assert np.array_equal(made.truth[0], np.where(tissue == (value > 1), value, 0))


def test_tiles_of_another_resolution_are_averaged(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 200, (512, 512, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "t.png")
    made = built(tmp_path, PatchSettings(), "t.png,,,VT,a,0.5")
    mean = pixels.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
    assert np.abs(made.read([0])[0] - mean).max() <= 0.5
    with pytest.raises(DataError, match="smaller than one patch"):
        built(tmp_path, PatchSettings(), "t.png,,,VT,a,0.25", folder="other")


def test_blank_tiles_of_tissue_and_stained_background_are_left_out(tmp_path):
    write_tile(tmp_path / "glass.png", (240, 240, 240))
    write_tile(tmp_path / "tissue.png", (120, 60, 150))
    rows = ["glass.png,,,VT,a,1", "tissue.png,,,BG,a,1"]
    with pytest.raises(DataError, match=r"1 with too little stained.*; 1 of stained background"):
        built(tmp_path, PatchSettings(), *rows)
    rows = ["glass.png,,,BG,a,1", "tissue.png,,,VT,a,1"]
    assert sorted(built(tmp_path, PatchSettings(), *rows, folder="b").values) == [1, 2]


def test_patches_of_a_slide_have_the_truth_of_their_place(tmp_path):
    made = built(tmp_path, PatchSettings(), f",{SLIDE},truth,,a,")
    assert len(made.values) > 3
    with (
        open_slide(SLIDE) as slide,
        np.load(tmp_path / "data" / "parts" / f"{made.parts[0].key}.truth.npz") as stored,
    ):
        for index, (y, x) in enumerate(stored["places"]):
            region = Region(y, x, 512, 512)
            assert np.array_equal(made.read([index])[0], slide.read_region(region, 1.0))
            truth = slide.truth_labels(region, 1.0)
            assert made.values[index] == dominant(truth, 7)[0]
            assert np.array_equal(made.truth[index], cell_majority(truth, 7))


def test_regions_hold_pixels_and_truth_of_the_same_place(tmp_path):
    made = built(tmp_path, RegionSettings(k=1, mpp=2.0), f",{SLIDE},truth,,a,")
    assert made.truth.shape[1:] == made.read([0]).shape[1:3] == (256, 256)
    with (
        open_slide(SLIDE) as slide,
        np.load(tmp_path / "data" / "parts" / f"{made.parts[0].key}.truth.npz") as stored,
    ):
        y, x = stored["places"][0]
        region = Region(y, x, 1024, 1024)
        assert np.array_equal(made.read([0])[0], slide.read_region(region, 2.0))
        assert np.array_equal(made.truth[0], slide.truth_labels(region, 2.0))


def test_few_patches_of_a_class_are_taken_where_wanted(tmp_path):
    made = built(tmp_path, PatchSettings(max_per_class=1), f",{SLIDE},truth,,a,")
    assert max(np.bincount(made.values)) == 1


def test_a_labeled_tile_gives_no_regions(tmp_path):
    write_tile(tmp_path / "t.png", (120, 60, 150))
    with pytest.raises(DataError, match="line 2"):
        built(tmp_path, RegionSettings(), "t.png,,,VT,a,1")


def test_a_stopped_build_goes_on_and_a_changed_label_is_cut_anew(tmp_path, monkeypatch):
    made = tile_dataset(tmp_path / "x")
    cut = []
    original = datasets._write_part
    monkeypatch.setattr(
        datasets,
        "_write_part",
        lambda s, f, key, left: (cut.append(key), original(s, f, key, left)),
    )
    lost = made.parts[3]
    for file in (tmp_path / "x" / "data" / "parts").glob(f"{lost.key}.truth*"):
        file.unlink()
    again = tile_dataset(tmp_path / "x")
    assert cut == [lost.key]
    assert again.fingerprint == made.fingerprint
    tile_dataset(tmp_path / "x", min_tissue=0.5)
    assert len(cut) == 1 + len(made.parts)


def test_splits_cases_and_counts_follow_the_manifest(tmp_path):
    made = tile_dataset(tmp_path / "x")
    assert set(made.cases[made.indices("train")]) == {"a", "b"}
    assert set(made.cases[made.indices("val")]) == {"c"}
    assert made.counts().of_split("train").tolist() == [0, 4, 4, 0, 0, 0, 4]


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(DataError, match="no dataset"):
        open_dataset(tmp_path)
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        open_dataset(tmp_path)


def write_outlines(path, *features):
    """Write squares (x, y, edge) with a class as GeoJSON, and a manifest of one slide beside it."""
    made = []
    for name, (x, y, edge) in features:
        corners = [[x, y], [x + edge, y], [x + edge, y + edge], [x, y + edge], [x, y]]
        said = {} if name is None else {"classification": {"name": name}}
        shape = {"type": "Polygon", "coordinates": [corners]}
        made.append({"type": "Feature", "geometry": shape, "properties": said})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": made}))


def test_what_is_left_out_is_counted_and_stays_in_the_index(tmp_path):
    write_outlines(
        tmp_path / "a.geojson",
        ("Fold", (0, 0, 512)),
        ("Viable", (0, 0, 1500)),
        (None, (0, 0, 100)),
        ("Necrosis", (90_000, 0, 100)),
    )
    write_tile(tmp_path / "glass.png", (240, 240, 240))
    rows = [f",{SLIDE},a.geojson,,a,", "glass.png,,,VT,b,1", "glass.png,,,Fold,b,1"]
    names = ClassNames.with_own(["Fold=-"])
    path = write_rows(tmp_path / "m.csv", "tile,slide,mask,label,case,mpp", *rows)
    manifest = split_manifest(read_manifest(path, names), val_share=0)
    settings = PatchSettings(min_labeled=0.6, max_per_class=3)
    made = drained(build_dataset(manifest, tmp_path / "data", settings, names))
    assert len(made.values) == 3
    assert made.said() == (
        "1 image labeled 'Fold' left out (--label)",
        f"{SLIDE}: 1 annotation without a class left out",
        f"{SLIDE}: 1 outline 'Fold' left out, with all under it",
        f"{SLIDE}: 1 outline 'Necrosis' outside the slide left out",
        "glass.png: no sample of it is kept",
        "2 patches beyond --max left out",
        "1 patch with too little stained (--min-tissue) left out",
    )
    assert open_dataset(tmp_path / "data").said() == made.said()
    again = drained(build_dataset(manifest, tmp_path / "data", settings, names))
    assert again.said() == made.said()


def test_a_dataset_of_an_earlier_version_opens_and_its_parts_are_cut_again(tmp_path):
    made = tile_dataset(tmp_path / "x")
    index = json.loads((made.folder / "dataset.json").read_text())
    for part in index["parts"]:
        del part["left_out"], part["notes"]
        file = made.folder / "parts" / f"{part['key']}.truth.npz"
        with np.load(file) as stored:
            old = {k: stored[k] for k in ("truth", "values", "places")}
        np.savez_compressed(file, **old)
    del index["notes"], index["distinct_cases"]
    (made.folder / "dataset.json").write_text(json.dumps(index))
    opened = open_dataset(made.folder)
    assert opened.fingerprint == made.fingerprint
    assert np.array_equal(opened.truth, made.truth)
    assert tile_dataset(tmp_path / "x").fingerprint == made.fingerprint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parts": 3}, "'parts' is a number"),
        ({"parts": [3]}, "a JSON object, not a number"),
        ({"parts": [{"key": "../../etc"}]}, "'image' is missing"),
        ({"settings": []}, "'settings' is a list"),
        ({"settings": {"kind": ["x"]}}, "kind"),
        ({"classes": [{}]}, "classes"),
        ({"notes": 3}, "cannot be read"),
    ],
)
def test_an_index_of_wrong_types_is_refused(tmp_path, change, words):
    folder = tile_dataset(tmp_path / "x").folder
    index = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(index | change))
    with pytest.raises(DataError, match=words):
        open_dataset(folder)


def test_a_part_whose_name_leads_elsewhere_or_whose_count_is_wrong_is_refused(tmp_path):
    folder = tile_dataset(tmp_path / "x").folder
    index = json.loads((folder / "dataset.json").read_text())
    index["parts"][0]["count"] += 1
    (folder / "dataset.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="its part holds"):
        _ = open_dataset(folder).truth
    index["parts"][0]["key"] = "../x"
    (folder / "dataset.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="describe no part"):
        open_dataset(folder)


def test_a_dataset_with_a_patient_spelled_twice_is_refused_unless_the_user_said_so(tmp_path):
    rows = ["tile,label,case"]
    for n, case in enumerate(("P-7", "P-007", "b")):
        write_tile(tmp_path / f"{n}.png", (120, 60, 150), seed=n)
        rows.append(f"{n}.png,VT,{case}")
    path = write_rows(tmp_path / "m.csv", *rows)
    manifest = split_manifest(read_manifest(path, NAMES, distinct_cases=True), val_share=0)
    made = drained(build_dataset(manifest, tmp_path / "data", PatchSettings(), NAMES))
    assert made.distinct_cases
    index = json.loads((made.folder / "dataset.json").read_text())
    del index["distinct_cases"]
    (made.folder / "dataset.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"'P-7' .* and 'P-007'"):
        open_dataset(made.folder)
