"""Patches and regions: pixels and truth of the same place, built once, resumed, refused."""

from __future__ import annotations

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
    with pytest.raises(DataError, match="1 with too little stained.*; 1 of background, but"):
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
