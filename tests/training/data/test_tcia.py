"""The public collection of tiles: its table and its files are matched."""

from __future__ import annotations

import pytest

from napari_fddm.core.errors import DataError
from napari_fddm.training.data import read_manifest
from napari_fddm.training.data.tcia import case_of, read_collection, write_collection
from tests.support.training import write_rows, write_tile


def test_the_public_collection_is_matched_word_by_word(tmp_path):
    """Table and files write names differently; digits alone would collide."""
    folder = tmp_path / "Osteosarcoma-UT"
    files = {
        "Training-Set-1/set1/Case-3-A15-2939-11262.jpg": "Non-Tumor",
        "Training-Set-1/set2/Case-48-P5-C14-54171-23668.jpg": "Viable",
        "Training-Set-2/set9/Case-4-A1-52-3411.jpg": "Non-Viable-Tumor",
        "Training-Set-2/set9/Case-4-A1-523-411.jpg": "viable: non-viable",
        "Training-Set-2/set9/P9-E1-23-45.jpg": "Non-Tumor",
        "Training-Set-2/set9/Case-4-A9-1-2.jpg": None,
    }
    rows = ["image.name,feature,classification", "Case-3-Z9-1-1,0.5,Viable"]
    for number, (name, label) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tile(path, (120, 60, 150 - number), seed=number)
        if label:
            written = path.stem.replace("Case-", "Case ").replace("-A", " - A")
            rows.append(f"{written},0.1,{label}")
    write_rows(folder / "ML_Features_1144.csv", *rows)
    found = read_collection(folder)
    assert {(p.name, label) for p, label, _ in found.tiles} == {
        (name.rsplit("/", 1)[1], label) for name, label in files.items() if label
    }
    assert [p.name for p in found.unlabeled] == ["Case-4-A9-1-2.jpg"]
    assert found.absent == ("Case-3-Z9-1-1",)
    write_collection(found, folder / "manifest.csv")
    manifest = read_manifest(folder / "manifest.csv")
    assert manifest.cases == ("Case-3", "Case-4", "Case-48", "P9")
    assert manifest.left_out == 1
    assert {s.mpp for s in manifest.sources} == {1.0}


def test_a_table_from_a_spreadsheet_and_what_a_mac_leaves_behind(tmp_path):
    write_tile(tmp_path / "Case-3-A1.png", (120, 60, 150))
    for junk in ("._Case-3-A1.png", "._labels.csv"):
        (tmp_path / junk).write_bytes(b"\x00\x05\x16\x07")
    text = "sep=;\r\nImage Name;Classification\r\nCase 3 A1.PNG;Viable\r\n;Viable\r\n;\r\n"
    (tmp_path / "labels.csv").write_text(text, encoding="utf-16")
    found = read_collection(tmp_path)
    assert [(label, case) for _, label, case in found.tiles] == [("Viable", "Case-3")]
    assert (found.unlabeled, found.absent, found.nameless) == ((), (), 1)
    (tmp_path / "labels.csv").write_bytes(b"a;b;a\n")
    with pytest.raises(DataError, match=r"found none. .*'a' twice"):
        read_collection(tmp_path)


@pytest.mark.parametrize(
    ("name", "case"),
    [("Case 48 - P5 C14-1-2", "Case-48"), ("P9-E1-2", "P9"), ("case-3-A7", "Case-3")],
)
def test_the_case_is_in_the_name(name, case):
    assert case_of(name) == case
    with pytest.raises(DataError, match="case"):
        case_of("slide-7")
