from __future__ import annotations

import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.interop import ome_zarr, validation
from napari_fddm.interop.pyramids import mode_halved
from napari_fddm.pipeline.outputs import export_store, export_version, read_report
from napari_fddm.pipeline.store import AnalysisStore
from tests.support.stores import make, random_labels, refine_all, replay, stored, stroke


def listing(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.fixture
def destination(tmp_path):
    return tmp_path / "out" / "copy.ome.zarr"


def test_an_export_is_valid_complete_and_holds_unsaved_strokes(finished, destination):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, Window(3, 3, 50, 60), 2))
        export_store(store, destination)
        store.corrections.append_edit(stroke(labels.copy(), Window(90, 90, 50, 60), 4))  # not in it
    validation.validate(destination)
    assert [p.name for p in destination.parent.iterdir()] == [destination.name]
    assert not [p for p in listing(destination) if p.endswith((".lock", ".part"))]
    assert np.array_equal(stored(destination), labels)
    assert np.array_equal(stored(destination, level=1), mode_halved(labels))
    assert ome_zarr.read_labels(destination, "corrected").exact
    with AnalysisStore.open(destination) as copy:
        assert copy.maps.complete
        assert np.array_equal(replay(copy), labels)
        assert copy.provenance == {"config": {"seed": 1}}


def test_an_export_leaves_its_source_alone(finished, destination):
    path, _ = finished
    before = listing(path)
    with AnalysisStore.open(path) as store:
        export_store(store, destination)
    assert listing(path) == before


def test_a_killed_run_is_completed_in_the_copy(path, rng, destination):
    labels = random_labels(rng)
    store = make(path)
    refine_all(store, labels)
    store.maps.release()  # as if the process had died: no pyramids, no corrected map
    with AnalysisStore.open(path) as reader:
        export_store(reader, destination)
    assert not stored(path, "refined", 1).any()
    assert np.array_equal(stored(destination, "refined", 1), mode_halved(labels))
    assert np.array_equal(stored(destination), labels)
    assert not AnalysisStore.open(destination).maps.complete


def test_an_older_export_is_replaced_only_when_allowed(finished, destination):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        export_store(store, destination)
        store.corrections.append_edit(stroke(labels, Window(3, 3, 50, 60), 2))
        before = listing(destination)
        with pytest.raises(StoreError, match="exists already") as caught:
            export_store(store, destination)
        assert caught.value.hint
        assert listing(destination) == before
        export_store(store, destination, overwrite=True)
    assert np.array_equal(stored(destination), labels)
    assert [p.name for p in destination.parent.iterdir()] == [destination.name]


def test_one_file_can_be_exported_and_replaced(finished, destination):
    path, labels = finished
    target = destination.with_suffix(".ozx")
    with AnalysisStore.open(path, "r+") as store:
        export_store(store, target)
        store.corrections.append_edit(stroke(labels, Window(3, 3, 50, 60), 2))
        with pytest.raises(StoreError, match="exists already"):
            export_store(store, target)
        export_store(store, target, overwrite=True)
        target.with_suffix(".docx").write_text("precious")
        foreign = target.with_name("foreign.ozx")
        foreign.write_text("precious")
        with pytest.raises(StoreError, match="not replaced"):
            export_store(store, foreign, overwrite=True)
    assert foreign.read_text() == "precious"
    validation.validate(target)
    assert np.array_equal(ome_zarr.read_labels(target, "corrected").labels, labels)
    names = sorted(p.name for p in target.parent.iterdir())
    assert names == ["copy.ome.docx", "copy.ome.ozx", "foreign.ozx"]


@pytest.mark.parametrize("kind", ["folder", "file", "image", "link", "dangling"])
def test_what_is_not_ours_is_never_replaced(finished, destination, kind):
    path, _ = finished
    destination.parent.mkdir()
    target = destination.parent / "elsewhere"
    if kind == "folder":
        destination.mkdir()
        (destination / "thesis.docx").write_text("precious")
    elif kind == "file":
        destination.write_text("precious")
    elif kind == "image":
        ome_zarr.create_image(destination, AnalysisStore.open(path).geometries.label, name="x")
    else:
        if kind == "link":
            shutil.copytree(path, target)
        destination.symlink_to(target)
    before = listing(destination.parent)
    with AnalysisStore.open(path) as store, pytest.raises(StoreError, match="not replaced"):
        export_store(store, destination, overwrite=True)
    assert listing(destination.parent) == before
    assert destination.is_symlink() == (kind in ("link", "dangling"))


