from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_fddm.plugin.document.slide_files import is_slide, is_store, natural_key, neighbors
from tests.support.data import WSI
from tests.support.slides import stained, write_svs
from tests.support.stores import make


@pytest.fixture
def folder(tmp_path):
    """Three slides among much that is none."""
    for name in ("case 10.svs", "case 2.svs", "Case 1.svs"):
        write_svs(tmp_path / name, [stained(80, 80)])
    make(tmp_path / "case 2.svs.fddm.ome.zarr").close()
    (tmp_path / "case 3.txt").write_text("notes")
    (tmp_path / "case 4.svs").write_text("a text that is called a slide")
    (tmp_path / "case 5.tif").write_bytes(b"II*\0" + bytes(100))  # too small
    (tmp_path / "case 6").mkdir()
    (tmp_path / "case 7.svs").mkdir()
    (tmp_path / "case 8.dcm").write_bytes(bytes(200))
    return tmp_path


def zarr_image(path, **attributes):
    path.mkdir()
    (path / "zarr.json").write_text(json.dumps({"attributes": attributes}))
    return path


def names(paths):
    return [path.name for path in paths]


def test_neighbors_are_the_slides_of_the_folder_in_natural_order(folder):
    before, after = neighbors(folder / "case 2.svs")
    assert names(before) == ["Case 1.svs"]
    assert names(after) == ["case 10.svs"]
    before, after = neighbors(folder / "case 10.svs")
    assert names(before) == ["case 2.svs", "Case 1.svs"]
    assert after == []


def test_a_folder_that_is_gone_has_no_neighbors(tmp_path):
    assert neighbors(tmp_path / "gone" / "a.svs") == ([], [])


def test_an_omezarr_is_a_slide_and_a_store_is_none(tmp_path):
    assert is_slide(zarr_image(tmp_path / "a.ome.zarr", ome={"multiscales": []}))
    old = tmp_path / "b.zarr"
    old.mkdir()
    (old / ".zattrs").write_text(json.dumps({"multiscales": []}))
    assert is_slide(old)
    assert not is_slide(zarr_image(tmp_path / "table.zarr", other=1))
    damaged = zarr_image(tmp_path / "c.zarr")
    (damaged / "zarr.json").write_text("{")
    assert not is_slide(damaged)
    store = tmp_path / "s.fddm.ome.zarr"
    make(store).close()
    assert is_store(store)
    assert not is_slide(store)


def test_numbers_in_names_count_by_their_value():
    ordered = ["2", "10", "a 2 b", "a 2b", "a 10", "A 11", "b", "case 007", "case 8"]
    assert sorted(map(Path, ordered[::-1]), key=natural_key) == [Path(name) for name in ordered]


@pytest.mark.skipif(not WSI.exists(), reason="needs the real slides")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dicom/CMU-1-Small-Region", True),
        ("dicom/pathml_small", True),  # whether it is whole shows when it is opened
        ("malformed/OT-MONO2-8-colon.dcm", False),
        ("malformed/text_named.svs", False),
        ("malformed/empty.svs", False),
        ("svs/CMU-1-Small-Region.svs", True),
        ("ndpi/test3-DAPI-2-(387).ndpi", True),
        ("osteosarcoma-mosaics/P9_mosaic.tif", True),
        ("manifest.csv", False),
        ("svs", False),
    ],
)
def test_real_files_are_told_by_their_content(name, expected):
    assert is_slide(WSI / name) is expected
