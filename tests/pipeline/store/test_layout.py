from __future__ import annotations

import json
import os

import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.tiling import TileGrid
from napari_fddm.interop import ome_zarr
from napari_fddm.pipeline.store import StoreGeometries, default_store_path, layout
from napari_fddm.pipeline.store.layout import is_our_store, slide_beside
from tests.support.stores import GEOMETRIES


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    folder = tmp_path / "workspace"
    monkeypatch.setattr(layout, "workspace_folder", lambda: folder)
    return folder


@pytest.fixture
def slide(tmp_path):
    path = tmp_path / "slides" / "a.svs"
    path.parent.mkdir()
    path.touch()
    return path


def test_a_store_lies_beside_its_slide(slide):
    assert default_store_path(slide, "f1") == slide.parent / "a.svs.fddm.ome.zarr"
    assert default_store_path(slide.with_suffix(".ndpi"), "f1") != default_store_path(slide, "f1")
    assert [p.name for p in slide.parent.iterdir()] == ["a.svs"]  # asking leaves no trace


def test_another_image_of_a_file_has_a_store_of_its_own_that_finds_the_slide(slide):
    store = default_store_path(slide, "f2", 3)
    assert store == slide.parent / "a.svs.series-3.fddm.ome.zarr"
    assert slide_beside(store) == (slide, 3)
    assert slide_beside(default_store_path(slide, "f1")) == (slide, None)
    gone = slide.with_name("b.svs")
    for store in (gone, default_store_path(gone, "f1"), default_store_path(gone, "f1", 2)):
        assert slide_beside(store) == (None, None)


def test_without_a_path_it_lies_in_the_workspace_by_fingerprint(workspace):
    path = default_store_path(None, "sha256:../ab/c")
    assert path.parent == workspace
    assert path.name == "sha256____ab_c.fddm.ome.zarr"
    assert default_store_path(None, "other") != path
    assert default_store_path(None, "").name == "unnamed.fddm.ome.zarr"


def test_where_the_slide_s_folder_is_read_only_it_lies_in_the_workspace(
    slide, workspace, monkeypatch
):
    monkeypatch.setattr(layout, "_writable", lambda _: False)
    assert default_store_path(slide, "f1") == workspace / "f1.fddm.ome.zarr"
    beside = slide.parent / "a.svs.fddm.ome.zarr"
    beside.mkdir()
    assert default_store_path(slide, "f1") == beside  # an existing analysis is found


def test_a_moved_slide_finds_its_analysis_by_fingerprint(slide, workspace):
    (workspace / "f1.fddm.ome.zarr").mkdir(parents=True)
    assert default_store_path(slide, "f1").parent == workspace
    assert default_store_path(slide, "f2").parent == slide.parent


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs permission bits that bind")
def test_a_folder_without_write_permission_is_noticed(slide, workspace):
    slide.parent.chmod(0o555)
    try:
        assert default_store_path(slide, "f1").parent == workspace
    finally:
        slide.parent.chmod(0o755)


def test_a_missing_folder_is_not_writable(tmp_path, workspace):
    assert default_store_path(tmp_path / "gone" / "a.svs", "f1").parent == workspace


@pytest.mark.parametrize("mpp", [0.2502, 0.5, 1.0, 0.2328])
def test_grids_of_any_slide_belong_together(mpp):
    geometries = StoreGeometries.of_grid(TileGrid((12_345, 6_789), mpp, 1.0), 4.0)
    assert geometries.cells_per_tile == 8


@pytest.mark.parametrize(
    "changes",
    [
        {"cell": GEOMETRIES.tile},
        {"cell": MapGeometry((10, 10), 64.0, 0.5)},
        {"cell": MapGeometry(GEOMETRIES.cell.shape, 65.0, 0.5)},
        {"cell": MapGeometry(GEOMETRIES.cell.shape, 64.0, 0.5, (1.0, 0.0))},
        {"label": MapGeometry((10, 10), 16.0, 0.25)},
    ],
)
def test_grids_that_do_not_belong_together_are_refused(changes):
    grids = {name: getattr(GEOMETRIES, name) for name in ("tile", "cell", "label")}
    if changes == {"cell": GEOMETRIES.tile}:
        StoreGeometries(**(grids | changes))  # one cell per tile is a division too
        return
    with pytest.raises(StoreError):
        StoreGeometries(**(grids | changes))


def test_only_what_this_program_wrote_is_ours(finished, tmp_path):
    path, _ = finished
    assert is_our_store(path)
    foreign = tmp_path / "foreign.ome.zarr"
    ome_zarr.create_image(foreign, GEOMETRIES.label, name="x")
    assert not is_our_store(foreign)
    (foreign / "fddm").mkdir()
    assert not is_our_store(foreign)  # an image of ours, but no store
    plain = tmp_path / "plain"
    (plain / "fddm").mkdir(parents=True)
    for text in (None, "{", "[]", "{}", json.dumps({"attributes": 3})):
        if text is not None:
            (plain / "zarr.json").write_text(text)
        assert not is_our_store(plain)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert not is_our_store(link)
    assert not is_our_store(tmp_path / "missing")
