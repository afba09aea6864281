"""Pairs: manifests, folders, and slides that are there twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_fddm.core.errors import ConfigError
from napari_fddm.evaluation.pairs import find_pairs, read_manifest, slide_name
from napari_fddm.evaluation.reading import ReadingSettings, read_label_input


def manifest(folder: Path, *lines: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def masks(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        Image.fromarray(np.ones((4, 4), np.uint8)).save(folder / name)
    return folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("slide.svs.fddm.ome.zarr", "slide"),
        ("Case 3.A.png", "Case 3.A"),
        ("x.ome.tiff", "x"),
        ("x.ozx", "x"),
        ("plain", "plain"),
    ],
)
def test_a_slide_s_name_has_no_endings(name: str, expected: str):
    assert slide_name(name) == expected


def test_a_manifest_gives_everything(tmp_path: Path):
    path = manifest(
        tmp_path,
        "case,pred,truth,slide,mpp,reader:anna,annotation",
        "c1,p/a.png,t/a.png,A,0.5,r/a.png,",
        "c1,p/b.png,synthetic:64x64,,,,m.png",
        "c1,p/c.png,t/c.svs.fddm.ome.zarr/labels/reader-x,,,,",
    )
    found = find_pairs(str(path), None)
    first, second, third = found.pairs
    assert third.slide == "c"
    assert found.cases_known
    assert (first.slide, first.case, first.mpp) == ("A", "c1", 0.5)
    assert first.pred == str(tmp_path / "p/a.png")
    assert first.readers == (("anna", str(tmp_path / "r/a.png")),)
    assert (second.truth, second.readers, second.mpp) == ("synthetic:64x64", (), None)
    assert second.annotation == str(tmp_path / "m.png")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["pred,truth,case"], "has no rows"),
        (["pred,truth", "a,b"], "lacks case"),
        (["pred,truth,case,patient", "a,b,c,d"], "has patient"),
        (["pred,truth,case", "a,b,"], "line 2 .* has no case"),
        (["pred,truth,case,mpp", "a,b,c,half"], "mpp 'half' is no number"),
        (["pred,truth,case", "a,t,1", "b,t,2"], "lines 2 and 3 .* same truth"),
        (["pred,truth,case", "a,t,1", "b,u,2", "./a,v,2"], "lines 2 and 4 .* same pred"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, lines: list[str], words: str):
    with pytest.raises(ConfigError, match=words):
        read_manifest(manifest(tmp_path, *lines))


def test_a_manifest_as_spreadsheets_write_it(tmp_path: Path):
    path = tmp_path / "pairs.csv"
    path.write_bytes("sep=;\r\npred;truth;case;mpp\r\na;t;Müller;0,5\r\n;;;\r\n".encode("cp1252"))
    found = find_pairs(str(path), None)
    assert [(p.case, p.mpp) for p in found.pairs] == [("Müller", 0.5)]
    assert found.notes == ("the manifest is not UTF-8; it was read as Windows-1252",)


def test_a_patient_spelled_twice_is_refused_until_the_user_says_otherwise(tmp_path: Path):
    path = manifest(tmp_path, "pred,truth,case", "a,t,Case-3", "", "b,u,case 03")
    with pytest.raises(ConfigError, match=r"'Case-3' \(line 2\) and 'case 03' \(line 4\)"):
        find_pairs(str(path), None)
    assert find_pairs(str(path), None, distinct_cases=True).notes == (
        "'Case-3' and 'case 03' count as 2 patients (--distinct-cases)",
    )
    pred = masks(tmp_path / "pred", "Case-3-a.png", "case-3-b.png")
    truth = masks(tmp_path / "truth", "Case-3-a.png", "case-3-b.png")
    for distinct in (False, True):
        options = {"case_pattern": "(?i)case-[0-9]+", "distinct_cases": distinct}
        if distinct:
            assert len(find_pairs(str(pred), str(truth), **options).pairs) == 2
        else:
            with pytest.raises(ConfigError, match=r"'Case-3' .* and 'case-3'"):
                find_pairs(str(pred), str(truth), **options)


@pytest.mark.parametrize("name", ["x" * 5000, "a\x01\x1b[2J"])
def test_a_name_that_no_file_can_have_ends_in_a_sentence(tmp_path: Path, name: str):
    path = manifest(tmp_path, "pred,truth,case", f"{name},{name}.png,a")
    with pytest.raises(ConfigError) as caught:
        read_label_input(find_pairs(str(path), None).pairs[0].pred, ReadingSettings())
    assert "\x1b" not in str(caught.value)


def test_a_truth_too_large_for_any_memory_is_refused():
    with pytest.raises(ConfigError, match="which is too many"):
        read_label_input("synthetic:400000x400000", ReadingSettings())


def test_a_manifest_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        find_pairs(str(tmp_path / "none.csv"), None)


def test_folders_are_paired_by_name(tmp_path: Path):
    pred = masks(tmp_path / "pred", "Case-3-b.png", "Case-3-a.png", "Case-48-c.png")
    truth = masks(tmp_path / "truth", "Case-3-a.svs.png", "Case-3-b.tif", "Case-48-c.png")
    (pred / "notes.txt").write_text("not a map")
    found = find_pairs(str(pred), str(truth))
    assert not found.cases_known
    assert [p.slide for p in found.pairs] == ["Case-3-a", "Case-3-b", "Case-48-c"]
    assert Path(found.pairs[0].truth).name == "Case-3-a.svs.png"
    for pattern in (r"Case-\d+", r"(Case-\d+)-"):
        grouped = find_pairs(str(pred), str(truth), case_pattern=pattern)
        assert grouped.cases_known
        assert [p.case for p in grouped.pairs] == ["Case-3", "Case-3", "Case-48"]
    with pytest.raises(ConfigError, match="finds no case"):
        find_pairs(str(pred), str(truth), case_pattern="P9")
    with pytest.raises(ConfigError, match="no regular expression"):
        find_pairs(str(pred), str(truth), case_pattern="(")


def test_folders_that_do_not_fit_are_refused(tmp_path: Path):
    pred = masks(tmp_path / "pred", "a.png", "b.png")
    with pytest.raises(ConfigError, match=r"without a partner .* b"):
        find_pairs(str(pred), str(masks(tmp_path / "truth", "a.png")))
    with pytest.raises(ConfigError, match="two label maps of a"):
        find_pairs(str(pred), str(masks(tmp_path / "twice", "a.png", "a.tif")))
    with pytest.raises(ConfigError, match="none in either"):
        find_pairs(str(masks(tmp_path / "no")), str(masks(tmp_path / "nothing")))
    with pytest.raises(ConfigError, match="is a folder"):
        find_pairs(str(pred), str(pred / "a.png"))
