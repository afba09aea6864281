"""ZIP archives are unpacked whole and checked, or refused."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING, NamedTuple

import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.core.outside.archives import open_zip, unpack

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../out.txt", "x")
    with (
        pytest.raises(StoreError, match="leads out"),
        open_zip(tmp_path / "a.zip", "an archive"),
    ):
        pass
