"""OME-TIFF: the XML in it, sets of files, and the TIFF around."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tifffile

from tests.fuzz.cases import Kind, Mutation, Outcome
from tests.fuzz.file_changes import files_of, replace_file
from tests.fuzz.kinds.reading import read_slide
from tests.fuzz.tiff_changes import change_tiff
from tests.fuzz.tiff_fields import TiffFields
from tests.fuzz.xml_changes import change_xml
from tests.support.slides import binned, stained

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

PIXELS = stained(200, 160)
LABEL = stained(60, 80, seed=5)
_DESCRIPTION = 270
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><OME '
    'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{own}">'
)
_IMAGE = (
    '<Image ID="Image:{n}" Name="{name}"><Pixels ID="Pixels:{n}" DimensionOrder="XYCZT" '
    'Type="uint8" SizeX="{w}" SizeY="{h}" SizeC="3" SizeZ="1" SizeT="1" PhysicalSizeX="{mpp}" '
    'PhysicalSizeXUnit="µm" PhysicalSizeY="{mpp}" PhysicalSizeYUnit="µm">'
    '<Channel ID="Channel:{n}:0" Name="RGB" SamplesPerPixel="3"/>'
    '<TiffData IFD="{ifd}" PlaneCount="1">{place}</TiffData></Pixels></Image>'
)


def _image(
    number: int, name: str, image: object, *, ifd: int, place: str = "", mpp: float = 0.5
) -> str:
    height, width = image.shape[:2]  # type: ignore[attr-defined]
    return _IMAGE.format(n=number, name=name, w=width, h=height, ifd=ifd, place=place, mpp=mpp)


def _uuid(number: int) -> str:
    return f"00000000-0000-0000-0000-00000000000{number}"


class OmeTiff(Kind):
    """One slide; a slide with a label in the same file; two slides of a set."""

    name = "ome-tiff"
    tolerance = 3.0

    def build(self, folder: Path) -> None:
        for seed in ("one", "labeled", "set"):
            (folder / seed).mkdir()
        one = _HEAD.format(own=_uuid(1)) + _image(0, "slide", PIXELS, ifd=0) + "</OME>"
        self._write(folder / "one" / "a.ome.tif", one, [PIXELS])
        both = _image(0, "label image", LABEL, ifd=0) + _image(1, "slide", PIXELS, ifd=1)
        self._write(
            folder / "labeled" / "a.ome.tif",
            f"{_HEAD.format(own=_uuid(1))}{both}</OME>",
            [LABEL, PIXELS],
        )
        images = "".join(
            _image(n, f"slide {n}", PIXELS, ifd=0, mpp=mpp,
                   place=f'<UUID FileName="{name}.ome.tif">urn:uuid:{_uuid(n + 1)}</UUID>')
            for n, name, mpp in ((0, "b", 0.25), (1, "a", 0.5))
        )  # fmt: skip
        for number, name in enumerate("ba"):
            text = f"{_HEAD.format(own=_uuid(number + 1))}{images}</OME>"
            self._write(folder / "set" / f"{name}.ome.tif", text, [PIXELS])

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        files = files_of(work)
        path = rng.choice(files)
        way = rng.random()
        if way < 0.04:
            return replace_file(path, rng, others=files)
        data = path.read_bytes()
        if way < 0.4:
            changed, mutation = change_tiff(data, rng)
        else:
            changed, mutation = _with_changed_xml(data, rng)
        path.write_bytes(changed)
        return Mutation(f"{path.name}: {mutation.words}", mutation.judged)

    def read(self, work: Path, seed: str) -> Outcome:
        return read_slide(work / "a.ome.tif")

    @staticmethod
    def _write(path: Path, text: str, images: list[object]) -> None:
        options = {"photometric": "rgb", "compression": "zlib", "tile": (64, 64), "metadata": None}
        with tifffile.TiffWriter(path) as writer:
            for number, image in enumerate(images):
                more = {"description": text.encode()} if number == 0 else {}
                levels = [binned(PIXELS, 2)] if image is PIXELS else []
                writer.write(image, subifds=len(levels), **options, **more)
                for level in levels:
                    writer.write(level, subfiletype=1, **options)


def _with_changed_xml(data: bytes, rng: Random) -> tuple[bytes, Mutation]:
    """Change the XML, and write it behind the end, where there is room for any length."""
    fields = TiffFields(data)
    entry = next(e for e in fields.directories[0].entries if e.code == _DESCRIPTION)
    text = data[entry.values_at : entry.values_at + entry.count].rstrip(b"\0").decode()
    changed, mutation = change_xml(text, rng)
    new = changed.encode("utf-8", "surrogateescape") + b"\0"
    out = bytearray(data + b"\0" * (len(data) % 2))
    fields.put(out, entry.at + 4, fields.word, len(new))
    fields.put(out, entry.at + 4 + fields.word, fields.word, len(out))
    return bytes(out) + new, mutation
