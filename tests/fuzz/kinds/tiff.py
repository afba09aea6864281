"""TIFF slides: tags, links, places of tiles, bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.cases import Kind, Mutation, Outcome
from tests.fuzz.file_changes import replace_file
from tests.fuzz.kinds.reading import read_slide
from tests.fuzz.tiff_changes import change_tiff
from tests.support.slides import binned, stained, write_tiff

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

EXACT = [stained(200, 160), binned(stained(200, 160), 2), binned(stained(200, 160), 4)]


class Tiff(Kind):
    """Pyramids in tiles and strips, of every packing that scanners and converters use."""

    name = "tiff"
    tolerance = 3.0

    def build(self, folder: Path) -> None:
        ways: dict[str, dict[str, object]] = {
            "lzw": {"compression": "lzw"},
            "plain": {"compression": None},
            "deflate-predictor": {"compression": "zlib", "predictor": True},
            "jpeg": {"compression": "jpeg"},
            "jpeg2000": {"compression": "jpeg2000"},
            "big-endian": {"byteorder": ">"},
            "bigtiff": {"bigtiff": True},
            "strips": {"tile": None, "rowsperstrip": 16},
            "subifds": {"subifds": True},
            "planes": {"planarconfig": "separate"},
        }
        for name, options in ways.items():
            (folder / name).mkdir()
            levels = EXACT
            if name == "planes":
                levels = [image.transpose(2, 0, 1).copy() for image in EXACT]
            write_tiff(folder / name / "a.tif", levels, **({"mpp": 0.5} | options))

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        path = work / "a.tif"
        if rng.random() < 0.02:
            return replace_file(path, rng)
        data, mutation = change_tiff(path.read_bytes(), rng)
        path.write_bytes(data)
        return mutation

    def read(self, work: Path, seed: str) -> Outcome:
        return read_slide(work / "a.tif")
