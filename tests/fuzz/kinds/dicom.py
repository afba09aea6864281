"""DICOM: elements, their lengths, frames."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.fuzz.bytes_changes import change_bytes
from tests.fuzz.cases import Kind, Mutation, Outcome
from tests.fuzz.dicom import Element, elements_of, write_dicom
from tests.fuzz.file_changes import files_of, replace_file
from tests.fuzz.kinds.reading import read_slide
from tests.support.slides import binned, stained

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

PIXELS = stained(200, 160)
FRAMES = 12
_ITEM, _NUMBER_OF_FRAMES = 0xFFFEE000, 0x00280008
_WRONG = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\0\0\0", b"9999", b"-1  ", b"1e99", b"\x1b[2J")


class Dicom(Kind):
    """One instance as a file, and one in a folder beside another slide's level."""

    name = "dicom"
    tolerance = 4.0

    def build(self, folder: Path) -> None:
        (folder / "file").mkdir()
        write_dicom(folder / "file" / "a.dcm", PIXELS)
        (folder / "folder" / "slide").mkdir(parents=True)
        write_dicom(folder / "folder" / "slide" / "a.dcm", PIXELS)
        (folder / "small").mkdir()
        write_dicom(folder / "small" / "a.dcm", binned(PIXELS, 2), mpp=1.0, side=32)

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        path = files_of(work)[0]
        way = rng.random()
        if way < 0.03:
            return replace_file(path, rng)
        data = path.read_bytes()
        if way < 0.4:
            altered = change_bytes(data, rng)
            path.write_bytes(altered.data)
            cut = len(altered.data) < len(data) and altered.end == len(data)
            return Mutation(altered.words, judged=cut and altered.words.startswith("cut"))
        elements = list(elements_of(data))
        if way < 0.7:
            changed, mutation = _frames(data, elements, rng)
        else:
            element = rng.choice(elements)
            changed, mutation = rng.choice((_value, _value, _length, _tag))(data, element, rng)
        path.write_bytes(changed)
        return mutation

    def read(self, work: Path, seed: str) -> Outcome:
        return read_slide(work / "slide" if seed == "folder" else work / "a.dcm")


def _value(data: bytes, element: Element, rng: Random) -> tuple[bytes, Mutation]:
    length = min(element.length, 8, len(data) - element.value_at)
    new = rng.choice((*_WRONG, rng.randbytes(4)))[:length] if length > 0 else b""
    out = data[: element.value_at] + new + data[element.value_at + len(new) :]
    return out, Mutation(f"{element.name} begins with {new!r}", judged=False)


def _length(data: bytes, element: Element, rng: Random) -> tuple[bytes, Mutation]:
    """Change a length: the elements behind it are then found elsewhere, or not at all."""
    wide = element.kind in ("OB", "SQ", "")
    at = element.value_at - (4 if wide else 2)
    length = rng.choice((0, 1, 2, element.length + 2, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, len(data)))
    new = struct.pack("<I", length & 0xFFFFFFFF) if wide else struct.pack("<H", length & 0xFFFF)
    out = data[:at] + new + data[at + len(new) :]
    return out, Mutation(f"length of {element.name} set to {length}", judged=False)


def _frames(data: bytes, elements: list[Element], rng: Random) -> tuple[bytes, Mutation]:
    """Change where frames lie, how long they are, or how many there are."""
    items = [e for e in elements if e.tag == _ITEM and e.value_at + e.length <= len(data)]
    table, *frames = items[-FRAMES - 1 :]
    number = next(e for e in elements if e.tag == _NUMBER_OF_FRAMES)
    frame = rng.choice(frames)
    way = rng.choice(("offset", "offset", "length", "gone", "number"))
    if way == "offset":
        at = table.value_at + 4 * rng.randrange(FRAMES)
        value = rng.choice((0, 1, 8, len(data), 0xFFFFFFFF, 0x7FFFFFFF, frame.at - table.at))
        new, words = struct.pack("<I", value), f"offset of a frame set to {value}"
    elif way == "length":
        at, value = frame.at + 4, rng.choice((0, 1, frame.length - 2, frame.length + 2, 0xFFFFFFFF))
        new, words = struct.pack("<I", value), f"length of a frame set to {value}"
    elif way == "gone":
        end = frame.value_at + frame.length
        return data[: frame.at] + data[end:], Mutation("a frame taken out", judged=True)
    else:
        at, new = number.value_at, rng.choice((b"1 ", b"99", b"0 ", b"-1", b"xx"))
        words = f"number of frames set to {new.decode()}"
    return data[:at] + new + data[at + len(new) :], Mutation(words, judged=True)


def _tag(data: bytes, element: Element, rng: Random) -> tuple[bytes, Mutation]:
    tag = rng.choice((0x00280030, 0x7FE00010, 0xFFFEE000, 0xFFFEE0DD, 0x00000000, 0x00280008))
    new = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    out = data[: element.at] + new + data[element.at + 4 :]
    return out, Mutation(f"{element.name} named {tag:08X}", judged=False)
