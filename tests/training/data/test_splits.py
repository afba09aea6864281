"""Splits by case: drawn, given or held out, and refused where something leaks."""

from __future__ import annotations

import shutil

import pytest

from napari_fddm.core.errors import DataError
from napari_fddm.training.data import read_manifest, split_manifest
from tests.support.training import write_rows, write_tile, write_tiles


@pytest.fixture
def one(tmp_path):
    return write_tile(tmp_path / "one.png", (100, 50, 100))


def test_whole_cases_are_drawn_and_the_seed_decides(tmp_path):
    manifest = read_manifest(write_tiles(tmp_path, "abcdefghij", per_class=1))
    first = split_manifest(manifest, val_share=0.2, test_share=0.3, seed=1)
    again = split_manifest(manifest, val_share=0.2, test_share=0.3, seed=1)
    other = split_manifest(manifest, val_share=0.2, test_share=0.3, seed=2)
    assert first == again != other
    sides = {s.case: s.split for s in first.sources}
    assert sorted(sides.values()) == ["test"] * 3 + ["train"] * 5 + ["val"] * 2
    assert all(sides[s.case] == s.split for s in first.sources)


def test_a_case_on_both_sides_is_refused(tmp_path):
    rows = ["tile,label,case,split"]
    for i, split in enumerate(("train", "val")):
        write_tile(tmp_path / f"{i}.png", (90, 60, 90), seed=i)
        rows.append(f"{i}.png,VT,a,{split}")
    with pytest.raises(DataError, match=r"'a'.*train and val"):
        split_manifest(read_manifest(write_rows(tmp_path / "m.csv", *rows)))


@pytest.mark.parametrize(("case", "words"), [("b", "same image"), ("a", "same image")])
def test_a_copied_image_is_found_by_its_content(tmp_path, one, case, words):
    shutil.copyfile(one, tmp_path / "renamed.png")
    path = write_rows(
        tmp_path / "m.csv", "tile,label,case", "one.png,VT,a", f"renamed.png,VT,{case}"
    )
    with pytest.raises(DataError, match=words):
        split_manifest(read_manifest(path), val_share=0)


def test_splits_that_cannot_be_are_refused(tmp_path):
    manifest = read_manifest(write_tiles(tmp_path, "ab", per_class=1))
    for options, words in (
        ({"val_share": 0.5, "test_share": 0.5}, "do not suffice"),
        ({"val_share": 1.5}, "--val-share"),
        ({"hold_out": ("z",)}, "'z'"),
        ({"hold_out": ("a", "b")}, "every case"),
    ):
        with pytest.raises(DataError, match=words):
            split_manifest(manifest, **options)


def test_a_half_filled_split_column_is_refused(tmp_path):
    rows = ["tile,label,case,split"]
    for i, split in enumerate(("train", "")):
        write_tile(tmp_path / f"{i}.png", (90, 60, 90), seed=i)
        rows.append(f"{i}.png,VT,{i},{split}")
    with pytest.raises(DataError, match="line 3"):
        split_manifest(read_manifest(write_rows(tmp_path / "m.csv", *rows)))
