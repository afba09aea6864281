from __future__ import annotations

import errno
import os
import shutil
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import (
    discard_folder,
    is_unfinished,
    storage_errors,
    whole_file,
    whole_folder,
    write_atomic,
    write_json,
)
from napari_fddm.core.outside.json_files import read_json
from tests.support.disks import small_disk

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.from_regex(r"[A-Za-z0-9 ._-]{1,40}", fullmatch=True).filter(
    lambda name: name.strip(".") and not name.endswith((" ", "."))
)


def test_json_comes_back_and_replaces(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"µ": [1, 2.5, None]})
    write_json(path, {"b": "c"})
    assert read_json(path) == {"b": "c"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, broken):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if broken == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(type(path), "replace", fail)
    with pytest.raises(StoreError, match="No space left") as caught:
        write_atomic(path, "new")
    assert "disk is full" in caught.value.hint
    monkeypatch.undo()
    assert read_json(path) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permission bits")
def test_others_can_read_what_the_umask_lets_them(tmp_path):
    path = tmp_path / "a.json"
    plain = tmp_path / "plain"
    plain.touch()
    write_json(path, {})
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe{}"])
def test_what_is_no_json_object_is_refused(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"a\.json"):
        read_json(path)


def test_values_without_json_form_are_refused_before_writing(tmp_path):
    for value in (object(), float("nan")):
        with pytest.raises(StoreError):
            write_json(tmp_path / "a.json", {"x": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        FileNotFoundError("no number"),
        OSError(errno.EROFS, "Read-only file system"),
        OSError(9999, "unheard of"),
    ],
)
def test_system_errors_always_get_a_hint(error):
    with (
        pytest.raises(StoreError, match="cannot open the/place") as caught,
        storage_errors("open", "the/place"),
    ):
        raise error
    assert caught.value.hint
    assert caught.value.__cause__ is error


def test_only_reading_hides_value_errors():
    with pytest.raises(ValueError, match="mine"), storage_errors("write", "x"):
        raise ValueError("mine")
    with pytest.raises(StoreError, match="damaged"), storage_errors("read", "x", damaged=True):
        raise ValueError("checksum")


@given(name=NAMES, old=st.none() | st.binary(), new=st.binary())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_whole_file_has_any_name_and_replaces_what_was_there(tmp_path, name, old, new):
    folder = tmp_path / uuid.uuid4().hex
    folder.mkdir()
    path = folder / name
    if old is not None:
        path.write_bytes(old)
    with whole_file(path) as part:
        assert part.parent == folder
        assert not part.exists()
        assert part.suffixes[-len(path.suffixes) :] == path.suffixes or not path.suffixes
        assert part.suffix == (path.suffix or ".part")
        assert is_unfinished(part)
        part.write_bytes(new)
        assert (path.read_bytes() if path.exists() else None) == old
    assert path.read_bytes() == new
    assert list(folder.iterdir()) == [path]


def test_writers_that_look_at_the_suffix_write_where_they_are_told(tmp_path):
    with whole_file(tmp_path / "a.fold.npz") as part:
        np.savez(part, x=np.arange(3))
    assert [p.name for p in tmp_path.iterdir()] == ["a.fold.npz"]
    with np.load(tmp_path / "a.fold.npz") as stored:
        assert stored["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
@pytest.mark.parametrize("written", [True, False])
def test_a_failure_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path, error, written):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)) as caught, whole_file(path) as part:  # noqa: PT012
        if written:
            part.write_text("new")
        raise error
    assert caught.value is error
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_block_that_writes_nothing_is_an_error_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(StoreError, match=r"cannot write .*a\.txt"), whole_file(path):
        pass
    assert path.read_text() == "old"


def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        path = disk.folder / "a.bin"
        write_atomic(path, b"old")
        with pytest.raises(StoreError, match="No space left") as caught:
            write_atomic(path, bytes(2 << 20))
        assert "disk is full" in caught.value.hint
        with pytest.raises(StoreError, match="No space left"), whole_folder(disk.folder / "f") as f:
            (f / "big").write_bytes(bytes(2 << 20))
        assert path.read_bytes() == b"old"
        assert [p.name for p in disk.folder.iterdir()] == ["a.bin"]


