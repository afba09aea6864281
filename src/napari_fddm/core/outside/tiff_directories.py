"""Walk the directories of a TIFF before a library does: loops, places beyond the file, sizes.

Only the twelve or twenty bytes of each tag are read, so that a damaged count costs nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from napari_fddm.core.errors import DataError, FddmError
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from pathlib import Path

MOST_DIRECTORIES = 1 << 16
MOST_TILE_PIXELS = 1 << 27
"""Pixels of one tile, which is decoded as a whole: 11 585 squared."""
MOST_SIDE = 1 << 31
_COPY_AGAIN = "The file is damaged; copy it again from the scanner."

_WIDTH, _LENGTH, _SUBIFDS = 256, 257, 330
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_NDPI = 65420
_PLACES = {
    256: "ImageWidth",
    257: "ImageLength",
    258: "BitsPerSample",
    259: "Compression",
    262: "PhotometricInterpretation",
    273: "StripOffsets",
    277: "SamplesPerPixel",
    279: "StripByteCounts",
    322: "TileWidth",
    323: "TileLength",
    324: "TileOffsets",
    325: "TileByteCounts",
    330: "SubIFDs",
    347: "JPEGTables",
}
"""Tags without which the pixels cannot be found or decoded."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
_INTEGERS = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}


@dataclass(slots=True)
class _Walk:
    """A file that is walked, with the layout of its tags."""

    file: BinaryIO
    name: str
    size: int
    error: type[FddmError]
    order: str = "<"
    big: bool = False
    broken: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    levels: set[int] = field(default_factory=set)

    @property
    def tag_size(self) -> int:
        """Bytes of a tag."""
        return 20 if self.big else 12

    def damaged(self, reason: str) -> FddmError:
        """Return the error to raise."""
        return self.error(f"{self.name} cannot be read as TIFF: {reason}.", hint=_COPY_AGAIN)

    def say_missing(self, what: str) -> None:
        """Add a sentence on what cannot be reached; the images before it can be read."""
        self.broken.append(f"the file is incomplete: {what}.")

    def number(self, place: int, kind: str) -> int | None:
        """Return one number of the file; None beyond its end."""
        width = struct.calcsize(kind)
        self.file.seek(place)
        data = self.file.read(width)
        return None if len(data) < width else int(struct.unpack(self.order + kind, data)[0])


def check_directories(
    file: BinaryIO, path: Path | str, size: int, *, error: type[FddmError] = DataError
) -> tuple[str, ...]:
    """Refuse a TIFF whose directories cannot be; nothing of its tags' values is read.

    Parameters
    ----------
    file : binary file
        Open and seekable.
    path : Path or str
        For messages.
    size : int
        Of the file, bytes.
    error : type of FddmError
        The error to raise.

    Returns
    -------
    tuple of str
        What is missing because the chain of directories ends in the void, one sentence
        each; the images before that can be read.

    Raises
    ------
    FddmError
        If directories form a circle, a tag that is needed lies beyond the file, or an image
        or a tile has an impossible size.
    """
    walk = _Walk(file, visible(path), size, error)
    head = file.read(16)
    if head[:2] not in (b"II", b"MM") or head[2:4] not in (b"*\0", b"\0*", b"+\0", b"\0+"):
        return ()  # the library that opens it says what it is instead
    walk.order = "<" if head[:2] == b"II" else ">"
    walk.big = 43 in head[2:4]
    if not walk.big and size > 1 << 32:
        return ()  # of more than 4 GiB, only NDPI's own layout, with other pointers
    first = walk.number(8 if walk.big else 4, "Q" if walk.big else "I") or 0
    _walk_chain(walk, first)
    return tuple(walk.broken)


