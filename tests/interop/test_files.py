from __future__ import annotations

import errno
import os

import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.interop.files import read_json, storage_errors, write_atomic, write_json


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
