"""Only regular files of a possible size, in a known encoding, are read."""

from __future__ import annotations

import gzip
import os
import struct
import sys
from pathlib import Path

import pytest

from napari_fddm.core.errors import ConfigError, DataError
from napari_fddm.core.outside.files import open_file, read_bytes, read_text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes of a name in folders")
def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a pipe or device"):
        read_bytes(tmp_path / "pipe", "a table")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
def test_a_device_is_not_read():
    with pytest.raises(DataError, match="is a pipe or device"):
        read_bytes(Path("/dev/zero"), "a table")


def test_folders_and_missing_files_are_said(tmp_path: Path):
    with pytest.raises(ConfigError, match="is a folder"):
        read_bytes(tmp_path, "a table", error=ConfigError)
    with pytest.raises(DataError, match="No such file") as caught:
        read_bytes(tmp_path / "none", "a table")
    assert "Check the path" in caught.value.hint


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_too_large_is_refused_packed_or_not(tmp_path: Path, pack):
    path = tmp_path / "a"
    path.write_bytes(pack(bytes(3_000_000)))
    assert len(read_bytes(path, "a table", most=3_000_000)) == 3_000_000
    with pytest.raises(DataError, match="more than 2 MiB"):
        read_bytes(path, "a table", most=2 << 20)


def test_a_damaged_archive_is_said(tmp_path: Path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" * 99)[:-9])
    with pytest.raises(DataError, match=r"a\.gz cannot be read as JSON"):
        read_bytes(tmp_path / "a.gz", "JSON")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_is_read_by_its_byte_order_mark(tmp_path: Path, encoding: str):
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    (tmp_path / "a").write_bytes((mark + "坏死 ä").encode(encoding))
    assert read_text(tmp_path / "a", "a text").removeprefix("\ufeff") == "坏死 ä"


def test_another_encoding_is_said_with_its_line(tmp_path: Path):
    (tmp_path / "a").write_bytes("a\nb\nä".encode("cp1252"))
    with pytest.raises(DataError, match=r"line 3 is not UTF-8") as caught:
        read_text(tmp_path / "a", "a text")
    assert "UTF-8" in caught.value.hint


def test_faults_while_an_open_file_is_read_become_ours(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    with (
        pytest.raises(DataError, match="cannot be read as a map: unpack requires"),
        open_file(tmp_path / "a", "a map") as file,
    ):
        struct.unpack("<Q", file.read())
