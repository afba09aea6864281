"""What `info` says of several images in a file, and of names that are no text."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.slides.ngff.test_images import bioformats2raw
from tests.support.commands import assert_one_line
from tests.support.slides import stained, write_tiff

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Call


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """Two images: an overview (series 0) and the slide (series 1)."""
    return bioformats2raw(tmp_path / "a.zarr", ["0", "1"])


def test_info_lists_all_images(call: Call, slide: Path) -> None:
    facts = json.loads(call("info", slide, "--json")[1])
    assert facts["series"] == 1
    assert facts["images"] == [
        {"series": 0, "shape": [60, 50], "name": "image", "open": False, "refusal": None},
        {"series": 1, "shape": [120, 160], "name": "image", "open": True, "refusal": None},
    ]
    out = call("info", slide, "--series", 0)[1]
    assert "series 0 'image': 50 × 60 px, open" in out
    assert "series 1 'image': 160 × 120 px, not open" in out
    assert "level 0: 50 × 60 px" in out
    assert_one_line(call("info", slide, "--series", 7), "no series 7", "series 1")


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_are_not_utf_8_are_shown_with_escapes(call: Call, tmp_path: Path) -> None:
    made = write_tiff(tmp_path / "x.tif", [stained(200, 160)], mpp=0.5)
    path = tmp_path / "präparat.tif".encode("latin-1").decode("utf-8", "surrogateescape")
    made.rename(path)
    code, out, err = call("info", path)
    assert (code, err) == (0, "")
    assert "name: pr\\xe4parat.tif" in out
    assert json.loads(call("info", path, "--json")[1])["name"] == "pr\\xe4parat.tif"
    gone = path.with_name(f"no {path.name}")
    assert_one_line(call("info", gone), "no pr\\xe4parat.tif")