def test_what_the_folder_forbids_names_the_file(tmp_path):
    with pytest.raises(StoreError, match=r"cannot write .*a\.json") as caught:
        write_atomic(tmp_path / "missing" / "a.json", "x")
    assert "path exists" in caught.value.hint


def test_of_concurrent_writers_one_wins_whole(tmp_path):
    path = tmp_path / "a.bin"
    contents = [bytes([i]) * (1 << 16) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomic(path, content), contents * 4))
    assert path.read_bytes() in contents
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_whole_folder_appears_with_all_its_files(tmp_path):
    path = tmp_path / "new" / "model.v1"
    with whole_folder(path) as part:
        assert part.parent == path.parent
        assert is_unfinished(part)
        (part / "inside").mkdir()
        (part / "inside" / "a.txt").write_text("a")
        (part / "b.txt").write_text("b")
        (part / "b.txt").chmod(0o444)
        assert not path.exists()
    assert (path / "inside" / "a.txt").read_text() == "a"
    assert (path / "b.txt").read_text() == "b"
    assert [p.name for p in path.parent.iterdir()] == ["model.v1"]


@pytest.mark.parametrize("kind", ["file", "empty folder", "folder", "dangling link"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_whole_folder_refuses_what_is_there(tmp_path, kind, when):
    path = tmp_path / "model"

    def occupy():
        if kind == "file":
            path.touch()
        elif kind == "dangling link":
            path.symlink_to(tmp_path / "nowhere")
        else:
            path.mkdir()
            if kind == "folder":
                (path / "a").touch()

    entered = False
    if when == "before":
        occupy()
    with pytest.raises(StoreError, match="exists already") as caught, whole_folder(path) as part:  # noqa: PT012
        entered = True
        (part / "mine").touch()
        occupy()
    assert entered == (when == "meanwhile")
    assert caught.value.hint
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert not (path / "mine").exists()


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_a_failure_in_the_block_leaves_no_folder(tmp_path, error):
    with pytest.raises(type(error)) as caught, whole_folder(tmp_path / "model") as part:  # noqa: PT012
        (part / "a").touch()
        raise error
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX permission bits")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "a.txt", "a")
        with whole_folder(tmp_path / "folder") as part:
            (part / "b").touch()
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "folder" / "b").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~umask


def test_everything_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    synced, real = [], os.fsync

    def fsync(handle: int) -> None:
        synced.append((os.fstat(handle).st_ino, (tmp_path / "model").exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with whole_folder(tmp_path / "model") as part:
        (part / "inside").mkdir()
        (part / "inside" / "a").write_text("a")
    inside = tmp_path / "model" / "inside"
    early = {inode for inode, named in synced if not named}
    assert {p.stat().st_ino for p in (inside.parent, inside, inside / "a")} <= early
    assert (tmp_path.stat().st_ino, True) in synced


@pytest.mark.parametrize("name", ["a.json", ".a.json", "a.part", ".a.parts.json", "part"])
def test_finished_names_are_told_apart(tmp_path, name):
    assert not is_unfinished(tmp_path / name)


def test_a_folder_goes_although_a_thread_makes_it_anew(tmp_path, monkeypatch):
    folder = tmp_path / "chunks"
    (folder / "c").mkdir(parents=True)
    remove, removed = shutil.rmtree, []

    def removes_and_is_too_early(path: Path, **options: bool) -> None:
        remove(path, **options)
        removed.append(path)
        if len(removed) < 3:  # a chunk that was on its way
            (path / "c").mkdir(parents=True)

    monkeypatch.setattr(shutil, "rmtree", removes_and_is_too_early)
    discard_folder(folder)
    assert removed == [folder] * 3
    assert not folder.exists()
