"""OME-Zarr slides of other programs: metadata and chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import zarr

from tests.fuzz.bytes_changes import change_bytes
from tests.fuzz.cases import Kind, Mutation, Outcome
from tests.fuzz.file_changes import files_of, replace_file
from tests.fuzz.json_changes import change_json
from tests.fuzz.kinds.reading import read_slide
from tests.support.slides import binned, stained

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

LEVELS = [stained(200, 160), binned(stained(200, 160), 2)]
NAME = "a.ome.zarr"
_METADATA = ("zarr.json", ".zattrs", ".zarray", ".zgroup", ".zmetadata")
_OPTIONAL = (
    "omero", "name", "type", "metadata", "version", "dimension_names", "storage_transformers",
    "consolidated_metadata", "fill_value", "attributes",
)  # fmt: skip


class OmeZarr(Kind):
    """Versions 0.4 and 0.5, and an image of a series."""

    name = "ome-zarr"
    tolerance = 3.0

    def build(self, folder: Path) -> None:
        _write(folder / "v04" / NAME, 2)
        _write(folder / "v05" / NAME, 3)
        root = folder / "series" / NAME
        _write(root / "0", 2, LEVELS[1:], scale=1.0)
        _write(root / "1", 2)
        zarr.open_group(root, mode="a", zarr_format=2).attrs["bioformats2raw.layout"] = 3

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        files = files_of(work)
        described = [p for p in files if p.name in _METADATA]
        chunks = [p for p in files if p not in described]
        path = rng.choice(described if rng.random() < 0.5 else chunks)
        where = path.relative_to(work / NAME)
        if rng.random() < 0.15:
            mutation = replace_file(path, rng)
        elif path in described and rng.random() < 0.8:
            changed = change_json(path.read_text(), rng)
            path.write_text(changed.text, errors="surrogatepass")
            mutation = Mutation(changed.words, judged=_shows(changed.words, changed.plausible))
        else:
            data = path.read_bytes()
            altered = change_bytes(data, rng)
            path.write_bytes(altered.data)
            mutation = Mutation(altered.words, judged=altered.words.startswith("cut"))
        return Mutation(f"{where}: {mutation.words}", mutation.judged)

    def read(self, work: Path, seed: str) -> Outcome:
        return read_slide(work / NAME)


def _write(
    folder: Path, form: int, levels: list[np.ndarray] = LEVELS, *, scale: float = 0.5
) -> None:
    """Write levels (h, w, 3) in zarr 2 (OME-Zarr 0.4) or 3 (0.5), channels first."""
    group = zarr.open_group(folder, mode="w", zarr_format=form)
    datasets = []
    for number, level in enumerate(levels):
        planes = np.ascontiguousarray(level.transpose(2, 0, 1))
        array = group.create_array(
            str(number), shape=planes.shape, dtype=planes.dtype, chunks=(3, 64, 64)
        )
        array[:] = planes
        factor = scale * levels[0].shape[0] / level.shape[0]
        placed = [{"type": "scale", "scale": [1.0, factor, factor]}]
        datasets.append({"path": str(number), "coordinateTransformations": placed})
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    channels = [
        {"label": name, "color": color, "active": True,
         "window": {"min": 0, "max": 255, "start": 0, "end": 255}}
        for name, color in (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
    ]  # fmt: skip
    ome = {
        "multiscales": [{"axes": axes, "datasets": datasets, "name": "image", "version": "0.4"}],
        "omero": {"channels": channels, "rdefs": {"model": "color"}},
    }
    if form == 2:
        group.attrs.update(ome)
    else:
        del ome["multiscales"][0]["version"]
        group.attrs["ome"] = {"version": "0.5", **ome}


def _shows(words: str, plausible: bool) -> bool:
    """Whether metadata cannot be meant: of a wrong type, or without what must be there."""
    gone = words.endswith(" deleted") or " named " in words
    last = words.partition(" ")[0].rpartition("/")[2]
    return not plausible and not (gone and last in _OPTIONAL)
