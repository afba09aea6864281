"""Manifests and splits: what may be learned from, and that no patient is on both sides."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest

from napari_fddm.core.class_names import ClassNames
from napari_fddm.core.errors import DataError
from napari_fddm.training.data.counts import ClassCounts
from napari_fddm.training.data.manifest import read_manifest
from napari_fddm.training.data.splits import split_manifest
from tests.support.training import write_rows, write_tile, write_tiles


@pytest.fixture
def one(tmp_path):
    return write_tile(tmp_path / "one.png", (100, 50, 100))


def refused(path, *words, names=None):
    with pytest.raises(DataError) as caught:
        read_manifest(path, names)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["tile,label", "one.png,VT"], ["case"]),
        (["label,case", "VT,a"], ["tile", "slide"]),
        (["tile,label,case", "two.png,VT,a"], ["line 2", "two.png"]),
        (["tile,label,case", "one.png,tumour-ish,a"], ["line 2", "tumour-ish", "--label"]),
        (["tile,label,case", "one.png,,a"], ["line 2", "label"]),
        (["tile,label,case", "one.png,VT,"], ["line 2", "case"]),
        (["slide,case", "one.png,a"], ["line 2", "mask"]),
        (["tile,label,case,split", "one.png,VT,a,middle"], ["middle", "train"]),
        (["tile,label,case,mpp", "one.png,VT,a,-1"], ["mpp"]),
        (["tile,label,case"], ["no image"]),
    ],
)
def test_a_manifest_that_cannot_be_used_says_where_and_why(tmp_path, one, rows, words):
    refused(write_rows(tmp_path / "m.csv", *rows), *words)


def test_a_parquet_manifest_reads_like_its_csv(tmp_path, one):
    parquet, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    rows = {
        "tile": ["one.png", "one.png"],
        "label": ["VT", "VT"],
        "case": ["a", "a"],
        "split": ["train", None],
        "mpp": [0.5, None],
    }
    parquet.write_table(pa.table(rows), tmp_path / "m.parquet")
    csv = write_rows(tmp_path / "m.csv", ",".join(rows), "one.png,VT,a,train,0.5", "one.png,VT,a,,")
    assert read_manifest(tmp_path / "m.parquet").sources == read_manifest(csv).sources


def test_a_damaged_parquet_manifest_is_named(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "m.parquet").write_bytes(b"PAR1 and nothing else")
    refused(tmp_path / "m.parquet", "m.parquet", "cannot be read")


def test_parquet_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "m.parquet").touch()
    refused(tmp_path / "m.parquet", "pip install pyarrow")


def test_a_missing_manifest_is_named(tmp_path):
    refused(tmp_path / "none.csv", "none.csv")


def test_paths_begin_at_the_manifest_and_columns_have_other_names(tmp_path, one):
    path = write_rows(
        tmp_path / "m.csv", "file,label,patient,bytes", "one.png,viable: non-viable,P9,3"
    )
    (source,) = read_manifest(path, ClassNames.with_own([], "viable")).sources
    assert (source.image, source.case, source.value) == (str(one), "P9", 2)


def test_p39_the_mixed_label_goes_where_the_user_says():
    label = "viable: non-viable"
    values = {
        policy: ClassNames.with_own([], policy).value_of(label, where="here")
        for policy in ("viable", "nonviable", "exclude")
    }
    assert values == {"viable": 2, "nonviable": 3, "exclude": None}
    assert ClassNames().value_of(label, where="here") is None
    with pytest.raises(DataError, match="--mixed"):
        ClassNames.with_own([], "whatever")


@pytest.mark.parametrize(
    ("name", "value"),
    [("Non-Tumor", 7), ("Non-Viable-Tumor", 3), ("Viable", 2), ("vt", 2), ("4", 4),
     ("Hemorrhage / cystic change", 5), ("non_tumor", 7)],
)  # fmt: skip
def test_names_of_the_classes_are_known(name, value):
    assert ClassNames().value_of(name, where="here") == value


def test_the_users_own_names_come_first_and_may_leave_out():
    names = ClassNames.with_own(["Tumor=VT", "Viable=NT", "Fold=-"])
    assert [names.value_of(n, where="") for n in ("tumor", "viable", "FOLD")] == [2, 7, None]
    for pair in ("x", "=VT", "x=XX"):
        with pytest.raises(DataError, match="--label"):
            ClassNames.with_own([pair])


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


def test_the_table_of_counts_adds_up():
    rng = np.random.default_rng(0)
    values, splits = rng.integers(1, 8, 500), rng.choice(["train", "val", "test"], 500)
    made = ClassCounts.of(values, list(splits))
    lines = made.to_text().splitlines()
    numbers = [[int(c.replace(",", "")) for c in line.split()[-4:]] for line in lines[2:9]]
    total = [int(c.replace(",", "")) for c in lines[-1].split()[-4:]]
    for number, row in enumerate(numbers, start=1):
        assert row[3] == sum(row[:3]) == (values == number).sum()
    assert total == [sum(column) for column in zip(*numbers, strict=True)]
    assert total[3] == 500


def test_data_that_cannot_be_learned_from_are_refused():
    def of(*pairs):
        return ClassCounts.of(np.array([p[0] for p in pairs]), [p[1] for p in pairs])

    for made, words in (
        (of((2, "val"), (3, "val")), "train is empty"),
        (of((2, "train"), (2, "val")), "one class only, VT"),
        (of((2, "train"), (3, "train"), (7, "val")), "no tiles of NT"),
    ):
        with pytest.raises(DataError, match=words):
            made.check()
    of((2, "train"), (3, "train"), (7, "val")).check(allow_missing=True)