def _walk_chain(walk: _Walk, place: int) -> None:
    number = 0
    while place:
        number += 1
        if place in walk.seen:
            raise walk.damaged(f"its directories form a circle at byte {place}")
        walk.seen.add(place)
        if len(walk.seen) + len(walk.levels) > MOST_DIRECTORIES:
            raise walk.damaged(f"it has more than {MOST_DIRECTORIES} directories")
        found = _directory(walk, place, f"image {number}")
        missing = f"the directory of image {number} is missing: it is cut off"
        tags, following, fault = found or ({}, 0, missing)
        if fault and number == 1:
            raise walk.damaged(fault)
        if fault:
            walk.say_missing(fault if found is None else f"image {number} cannot be read, {fault}")
        place = following
        if _NDPI in tags:
            return  # its pointers are wider than TIFF's
        _walk_levels(walk, tags, number)


def _walk_levels(walk: _Walk, tags: dict[int, tuple[int, int, int]], number: int) -> None:
    """Check the sub-directories of an image. Writers also chain them; all are listed here."""
    for level, sub in enumerate(_sub_directories(walk, tags), 1):
        if sub in walk.levels:
            continue
        walk.levels.add(sub)
        found = _directory(walk, sub, f"level {level}")
        if found is None:
            walk.say_missing(f"the directory of level {level} of image {number} is missing")
        elif found[2]:
            walk.say_missing(f"level {level} of image {number} cannot be read, {found[2]}")


def _directory(
    walk: _Walk, place: int, what: str
) -> tuple[dict[int, tuple[int, int, int]], int, str] | None:
    """Return a directory's tags, the place of the next, and a fault; None if it is not there."""
    count = walk.number(place, "Q" if walk.big else "H")
    after = place + (8 if walk.big else 2)
    if count is None or not 0 < count < 1 << 16 or after + count * walk.tag_size > walk.size:
        return None
    tags, fault = _tags(walk, after, count)
    if _NDPI not in tags:
        _check_sizes(walk, tags, what)
    following = walk.number(after + count * walk.tag_size, "Q" if walk.big else "I")
    return tags, following or 0, fault


def _tags(walk: _Walk, start: int, count: int) -> tuple[dict[int, tuple[int, int, int]], str]:
    """Return type, count and place of the values of each tag, and what is wrong with one."""
    walk.file.seek(start)
    data = walk.file.read(count * walk.tag_size)
    inline = 8 if walk.big else 4
    layout = walk.order + ("HHQQ" if walk.big else "HHII")
    found: dict[int, tuple[int, int, int]] = {}
    fault = ""
    for k in range(count):
        at = k * walk.tag_size
        code, kind, values, pointer = struct.unpack(layout, data[at : at + walk.tag_size])
        total = values * _SIZES.get(kind, 1)
        place = start + at + walk.tag_size - inline if total <= inline else pointer
        name = _PLACES.get(code, "")
        if name and (kind not in _SIZES or not values or place + total > walk.size):
            fault = f"the {values} values of its tag {name} lie beyond the file or are none"
        found.setdefault(code, (kind, values, place))
    return found, fault


def _values(walk: _Walk, tag: tuple[int, int, int] | None, most: int) -> list[int]:
    if tag is None or tag[0] not in _INTEGERS or tag[1] > most:
        return []
    kind, count, place = tag
    step = _SIZES[kind]
    found = (walk.number(place + k * step, _INTEGERS[kind]) for k in range(count))
    return [value for value in found if value is not None]


def _check_sizes(walk: _Walk, tags: dict[int, tuple[int, int, int]], what: str) -> None:
    sides = {code: _values(walk, tags.get(code), 1) for code in (_WIDTH, _LENGTH)}
    for code, value in sides.items():
        if value and not 0 < value[0] < MOST_SIDE:
            raise walk.damaged(f"{what} has {value[0]} as its {_PLACES[code]}")
    width = _values(walk, tags.get(_TILE_WIDTH), 1)
    length = _values(walk, tags.get(_TILE_LENGTH), 1)
    if not (width and length):
        return
    if min(width[0], length[0]) < 1 or width[0] * length[0] > MOST_TILE_PIXELS:
        raise walk.damaged(f"{what} has tiles of {width[0]} × {length[0]} px, which cannot be read")


def _sub_directories(walk: _Walk, tags: dict[int, tuple[int, int, int]]) -> list[int]:
    return [place for place in _values(walk, tags.get(_SUBIFDS), 1 << 10) if place > 0]
