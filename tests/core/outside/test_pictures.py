"""Pictures: their size is looked at before they are decoded, and a PNG's checksums before both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_fddm.core.errors import DataError
from napari_fddm.core.outside import pictures
from napari_fddm.core.outside.pictures import check_size, open_picture

if TYPE_CHECKING:
    from pathlib import Path


def saved(path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    return path


def test_every_flipped_byte_of_a_png_is_noticed(tmp_path: Path):
    path = saved(tmp_path / "a.png")
    data = path.read_bytes()
    with open_picture(path) as picture:
        assert picture.size == (50, 40)
    for place in range(8, len(data) - 12, 7):  # up to the empty chunk at the end
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(DataError, match=r"a\.png"), open_picture(path) as picture:
            picture.load()


def test_a_size_that_cannot_be_is_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pictures, "MOST_PIXELS", 1999)
    with (
        pytest.raises(DataError, match="50 × 40 px are too many"),
        open_picture(saved(tmp_path / "a.png")),
    ):
        pass
    with pytest.raises(DataError, match="0 × 4 px large"):
        check_size((4, 0), "a", "a mask")
