"""Read the header of a DICOM file (PS3.5, PS3.10) and the begin of its first frame."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from napari_fddm.core.errors import DataError, FddmError
from napari_fddm.core.outside.files import open_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

TRANSFER_SYNTAX = 0x00020010
PIXEL_DATA = 0x7FE00010
FRAME_BYTES = 1 << 16
"""So many bytes of the first frame are read, at most: the header of its JPEG image."""
MOST_VALUE = 1 << 16
"""Bytes of a value that is kept; texts and numbers are short."""

_PREAMBLE = 128
_IMPLICIT, _DEFLATED, _BIG = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2",
)  # fmt: skip
_LONG = frozenset(
    [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"]
)
"""Value representations whose length has 32 bits."""
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """Values of a DICOM file, without those in sequences.

    Attributes
    ----------
    values : mapping of int to bytes
        By tag (group · 2¹⁶ + element), as they are stored, little endian.
    frame : bytes
        The begin of the first compressed frame; empty if pixels are not compressed.
    has_pixels : bool
        Whether there are pixels behind the header.
    """

    values: Mapping[int, bytes]
    frame: bytes
    has_pixels: bool = True

    def text(self, tag: int) -> str:
        """Return a text without the blanks and zeros that fill it up; "" if there is none."""
        return self.values.get(tag, b"").decode("utf-8", "replace").strip(" \0")

    def whole(self, tag: int) -> int:
        """Return a binary number of 16 or 32 bits (US, UL); 0 if there is none."""
        value = self.values.get(tag, b"")
        return int.from_bytes(value, "little") if len(value) in (2, 4) else 0


def read_header(
    path: Path, tags: Collection[int], *, error: type[FddmError] = DataError
) -> DicomHeader:
    """Read some values of a DICOM file, and the begin of its first frame.

    Parameters
    ----------
    path : Path
        A file with the preamble of PS3.10.
    tags : collection of int
        Group · 2¹⁶ + element.
    error : type of FddmError
        The error to raise.

    Raises
    ------
    FddmError
        If it is no DICOM file, is damaged before its pixels, or has big-endian or deflated
        values, which no slide scanner writes.
    """
    with open_file(path, "DICOM", error=error) as file:
        if file.read(_PREAMBLE + 4)[_PREAMBLE:] != b"DICM":
            raise ValueError("the letters DICM are missing")
        values: dict[int, bytes] = {}
        wanted = {*tags, TRANSFER_SYNTAX}
        reader = _Reader(file)
        for tag, length in reader.elements():
            if tag == PIXEL_DATA:
                frame = reader.first_frame() if length == _UNDEFINED else b""
                return DicomHeader(values, frame)
            if tag in wanted and length <= MOST_VALUE:
                values[tag] = reader.read(length)
            else:
                reader.skip(length)
            if tag == TRANSFER_SYNTAX:
                reader.set_syntax(values[tag].decode("ascii", "replace").strip(" \0"))
        return DicomHeader(values, b"", has_pixels=False)


class _Reader:
    """Walks the data elements of a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._syntax = ""

    def set_syntax(self, uid: str) -> None:
        if uid in (_DEFLATED, _BIG):
            raise ValueError(f"its transfer syntax {uid} is not read")
        self._syntax = uid

    def read(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) < length:
            raise EOFError("it is cut off")
        return data

    def elements(self) -> Iterator[tuple[int, int]]:
        """Yield the tag and length of each element; the caller reads or skips the value."""
        while head := self._file.read(4):
            if len(head) < 4:
                raise EOFError("it is cut off")
            group, element = struct.unpack("<HH", head)
            yield group << 16 | element, self._length(group)

    def skip(self, length: int, depth: int = 0) -> None:
        """Pass over a value; of undefined length: over its items."""
        if length != _UNDEFINED:
            self._pass(length)
            return
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        while True:
            tag, length = self._item()
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise ValueError(f"the item {tag:08X} is no part of a sequence")
            if length != _UNDEFINED:
                self._pass(length)
                continue
            for inner, size in self.elements():
                if inner == _ITEM_END:
                    break
                self.skip(size, depth + 1)

    def first_frame(self) -> bytes:
        """Return the begin of the first frame, behind the table of offsets."""
        tag, length = self._item()
        self.skip(length)
        if tag == _ITEM:
            tag, length = self._item()
        return self._file.read(min(length, FRAME_BYTES)) if tag == _ITEM else b""

    def _pass(self, length: int) -> None:
        if self._file.seek(length, 1) > self._size:
            raise EOFError("it is cut off")

    def _length(self, group: int) -> int:
        if group == 0xFFFE or (self._syntax == _IMPLICIT and group != 0x0002):
            return int(struct.unpack("<I", self.read(4))[0])
        kind, short = struct.unpack("<2sH", self.read(4))
        return int(struct.unpack("<I", self.read(4))[0]) if kind in _LONG else int(short)

    def _item(self) -> tuple[int, int]:
        group, element, length = struct.unpack("<HHI", self.read(8))
        return group << 16 | element, length