@pytest.mark.parametrize("place", ["same", "inside", "around"])
def test_a_store_is_not_copied_into_itself(finished, place):
    path, _ = finished
    destination = {"same": path, "inside": path / "fddm" / "copy", "around": path.parent}[place]
    before = listing(path)
    with AnalysisStore.open(path) as store, pytest.raises(StoreError, match="lies in"):
        export_store(store, destination, overwrite=True)
    assert listing(path) == before


def test_a_full_disk_leaves_the_destination_as_it_was(finished, destination, monkeypatch):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        export_store(store, destination)
        before = listing(destination.parent)
        store.corrections.append_edit(stroke(labels, Window(3, 3, 50, 60), 2))
        real, count = shutil.copyfile, iter(range(10**6))

        def full(source: Path, target: Path) -> object:
            if next(count) > 20:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(source, target)

        monkeypatch.setattr(shutil, "copyfile", full)
        with pytest.raises(StoreError, match="No space left") as caught:
            export_store(store, destination, overwrite=True)
        assert "disk is full" in caught.value.hint
    assert listing(destination.parent) == before


def test_a_copy_that_is_not_valid_never_arrives(finished, destination):
    path, _ = finished
    with AnalysisStore.open(path) as store:
        group = zarr.open_group(path / "labels" / "refined", mode="r+")
        ome = dict(group.attrs["ome"])
        group.attrs["ome"] = ome | {"image-label": {"colors": [{"label-value": "seven"}]}}
        with pytest.raises(StoreError, match="labels/refined"):
            export_store(store, destination)
    assert list(destination.parent.iterdir()) == []


def test_if_the_last_step_fails_the_older_export_returns(finished, destination, monkeypatch):
    path, _ = finished
    with AnalysisStore.open(path) as store:
        export_store(store, destination)
        before = listing(destination.parent)
        real = Path.rename

        def rename(self: Path, target: Path) -> Path:
            if Path(target) == destination and not monkeypatch_done:
                monkeypatch_done.append(True)
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(self, target)

        monkeypatch_done: list[bool] = []
        monkeypatch.setattr(Path, "rename", rename)
        with pytest.raises(StoreError, match="Permission denied"):
            export_store(store, destination, overwrite=True)
    assert monkeypatch_done
    assert listing(destination.parent) == before


def test_an_export_without_a_chunk_that_vanished_while_copying_is_refused(
    finished, destination, monkeypatch
):
    path, _ = finished
    doomed = path / "fddm" / "refined_done" / "c"
    real = shutil.copyfile

    def vanishing(source: Path, target: Path) -> object:
        if doomed in Path(source).parents and Path(source).exists():
            Path(source).unlink()
        return real(source, target)

    monkeypatch.setattr(shutil, "copyfile", vanishing)
    with AnalysisStore.open(path) as store, pytest.raises(StoreError, match="refined_done lacks"):
        export_store(store, destination)
    assert list(destination.parent.iterdir()) == []


def test_version_04_is_valid_and_holds_unsaved_strokes(finished, destination):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, Window(3, 3, 50, 60), 2))
        export_version(store, destination, version="0.4")
    validation.validate_v04(destination)
    old = zarr.open_group(destination, mode="r", zarr_format=2)
    assert np.array_equal(old["labels/corrected/0"][...], labels)
    assert np.array_equal(old["labels/corrected/1"][...], mode_halved(labels))
    assert [p.name for p in destination.parent.iterdir()] == [destination.name]
    assert not (destination / "fddm").exists()


