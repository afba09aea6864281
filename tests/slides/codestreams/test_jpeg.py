from __future__ import annotations

import io
from typing import TYPE_CHECKING

import imagecodecs
import pytest
from PIL import Image

from napari_fddm.slides.codestreams.jpeg import jpeg_damage, read_jpeg
from tests.support.slides import stained

if TYPE_CHECKING:
    import numpy as np

IMAGE = stained(120, 120)
PROFILE = bytes(range(256)) + b"\xff\xda\xff\xd9\xff\xc0\xff\xd8" + bytes(100)


def pillow(image: np.ndarray = IMAGE, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "jpeg", **options)
    return buffer.getvalue()


def inserted(data: bytes, code: int, content: bytes) -> bytes:
    """Return an image with one more segment behind its start."""
    return (
        data[:2] + bytes((0xFF, code)) + (len(content) + 2).to_bytes(2, "big") + content + data[2:]
    )


BASELINE = bytes(imagecodecs.jpeg8_encode(IMAGE, level=80))
THUMBNAIL = pillow(IMAGE[:32, :32].copy())
WHOLE = {
    "baseline": BASELINE,
    "progressive": pillow(progressive=True),
    "restarts": pillow(restart_marker_blocks=3),
    "profile": pillow(icc_profile=PROFILE),
    "comment": inserted(BASELINE, 0xFE, b"\xff\xda\xff\xd9"),
    "thumbnail": inserted(BASELINE, 0xE1, b"Exif\0\0" + THUMBNAIL),
    "fill before a marker": BASELINE[:2] + b"\xff\xff" + BASELINE[2:],
    "fill before the end": BASELINE[:-2] + b"\xff\xff" + BASELINE[-2:],
}
FILL = {"zeros": b"\0\0", "ones": b"\xff" * 5, "line break": b"\r\n", "mixed": b"\xff\0\0\r\n"}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_whole_images_pass(data: bytes) -> None:
    assert jpeg_damage(data) == ""


@pytest.mark.parametrize("fill", FILL.values(), ids=FILL)
def test_fill_behind_the_end_is_no_damage(fill: bytes) -> None:
    assert jpeg_damage(BASELINE + fill) == ""


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_cut_images_do_not_pass(data: bytes) -> None:
    for end in range(0, len(data) - 1, 97):
        assert jpeg_damage(data[:end])
        assert jpeg_damage(data[:end] + bytes(len(data) - end))
        assert jpeg_damage(data[:end] + b"\xff" * (len(data) - end))


def test_a_thumbnail_does_not_stand_for_a_cut_image() -> None:
    cut = inserted(BASELINE, 0xE1, b"Exif\0\0" + THUMBNAIL)[: -len(BASELINE) // 2]
    assert "end marker" in jpeg_damage(cut)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (b"\xff\x01", "stray"),
        (b"\xff\xc0", "stray"),
        (b"\xff\xd8", "stray"),
        (b"\xff\xd9", "behind"),
    ],
)
def test_noise_inside_the_scan_does_not_pass(code: bytes, reason: str) -> None:
    middle = len(BASELINE) * 3 // 4
    assert reason in jpeg_damage(BASELINE[:middle] + code + BASELINE[middle + 2 :])


def test_a_missing_restart_does_not_pass() -> None:
    data = WHOLE["restarts"]
    assert "restart" in jpeg_damage(data.replace(b"\xff\xd1", b"\x00\x00", 1))


@pytest.mark.parametrize(
    "data", [b"", bytes(50), b"\xff\xd8\xff\xd9", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0"]
)
def test_nonsense_does_not_pass(data: bytes) -> None:
    assert jpeg_damage(data)
    assert read_jpeg(data) is None


def with_ids(data: bytes, ids: bytes) -> bytes:
    """Return an image without color markers whose components have these ids."""
    frame = data.index(b"\xff\xc0")
    out = bytearray(data)
    for k, number in enumerate(ids):
        out[frame + 10 + 3 * k] = number
    start = out.index(b"\xff\xdb")
    return bytes(out[:2] + out[start:])


def encoded(outcolorspace: str, subsampling: str = "444") -> bytes:
    return bytes(
        imagecodecs.jpeg8_encode(
            IMAGE, colorspace="rgb", outcolorspace=outcolorspace, subsampling=subsampling
        )
    )


ADOBE = b"Adobe\0\x64\0\0\0\0"


@pytest.mark.parametrize(
    ("data", "colors"),
    [
        (encoded("rgb"), "RGB"),  # by Adobe's marker
        (encoded("ycbcr"), "YCbCr"),  # by JFIF's
        (with_ids(encoded("ycbcr"), b"\1\2\3"), ""),
        (with_ids(encoded("ycbcr", "420"), b"\1\2\3"), "YCbCr"),  # by its sampling
        (with_ids(encoded("ycbcr"), b"RGB"), "RGB"),
        (inserted(with_ids(encoded("ycbcr"), b"\1\2\3"), 0xEE, ADOBE + b"\1"), "YCbCr"),
        (inserted(with_ids(encoded("ycbcr"), b"\1\2\3"), 0xEE, ADOBE + b"\0"), "RGB"),
        (pillow(IMAGE[..., 0].copy()), "gray"),
    ],
)
def test_colors_by_the_markers(data: bytes, colors: str) -> None:
    found = read_jpeg(data)
    assert found is not None
    assert found.colors == colors
    assert found.shape == (120, 120)


def test_a_marker_in_shared_tables_counts() -> None:
    plain = with_ids(encoded("ycbcr"), b"\1\2\3")
    tables = inserted(b"\xff\xd8\xff\xd9", 0xEE, ADOBE + b"\0")
    found = read_jpeg(plain, tables)
    assert found is not None
    assert found.colors == "RGB"
