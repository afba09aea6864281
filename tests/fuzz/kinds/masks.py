"""Label maps and tissue masks as pictures and OME-Zarr, of people and other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image

from napari_fddm.evaluation.reading import ReadingSettings, read_label_input
from napari_fddm.interop.label_files import Drawn, Place, write_label_file
from napari_fddm.pipeline.tissue.user_mask import read_user_mask
from tests.fuzz.bytes_changes import change_bytes
from tests.fuzz.cases import Kind, Mutation, Outcome
from tests.fuzz.file_changes import files_of, replace_file
from tests.fuzz.json_changes import change_json
from tests.fuzz.kinds.reading import digest
from tests.fuzz.tiff_changes import change_tiff
from tests.support.evaluating import random_map, save

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

LABELS = random_map(3, (160, 200)).astype(np.uint8)
TISSUE = (LABELS > 3).astype(np.uint8) * 255


class Masks(Kind):
    """Truths are read as `evaluate` does, tissue masks as `run` does."""

    name = "masks"

    def build(self, folder: Path) -> None:
        for seed in ("truth-png", "truth-colors", "truth-lzw", "truth-deflate", "truth-zarr",
                     "tissue-png", "tissue-tiff", "tissue-zarr"):  # fmt: skip
            (folder / seed).mkdir()
        save(folder / "truth-png" / "a.png", LABELS)
        save(folder / "truth-colors" / "a.png", LABELS, paper=True)
        for packing in ("lzw", "deflate"):
            path = folder / f"truth-{packing}" / "a.tif"
            tifffile.imwrite(path, LABELS, compression=packing, tile=(64, 64), metadata=None)
        Image.fromarray(TISSUE).save(folder / "tissue-png" / "a.png")
        path = folder / "tissue-tiff" / "a.tif"
        tifffile.imwrite(path, TISSUE, compression="lzw", rowsperstrip=32, metadata=None)
        place = Place((8.0, 8.0), (4.0, 4.0), "micrometer")
        from napari_fddm.core.classes import OSTEOSARCOMA

        write_label_file(folder / "truth-zarr" / "a.ome.zarr",
                         {"truth": Drawn(LABELS, place, OSTEOSARCOMA)})  # fmt: skip
        write_label_file(folder / "tissue-zarr" / "a.ome.zarr", {"tissue": Drawn(TISSUE, place)})

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        files = files_of(work)
        path = rng.choice(files)
        if len(files) > 1:  # the image below a label map is not read
            path = rng.choice([p for p in files if "labels" in p.parts] + files[-1:])
        where = path.relative_to(work)
        if rng.random() < 0.08:
            mutation = replace_file(path, rng)
        elif path.suffix == ".tif":
            data, mutation = change_tiff(path.read_bytes(), rng)
            path.write_bytes(data)
        elif path.suffix == ".json" and rng.random() < 0.7:
            changed = change_json(path.read_text(), rng)
            path.write_text(changed.text, errors="surrogatepass")
            mutation = Mutation(changed.words, judged=False)
        else:
            altered = change_bytes(path.read_bytes(), rng)
            path.write_bytes(altered.data)
            # PNG carries a checksum of each part, and our chunks one of their own.
            mutation = Mutation(altered.words, judged=path.suffix != ".json")
        return Mutation(f"{where}: {mutation.words}", mutation.judged)

    def read(self, work: Path, seed: str) -> Outcome:
        what, _, form = seed.partition("-")
        name = {"zarr": "a.ome.zarr", "png": "a.png", "colors": "a.png"}.get(form, "a.tif")
        if what == "tissue":
            mask = read_user_mask(str(work / name))
            assert mask is not None
            numbers = {"mask": digest(mask.image), "cell": mask.cell}
            return Outcome(numbers, frozenset(mask.notes))
        settings = ReadingSettings(mpp=8.0 if form != "zarr" else None)
        given = read_label_input(str(work / name), settings)
        return Outcome({"labels": digest(given.labels), "grid": repr(given.grid)},
                       frozenset(given.notes))  # fmt: skip