@pytest.mark.parametrize("name", ["copy.tif", "copy", "copy.zip"])
def test_a_name_of_another_format_is_refused(finished, tmp_path, name):
    with (
        AnalysisStore.open(finished[0]) as store,
        pytest.raises(StoreError, match="whose name ends with"),
    ):
        export_version(store, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_versions_replace_one_another_only_when_allowed(finished, destination):
    path, _ = finished
    with AnalysisStore.open(path) as store:
        for version in ("0.4", "0.5", "0.4"):
            if destination.exists():
                before = listing(destination)
                with pytest.raises(StoreError, match="exists already"):
                    export_version(store, destination, version=version)
                assert listing(destination) == before
            export_version(store, destination, version=version, overwrite=True)
            assert (destination / ".zattrs").exists() == (version == "0.4")
    assert [p.name for p in destination.parent.iterdir()] == [destination.name]


@pytest.mark.parametrize(("version", "name"), [("0.6", "a.ome.zarr"), ("0.4", "a.ozx")])
def test_what_cannot_be_written_is_said(finished, destination, version, name):
    path, _ = finished
    target = destination.with_name(name)
    with AnalysisStore.open(path) as store, pytest.raises(StoreError, match=name) as caught:
        export_version(store, target, version=version)
    assert caught.value.hint
    assert not destination.parent.exists()


def test_a_version_04_that_is_not_valid_never_arrives(finished, destination, monkeypatch):
    path, _ = finished

    def refuse(path: Path) -> None:
        raise StoreError(f"{path}: the image is not valid.")

    monkeypatch.setattr(validation, "validate_v04", refuse)
    with AnalysisStore.open(path) as store, pytest.raises(StoreError, match="not valid"):
        export_version(store, destination, version="0.4")
    assert list(destination.parent.iterdir()) == []


def test_the_report_of_an_export_is_that_of_its_store(finished, tmp_path):
    with AnalysisStore.open(finished[0]) as store:
        export_version(store, tmp_path / "copy.ozx")
    before, after = (read_report(path) for path in (finished[0], tmp_path / "copy.ozx"))
    assert after["definitions"] == before["definitions"]
    assert after["areas_mm2"] == before["areas_mm2"]
    assert after["slide"] != before["slide"]  # nameless
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".ozx"] == ["copy.ozx"]


def test_no_link_is_followed_out_of_the_store(finished, destination, tmp_path):
    path, _ = finished
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("secret")
    (path / "fddm" / "notes.txt").symlink_to(secret / "key.txt")
    (path / "fddm" / "more").symlink_to(secret)
    (path / "fddm" / "again.json").symlink_to(path / "fddm" / "run.json")
    with AnalysisStore.open(path) as store:
        notes = export_store(store, destination)
    assert sorted(Path(note.split(" leads")[0]).name for note in notes) == ["more", "notes.txt"]
    assert not any(data == b"secret" for data in listing(destination).values())
    assert (destination / "fddm" / "again.json").is_file()
    assert not (destination / "fddm" / "again.json").is_symlink()


def test_a_chunk_behind_a_link_that_leads_out_is_lost(finished, destination, tmp_path):
    path, _ = finished
    chunk = path / "fddm" / "refined_done" / "c" / "0" / "0"
    chunk.rename(tmp_path / "elsewhere")
    chunk.symlink_to(tmp_path / "elsewhere")
    with AnalysisStore.open(path) as store, pytest.raises(StoreError, match="link that leads out"):
        export_store(store, destination)


def test_a_link_to_itself_is_an_error_of_ours(finished, destination):
    path, _ = finished
    loop = path / "fddm" / "notes.txt"
    loop.symlink_to(loop.name)
    with AnalysisStore.open(path) as store, pytest.raises(StoreError):
        export_store(store, destination)
    assert not destination.exists()


def test_files_of_file_managers_stay_out(finished, destination):
    path, _ = finished
    names = ("._zarr.json", "labels/._refined", "fddm/.DS_Store", "Thumbs.db", "desktop.ini")
    for name in names:
        (path / name).write_bytes(b"junk")
    with AnalysisStore.open(path) as store:
        assert export_store(store, destination) == ()
    assert not set(names) & set(listing(destination))


def test_what_was_written_is_compared_with_the_source(finished, destination, monkeypatch):
    path, _ = finished

    def wrong(copy: AnalysisStore) -> None:
        group = copy.path / "labels" / "refined" / "0"
        array = zarr.open_array(group, mode="r+")
        array[0, 0] = array[0, 0] % 7 + 1

    real = AnalysisStore.close

    def close(self: AnalysisStore) -> None:
        real(self)
        if self.path != path and self.path.name.endswith(".part"):
            wrong(self)

    monkeypatch.setattr(AnalysisStore, "close", close)
    with AnalysisStore.open(path) as store, pytest.raises(StoreError, match="labels/refined diff"):
        export_store(store, destination)
    assert list(destination.parent.iterdir()) == []
