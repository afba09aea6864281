from __future__ import annotations

import imagecodecs
import pytest

from napari_fddm.slides.codestreams.jpeg2000 import jpeg2000_damage, read_jpeg2000
from tests.support.slides import stained

IMAGE = stained(120, 100)


def encoded(kind: str = "j2k", colorspace: str = "SRGB", *, mct: bool = True) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(IMAGE, level=0, codecformat=kind, colorspace=colorspace, mct=mct)
    )


KINDS = ("j2k", "jp2")


@pytest.mark.parametrize("kind", KINDS)
def test_whole_images_pass_with_fill_behind_them(kind: str) -> None:
    data = encoded(kind)
    for fill in (b"", b"\0", b"\xff\xff\xff", b"\r\n"):
        assert jpeg2000_damage(data + fill) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_cut_images_do_not_pass(kind: str) -> None:
    data = encoded(kind)
    for end in range(0, len(data) - 1, 997):
        assert jpeg2000_damage(data[:end])
        assert jpeg2000_damage(data[:end] + bytes(len(data) - end))


@pytest.mark.parametrize("data", [b"", bytes(50), b"\xff\x4f\xff\x51", b"\0\0\0\0jP  "])
def test_nonsense_does_not_pass(data: bytes) -> None:
    assert jpeg2000_damage(data)
    assert read_jpeg2000(data) is None


@pytest.mark.parametrize(
    ("data", "colors"),
    [
        (encoded(mct=True), "RGB"),  # only red, green and blue are mixed
        (encoded(mct=False), ""),
        (encoded("jp2", mct=False), "RGB"),  # by its box
        (encoded("jp2", "SYCC", mct=False), "YCbCr"),
    ],
)
def test_colors_by_the_header(data: bytes, colors: str) -> None:
    found = read_jpeg2000(data)
    assert found is not None
    assert (found.colors, found.shape, found.components) == (colors, (120, 100), 3)
    assert not found.subsampled


def test_a_component_of_lower_resolution_is_chroma() -> None:
    data = bytearray(encoded(mct=False))
    data[data.index(b"\xff\x51") + 4 + 37 + 3 * 1] = 2  # XRsiz of the second component
    found = read_jpeg2000(bytes(data))
    assert found is not None
    assert found.subsampled
    assert found.colors == "YCbCr"
