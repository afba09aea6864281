"""ZIP archives are looked at before anything is unpacked."""

from __future__ import annotations

import shutil
import struct
import zipfile
from typing import TYPE_CHECKING, NamedTuple

import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.core.outside.archives import open_zip, unpack

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, *names: str, data: bytes = b"x", method: int = zipfile.ZIP_STORED) -> bytes:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in names:
            archive.writestr(name, data)
    return path.read_bytes()


def test_an_archive_is_read(tmp_path: Path):
    write(tmp_path / "a.zip", "a/b", "c")
    with open_zip(tmp_path / "a.zip") as archive:
        assert archive.read("a/b") == b"x"


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "C:/a", "..\\a"])
def test_no_name_leads_out(tmp_path: Path, name: str):
    write(tmp_path / "a.zip", name)
    with pytest.raises(StoreError, match="leads out of the archive"), open_zip(tmp_path / "a.zip"):
        pass


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_is_there_once(tmp_path: Path):
    write(tmp_path / "a.zip", "a", "a")
    with pytest.raises(StoreError, match="'a' is there twice"), open_zip(tmp_path / "a.zip"):
        pass


def test_methods_that_others_cannot_read_are_refused(tmp_path: Path):
    write(tmp_path / "a.zip", "a", method=zipfile.ZIP_BZIP2)
    with pytest.raises(StoreError, match="method 12"), open_zip(tmp_path / "a.zip"):
        pass


def test_a_size_that_cannot_be_is_refused(tmp_path: Path):
    data = write(tmp_path / "a.zip", "a", data=b"x" * 100)
    central = data.index(b"PK\x01\x02")
    damaged = data[: central + 24] + struct.pack("<I", 10**9) + data[central + 28 :]
    (tmp_path / "a.zip").write_bytes(damaged)
    with pytest.raises(StoreError, match="size that cannot be"), open_zip(tmp_path / "a.zip"):
        pass


def test_a_wrong_checksum_is_said(tmp_path: Path):
    data = write(tmp_path / "a.zip", "a", data=b"content")
    (tmp_path / "a.zip").write_bytes(data.replace(b"content", b"Content", 1))
    with (
        pytest.raises(StoreError, match=r"a\.zip cannot be read as a ZIP archive: Bad CRC"),
        open_zip(tmp_path / "a.zip") as archive,
    ):
        archive.read("a")


def test_another_file_is_no_archive(tmp_path: Path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(StoreError, match="cannot be read as a ZIP"), open_zip(tmp_path / "a.zip"):
        pass


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "a.zip"
    (tmp_path / "out").mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.txt", "first")
        archive.writestr("two/three.txt", "second")
    return path


def test_it_is_unpacked(packed: Path, tmp_path: Path) -> None:
    unpack(packed, tmp_path / "out", "an archive")
    assert (tmp_path / "out" / "two" / "three.txt").read_text() == "second"


def test_a_changed_byte_of_the_content_is_an_error(packed: Path, tmp_path: Path) -> None:
    packed.write_bytes(packed.read_bytes().replace(b"second", b"sEcond"))
    with pytest.raises(StoreError, match="CRC"):
        unpack(packed, tmp_path / "out", "an archive")


def test_more_than_the_disk_holds_is_not_unpacked(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int = 3

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage())
    with pytest.raises(StoreError, match="no room"):
        unpack(packed, tmp_path / "out", "an archive")
    assert list((tmp_path / "out").iterdir()) == []
