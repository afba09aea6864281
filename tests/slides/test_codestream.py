from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from napari_fddm.slides.codestream import jpeg2000_damage, jpeg_damage
from tests.support.slides import stained

IMAGE = stained(120, 120)


def progressive() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(IMAGE).save(buffer, "jpeg", progressive=True)
    return buffer.getvalue()


JPEGS = {
    "baseline": bytes(imagecodecs.jpeg8_encode(IMAGE, level=80)),
    "progressive": progressive(),
}
JPEGS_2000 = {
    "j2k": bytes(imagecodecs.jpeg2k_encode(IMAGE, codecformat="j2k")),
    "jp2": bytes(imagecodecs.jpeg2k_encode(IMAGE, codecformat="jp2")),
}


@pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS)
def test_whole_jpegs_pass(data: bytes) -> None:
    assert jpeg_damage(data) == ""
    assert jpeg_damage(data + b"\x00") == ""


@pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS)
def test_cut_jpegs_do_not_pass(data: bytes) -> None:
    for end in range(0, len(data) - 1, 97):
        assert jpeg_damage(data[:end])
        assert jpeg_damage(data[:end] + bytes(len(data) - end))


def test_noise_inside_the_scan_does_not_pass() -> None:
    data = JPEGS["baseline"]
    middle = len(data) * 3 // 4
    noise = np.random.default_rng(0).bytes(len(data) // 8) + b"\xff\x01"
    assert "stray" in jpeg_damage(data[:middle] + noise + data[middle + len(noise) :])


@pytest.mark.parametrize("data", JPEGS_2000.values(), ids=JPEGS_2000)
def test_whole_and_cut_jpeg_2000(data: bytes) -> None:
    assert jpeg2000_damage(data) == ""
    assert jpeg2000_damage(data + b"\x00") == ""
    for end in range(0, len(data) - 1, 97):
        assert jpeg2000_damage(data[:end])
        assert jpeg2000_damage(data[:end] + bytes(len(data) - end))


@pytest.mark.parametrize("data", [b"", b"\x00" * 50, b"\xff\xd8\xff\xd9", b"\x00\x00\x00\x00jP  "])
def test_nonsense_does_not_pass(data: bytes) -> None:
    assert jpeg_damage(data)
    assert jpeg2000_damage(data)
