"""Where the fields of a TIFF file lie, so that one of them can be changed."""

from __future__ import annotations

import struct
from dataclasses import dataclass

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
         16: 8, 17: 8, 18: 8}  # fmt: skip
NAMES = {254: "NewSubfileType", 256: "ImageWidth", 257: "ImageLength", 258: "BitsPerSample",
         259: "Compression", 262: "PhotometricInterpretation", 270: "ImageDescription",
         273: "StripOffsets", 277: "SamplesPerPixel", 278: "RowsPerStrip",
         279: "StripByteCounts", 282: "XResolution", 283: "YResolution",
         284: "PlanarConfiguration", 296: "ResolutionUnit", 305: "Software", 317: "Predictor",
         322: "TileWidth", 323: "TileLength", 324: "TileOffsets", 325: "TileByteCounts",
         330: "SubIFDs", 347: "JPEGTables"}  # fmt: skip
OFFSETS, COUNTS = (273, 324), (279, 325)
PLACES = (*OFFSETS, *COUNTS)
"""Tags that say where pixels lie: two of them that contradict each other can be seen."""


@dataclass(frozen=True)
class Entry:
    """One entry of a directory: where it lies, and what it says."""

    at: int
    code: int
    kind: int
    count: int
    values_at: int

    @property
    def name(self) -> str:
        return NAMES.get(self.code, f"tag {self.code}")

    @property
    def size(self) -> int:
        return SIZES.get(self.kind, 1)


@dataclass(frozen=True)
class Directory:
    """One directory of a file."""

    at: int
    entries: tuple[Entry, ...]
    next_at: int


class TiffFields:
    """The directories of an intact TIFF file.

    Parameters
    ----------
    data : bytes
        The file.
    """

    def __init__(self, data: bytes) -> None:
        self.order = "<" if data[:2] == b"II" else ">"
        self.big = self.number(data, 2, 2) == 43
        self.word = 8 if self.big else 4
        self.directories: list[Directory] = []
        self._follow(data, self.number(data, 8 if self.big else 4, self.word))

    def number(self, data: bytes, at: int, size: int) -> int:
        code = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
        return int(struct.unpack_from(f"{self.order}{code}", data, at)[0])

    def put(self, data: bytearray, at: int, size: int, value: int) -> None:
        """Write a number of 1, 2, 4 or 8 bytes; what does not fit is cut off."""
        if at + size <= len(data):
            code = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
            struct.pack_into(f"{self.order}{code}", data, at, value % (1 << 8 * size))

    def values(self, data: bytes, entry: Entry) -> list[int]:
        """Return the whole numbers of an entry."""
        return [
            self.number(data, entry.values_at + i * entry.size, entry.size)
            for i in range(entry.count)
        ]

    def pixels(self, data: bytes) -> list[tuple[int, int]]:
        """Return where pixels lie: first byte, and the one behind the last."""
        found = []
        for directory in self.directories:
            by_code = {e.code: e for e in directory.entries}
            for first, second in zip(OFFSETS, COUNTS, strict=True):
                if first in by_code and second in by_code:
                    starts = self.values(data, by_code[first])
                    sizes = self.values(data, by_code[second])
                    found += [(a, a + n) for a, n in zip(starts, sizes, strict=True)]
        return found

    def _follow(self, data: bytes, at: int) -> None:
        while at:
            size = 8 if self.big else 2
            width = 20 if self.big else 12
            count = self.number(data, at, size)
            entries = [self._entry(data, at + size + i * width) for i in range(count)]
            end = at + size + count * width
            self.directories.append(Directory(at, tuple(entries), end))
            for entry in entries:
                if entry.code == 330:
                    for inner in self.values(data, entry):
                        self._follow(data, inner)
            at = self.number(data, end, self.word)

    def _entry(self, data: bytes, at: int) -> Entry:
        code, kind = self.number(data, at, 2), self.number(data, at + 2, 2)
        count = self.number(data, at + 4, self.word)
        values_at = at + 4 + self.word
        if count * SIZES.get(kind, 1) > self.word:
            values_at = self.number(data, values_at, self.word)
        return Entry(at, code, kind, count, values_at)
