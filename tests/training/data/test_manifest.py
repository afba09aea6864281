"""Manifests and splits: what may be learned from, and that no patient is on both sides."""

from __future__ import annotations

import sys

import pytest

from napari_fddm.core.class_names import ClassNames
from napari_fddm.core.errors import DataError
from napari_fddm.training.data import read_manifest
from napari_fddm.training.data.manifest import write_manifest
from tests.support.training import write_rows, write_tile


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


def test_labels_left_out_and_other_spellings_are_noted(tmp_path, one):
    rows = ["one.png,Fold,a", "one.png,viable: non-viable,a", "one.png,TUMOR,a", "one.png,Fold,a"]
    path = write_rows(tmp_path / "m.csv", "tile,label,case", *rows)
    found = read_manifest(path, ClassNames.with_own(["Fold=-", "Tumor=VT"]))
    assert found.left_out == 3
    assert found.notes == (
        "'TUMOR' was read as 'Tumor'",
        "2 images labeled 'Fold' left out (--label)",
        "1 image labeled 'viable: non-viable' left out (--mixed)",
    )


def test_a_manifest_in_windows_1252_is_read_and_it_is_said(tmp_path, one):
    (tmp_path / "m.csv").write_bytes(
        "tile;label;case;mpp\none.png;VT;Müller;0,5\n".encode("cp1252")
    )
    found = read_manifest(tmp_path / "m.csv")
    assert (found.cases, found.sources[0].mpp) == (("Müller",), 0.5)
    assert found.notes == ("the manifest is not UTF-8; it was read as Windows-1252",)


def test_a_patient_spelled_twice_is_refused_until_the_user_says_otherwise(tmp_path, one):
    path = write_rows(tmp_path / "m.csv", "tile,label,case", "one.png,VT,P-7", "one.png,VT,p 007")
    refused(path, "'P-7' (line 2) and 'p 007' (line 3)", "--distinct-cases")
    found = read_manifest(path, distinct_cases=True)
    assert found.cases == ("P-7", "p 007")
    assert found.distinct_cases
    assert found.notes == ("'P-7' and 'p 007' count as 2 patients (--distinct-cases)",)


def test_two_columns_for_one_thing_are_refused_where_they_differ(tmp_path, one):
    rows = ["one.png,VT,17/0815,P1", "one.png,VT,P1,P1"]
    head = "tile,label,case,patient"
    refused(write_rows(tmp_path / "m.csv", head, *rows), "'case' and 'patient'", "line 2")
    assert read_manifest(write_rows(tmp_path / "m.csv", head, rows[1])).cases == ("P1",)


@pytest.mark.parametrize("name", ["x" * 5000, "a\x01b.png", "~nobody-here/a.png"])
def test_names_that_no_file_can_have_end_in_a_sentence(tmp_path, name):
    refused(write_rows(tmp_path / "m.csv", "tile,label,case", f"{name},VT,a"), "line 2")


def test_what_is_written_reads_back_and_is_no_formula(tmp_path, one):
    rows = [{"tile": "one.png", "label": "=1+1", "case": "-7"}]
    write_manifest(tmp_path / "m.csv", rows, ("tile", "label", "case"))
    assert "'=1+1,'-7" in (tmp_path / "m.csv").read_text()
    found = read_manifest(tmp_path / "m.csv", ClassNames.with_own(["=1+1=VT"]))
    assert (found.cases, found.sources[0].value) == (("-7",), 2)
