"""OpenSlide may die of a file: the read fails in words, the next one works, nothing is left."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openslide
import pytest

from napari_fddm.core.errors import SlideError
from napari_fddm.slides import open_slide
from napari_fddm.slides.isolated import handle
from napari_fddm.slides.isolated.handle import IsolatedError, IsolatedOpenSlide
from tests.fuzz.dicom import elements_of, write_dicom
from tests.support.slides import binned, stained, write_svs

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = stained(200, 160)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_svs(tmp_path / "a.svs", [IMAGE, binned(IMAGE, 4)])


def children() -> set[str]:
    """Return the processes of OpenSlide that this one has."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes()
            parent = (place.parent / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue  # it has just ended
        if handle.CHILD.encode() in words and int(parent) == os.getpid():
            found.add(place.parent.name)
    return found


@pytest.fixture
def alone() -> Iterator[None]:
    before = children()
    yield
    gc.collect()
    assert children() == before


@pytest.mark.usefixtures("alone")
def test_it_reads_what_the_library_reads(path: Path) -> None:
    own, theirs = IsolatedOpenSlide(path), openslide.OpenSlide(path)
    assert own.dimensions == theirs.dimensions
    assert own.level_dimensions == theirs.level_dimensions
    assert own.level_downsamples == theirs.level_downsamples
    assert own.properties == dict(theirs.properties)
    assert own.associated == tuple(theirs.associated_images)
    region = (30, 40), 0, (70, 50)
    np.testing.assert_array_equal(own.read_region(*region), theirs.read_region(*region))
    name = own.associated[0]
    np.testing.assert_array_equal(own.read_associated(name)[..., :3],
                                  np.asarray(theirs.associated_images[name])[..., :3])  # fmt: skip


@pytest.mark.usefixtures("alone")
def test_threads_read_side_by_side(path: Path) -> None:
    own = IsolatedOpenSlide(path)
    whole = own.read_region((0, 0), 0, (160, 200))

    def row(y: int) -> np.ndarray:
        return own.read_region((0, y), 0, (160, 10))

    with ThreadPoolExecutor(6) as pool:
        rows = list(pool.map(row, range(0, 200, 10)))
    np.testing.assert_array_equal(np.concatenate(rows), whole)
    assert 1 < len(children()) <= handle.MOST_PROCESSES


@pytest.mark.usefixtures("alone")
def test_what_openslide_refuses_is_refused(tmp_path: Path, path: Path) -> None:
    (tmp_path / "b.svs").write_bytes(b"no slide")
    with pytest.raises(IsolatedError, match="Unsupported or missing image file"):
        IsolatedOpenSlide(tmp_path / "b.svs")
    own = IsolatedOpenSlide(path)
    with pytest.raises(IsolatedError):
        own.read_region((0, 0), 0, (-1, 10))
    assert own.read_region((0, 0), 0, (5, 5)).shape == (5, 5, 4)


@pytest.mark.usefixtures("alone")
def test_a_crash_is_one_sentence(tmp_path: Path) -> None:
    """An offset of a frame far behind the end of a file kills libdicom 1.2."""
    path = write_dicom(tmp_path / "a.dcm", IMAGE)
    data = bytearray(path.read_bytes())
    items = [e for e in elements_of(bytes(data)) if e.tag == 0xFFFEE000]
    table = items[-13]  # before the 12 frames
    data[table.value_at : table.value_at + 4] = (0x7FFFFFF0).to_bytes(4, "little")
    path.write_bytes(data)
    with open_slide(path, look=False) as slide:
        with pytest.raises(SlideError, match=r"a\.dcm cannot be decoded .*crashed .*SIGSEGV"):
            slide.read_level(0, 0, 0, 10, 10)
        found = slide.read_level(0, 130, 100, 20, 20)
    assert np.abs(found.astype(int) - IMAGE[130:150, 100:120]).mean() < 4
