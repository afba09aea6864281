"""Region datasets: what is written is read, and what does not fit is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError
from napari_fddm.training.regions import RegionSlide, read_regions
from napari_fddm.training.regions.coarse import CoarseMaps
from napari_fddm.training.regions.files import (
    INDEX_NAME,
    RegionMeta,
    RegionSet,
    read_region_slide,
    split_by_case,
    write_region_set,
    write_region_slide,
)
from tests.support.regions import coded_slide

ABOUT = RegionSet(classes=OSTEOSARCOMA.shorts, cell_um=32.0, title="test")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_dataset_comes_back_as_it_was(tmp_path, rng):
    write_region_set(tmp_path, ABOUT)
    slides = [coded_slide(rng, (2, 3), case=case) for case in ("b / 1", "a")]
    shifted = rng.random((7, 3, 5)).astype(np.float16)
    first = slides[0].coarse
    slides[0] = RegionSlide(
        slides[0].meta,
        CoarseMaps(first.tiles, first.cells, first.features, shifted),
        slides[0].truth,
    )
    for slide in slides:
        write_region_slide(tmp_path, slide)
    about, found = read_regions(tmp_path)
    assert about == ABOUT
    assert [s.meta.case for s in found] == ["a", "b / 1"]
    for one, other in zip(sorted(slides, key=lambda s: s.meta.case), found, strict=True):
        assert one.meta == other.meta
        assert np.array_equal(one.truth, other.truth)
        for name in ("tiles", "cells", "features"):
            assert np.array_equal(getattr(one.coarse, name), getattr(other.coarse, name))
    assert np.array_equal(found[1].coarse.shifted, shifted)
    assert found[0].coarse.shifted is None


def test_a_case_that_stage_1_was_trained_on_is_refused(tmp_path, rng):
    slide = coded_slide(rng, (1, 1), case="a")
    meta = RegionMeta(slide="s", case="a", stage1_cases=("z", "a"))
    path = write_region_slide(tmp_path, RegionSlide(meta, slide.coarse, slide.truth))
    with pytest.raises(ConfigError, match="trained on its case 'a'"):
        read_region_slide(path)


def test_so_is_one_whose_id_looks_like_it_unless_the_user_said_that_it_is_another(tmp_path, rng):
    slide = coded_slide(rng, (1, 1), case="a")
    for distinct in (False, True):
        meta = RegionMeta(slide="s", case="P-7", stage1_cases=("P 007",), distinct_cases=distinct)
        path = write_region_slide(tmp_path, RegionSlide(meta, slide.coarse, slide.truth))
        if distinct:
            assert read_region_slide(path).meta == meta
        else:
            with pytest.raises(ConfigError, match=r"case 'P-7' \(written 'P 007'\)"):
                read_region_slide(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "holds no dataset.json"),
        ("{", "cannot be read as JSON"),
        (json.dumps({"classes": ["BG", "VT"], "cell_um": -1}), "cell_um"),
        (
            json.dumps({"classes": ["BG", "VT"], "cell_um": 32, "format_version": 2}),
            "format_version",
        ),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path, text, said):
    if text is not None:
        (tmp_path / INDEX_NAME).write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_regions(tmp_path)


def test_damaged_and_unfitting_slides_are_refused(tmp_path, rng):
    write_region_set(tmp_path, ABOUT)
    with pytest.raises(ConfigError, match="holds no slide"):
        read_regions(tmp_path)
    path = write_region_slide(tmp_path, coded_slide(rng, (1, 1)))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ConfigError, match="cannot be read as a slide of a region dataset"):
        read_regions(tmp_path)
    write_region_slide(tmp_path, coded_slide(rng, (1, 1), classes=3))
    with pytest.raises(ConfigError, match="3 classes"):
        read_regions(tmp_path)
    with pytest.raises(ConfigError, match="other classes or cells"):
        write_region_set(tmp_path, ABOUT.model_copy(update={"cell_um": 16.0}))


def test_truth_must_fit_its_maps(rng):
    slide = coded_slide(rng, (1, 2))
    with pytest.raises(ConfigError, match="must be uint8"):
        RegionSlide(slide.meta, slide.coarse, slide.truth[1:])
    with pytest.raises(ConfigError, match="beyond its classes"):
        RegionSlide(slide.meta, slide.coarse, slide.truth + 7)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.9])
def test_a_case_is_on_one_side_only(rng, share):
    slides = [coded_slide(rng, (1, 1), case=f"c{i % 5}", name=f"s{i}") for i in range(12)]
    train, validation = split_by_case(slides, share, seed=1)
    sides = [{s.meta.case for s in side} for side in (train, validation)]
    assert sides[0].isdisjoint(sides[1])
    assert all(sides)
    assert len(train) + len(validation) == 12
    again = split_by_case(slides, share, seed=1)[1]
    assert [s.meta.slide for s in again] == [s.meta.slide for s in validation]


def test_ids_of_one_patient_stay_on_one_side(rng):
    cases = ["P-1", "p 1", "P-2", "p 2", "P-3", "p 3"]
    slides = [coded_slide(rng, (1, 1), case=case, name=case) for case in cases]
    for seed in range(4):
        train, validation = split_by_case(slides, 0.4, seed)
        sides = [{s.meta.case[-1] for s in side} for side in (train, validation)]
        assert sides[0].isdisjoint(sides[1])
        assert all(sides)


def test_a_single_case_is_not_split(rng):
    slides = [coded_slide(rng, (1, 1), name=f"s{i}") for i in range(3)]
    train, validation = split_by_case(slides, 0.5, seed=0)
    assert (len(train), len(validation)) == (3, 0)
