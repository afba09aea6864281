"""TIFF files whose directories are damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.tiff_files import open_tiff

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_read(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), np.uint8))
    with open_tiff(tmp_path / "a.tif") as file:
        assert file.pages[0].shape == (4, 5)


@pytest.mark.parametrize(
    "content", [b"", b"II*\x00", b"II*\x00\xff\xff\xff\x7f", b"no TIFF at all"]
)
def test_what_is_no_tiff_is_said(tmp_path: Path, content: bytes):
    (tmp_path / "a.tif").write_bytes(content)
    with (
        pytest.raises(SlideError, match=r"a\.tif cannot be read as TIFF"),
        open_tiff(tmp_path / "a.tif", error=SlideError) as file,
    ):
        file.pages[0]
