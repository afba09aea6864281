"""Values and first frame of DICOM files, and what is damaged in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_fddm.core.errors import DataError
from napari_fddm.core.outside.dicom_files import read_header
from tests.support.dicom import (
    EXPLICIT,
    IMPLICIT,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    begin,
    element,
    item,
    pixels,
)

if TYPE_CHECKING:
    from pathlib import Path

NAME, ROWS, NESTED = 0x0008103E, 0x00480007, 0x52009230
WANTED = (NAME, ROWS)


def read(path: Path, *parts: bytes, syntax: str = EXPLICIT):
    path.write_bytes(begin(syntax) + b"".join(parts))
    return read_header(path, WANTED)


def test_values_and_the_begin_of_the_first_frame(tmp_path: Path) -> None:
    found = read(
        tmp_path / "a.dcm",
        element(NAME, "LO", "H&E"),
        element(ROWS, "UL", 70_000),
        pixels([b"first frame ", b"second"]),
    )
    assert (found.text(NAME), found.whole(ROWS), found.frame) == ("H&E", 70_000, b"first frame ")


def test_sequences_of_undefined_length_are_passed_over(tmp_path: Path) -> None:
    inner = element(NAME, "LO", "of the sequence") + element(
        NESTED, "SQ", [], length=UNDEFINED
    ) + item(b"", SEQUENCE_END)  # fmt: skip
    outer = item(inner, length=UNDEFINED) + item(b"", ITEM_END) + item(b"", SEQUENCE_END)
    found = read(
        tmp_path / "a.dcm",
        element(0x00080006, "SQ", [], length=UNDEFINED) + outer,
        element(NAME, "LO", "of the slide"),
    )
    assert found.text(NAME) == "of the slide"


def test_implicit_value_representation(tmp_path: Path) -> None:
    value = b"\x08\x00\x3e\x10" + (4).to_bytes(4, "little") + b"H&E "
    assert read(tmp_path / "a.dcm", value, syntax=IMPLICIT).text(NAME) == "H&E"


def test_pixels_that_are_not_compressed_have_no_frame(tmp_path: Path) -> None:
    assert read(tmp_path / "a.dcm", element(0x7FE00010, "OW", bytes(16))).frame == b""


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((element(NAME, "LO", "long", length=6000),), "cut off"),
        ((b"\x08\x00",), "cut off"),
        ((element(0x00080070, "LO", "passed over", length=6000),), "cut off"),
        ((element(NESTED, "SQ", [], length=UNDEFINED), item(b"", NAME)), "no part of a sequence"),
        ((element(NESTED, "SQ", [], length=UNDEFINED),
          item(element(NESTED, "SQ", [], length=UNDEFINED), length=UNDEFINED) * 50), "too deeply"),
    ],
)  # fmt: skip
def test_damage_is_one_sentence(tmp_path: Path, parts: tuple[bytes, ...], said: str) -> None:
    with pytest.raises(DataError, match=rf"a\.dcm cannot be read as DICOM: .*{said}"):
        read(tmp_path / "a.dcm", *parts)


def test_other_files_and_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(bytes(200))
    with pytest.raises(DataError, match="letters DICM"):
        read_header(tmp_path / "a.dcm", WANTED)
    with pytest.raises(DataError, match="transfer syntax"):
        read(tmp_path / "b.dcm", element(NAME, "LO", "x"), syntax="1.2.840.10008.1.2.2")
