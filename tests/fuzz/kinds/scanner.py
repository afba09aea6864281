"""Files as scanners write them, in TIFF: SVS through both readers, and NDPI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tifffile

from napari_fddm.slides.openslide import OpenSlideSlide
from tests.fuzz.cases import Kind, Mutation, Outcome
from tests.fuzz.file_changes import replace_file
from tests.fuzz.kinds.reading import read_slide
from tests.fuzz.tiff_changes import change_tiff
from tests.support.slides import binned, stained, write_svs

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

SMOOTH = [stained(200, 160), binned(stained(200, 160), 4)]


def write_ndpi(path: Path) -> Path:
    """Write an image and a smaller one with the private tags of NDPI files."""
    with tifffile.TiffWriter(path) as writer:
        for number, image in enumerate(SMOOTH):
            writer.write(
                image,
                photometric="ycbcr",
                compression="jpeg",
                rowsperstrip=image.shape[0],
                resolution=(20000 / 4**number, 20000 / 4**number),
                resolutionunit="CENTIMETER",
                metadata=None,
                extratags=[
                    (271, 2, 0, "Hamamatsu", True),
                    (272, 2, 0, "NanoZoomer", True),
                    (65420, 4, 1, 1, True),
                    (65421, 11, 1, 20.0 / 4**number, True),
                    (65422, 9, 1, 0, True),
                    (65423, 9, 1, 0, True),
                    (65424, 9, 1, 0, True),
                ],
            )
    return path


class Scanner(Kind):
    """An Aperio file, read by both readers, and one of Hamamatsu."""

    name = "scanner"
    tolerance = 3.0

    def build(self, folder: Path) -> None:
        for seed in ("svs", "svs-by-openslide", "ndpi"):
            (folder / seed).mkdir()
            if seed == "ndpi":
                write_ndpi(folder / seed / "a.ndpi")
            else:
                write_svs(folder / seed / "a.svs", SMOOTH)

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        path = next(work.iterdir())
        if rng.random() < 0.02:
            return replace_file(path, rng)
        data = path.read_bytes()
        if seed != "ndpi" and rng.random() < 0.15:
            changed, mutation = _described(data, rng)
        else:
            changed, mutation = change_tiff(data, rng)
        path.write_bytes(changed)
        return mutation

    def read(self, work: Path, seed: str) -> Outcome:
        path = work / ("a.ndpi" if seed == "ndpi" else "a.svs")
        if seed == "svs-by-openslide":
            return read_slide(path, OpenSlideSlide)
        return read_slide(path)


def _described(data: bytes, rng: Random) -> tuple[bytes, Mutation]:
    """Change the first words of Aperio's description, which say sizes and the pixel size."""
    old, new, judged = rng.choice((
        (b"160x200", b"999x200", True), (b"MPP = 0.499", b"MPP = 0,499", False),
        (b"MPP = 0.499", b"MPP = -9999", True), (b"MPP = 0.499", b"MPP = 1e-99", True),
        (b"MPP = 0.499", b"MPP = NaN  ", True), (b"MPP = 0.499", b"MPP = 49900", True),
        (b"MPP = 0.499", b"XPP = 0.499", False), (b"AppMag = 20", b"AppMag = xx", False),
        (b"(64x64)", b"(65x64)", False), (b"Aperio", b"\xff\xfe\xfd\xfc\xfb\xfa", False),
    ))  # fmt: skip
    return data.replace(old, new, 1), Mutation(f"{old!r} replaced by {new!r}", judged)
