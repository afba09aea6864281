"""Outlines in GeoJSON, as QuPath writes them: plain, compressed, with a byte order mark."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.class_names import ClassNames
from napari_fddm.core.geometry import Region
from napari_fddm.slides import ArraySlide
from napari_fddm.training.data.annotations import open_annotation
from tests.fuzz.bytes_changes import change_bytes
from tests.fuzz.cases import Kind, Mutation, Outcome
from tests.fuzz.file_changes import files_of, replace_file
from tests.fuzz.json_changes import change_json
from tests.fuzz.kinds.reading import digest

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

SIDE = 800
_SLIDE = np.full((SIDE, SIDE, 3), 200, np.uint8)
_OPTIONAL = (
    "id",
    "color",
    "objectType",
    "properties",
    "name",
    "isLocked",
    "bbox",
    "6",
    "2",
    "3",
    "4",
)


class GeoJson(Kind):
    """Read as `dataset build` reads the truth of a slide."""

    name = "geojson"

    def build(self, folder: Path) -> None:
        text = json.dumps(
            {
                "type": "FeatureCollection",
                "features": [
                    _feature("Necrosis", _square(100, 100, 500, 700), _square(200, 200, 300, 300)),
                    _feature("Viable", _square(400, 400, 700, 780)),
                    _feature("Fibrosis", _square(20, 20, 90, 300)),
                ],
            }
        )
        for seed in ("plain", "bom", "gz"):
            (folder / seed).mkdir()
        (folder / "plain" / "a.geojson").write_text(text)
        (folder / "bom" / "a.geojson").write_text(text, encoding="utf-8-sig")
        (folder / "gz" / "a.geojson.gz").write_bytes(gzip.compress(text.encode(), mtime=0))

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        path = files_of(work)[0]
        way = rng.random()
        if way < 0.04:
            return replace_file(path, rng)
        data = path.read_bytes()
        if seed == "gz" and way < 0.4:  # a checksum and a length stand at the end
            altered = change_bytes(data, rng)
            path.write_bytes(altered.data)
            return Mutation(altered.words, judged=altered.start > 9)
        text = (gzip.decompress(data) if seed == "gz" else data).decode("utf-8-sig")
        if way < 0.85:
            changed = change_json(text, rng)
            last = changed.words.partition(" ")[0].rpartition("/")[2]
            number = last.isdigit()  # a corner, or a whole outline: another one may be meant
            judged = not (changed.plausible or number or last in _OPTIONAL)
            new, mutation = changed.text, Mutation(changed.words, judged)
        else:
            altered = change_bytes(text.encode(), rng)
            new = altered.data.decode("utf-8", "surrogateescape")
            mutation = Mutation(altered.words, judged=altered.words.startswith("cut"))
        out = new.encode("utf-8", "surrogatepass" if way < 0.85 else "surrogateescape")
        path.write_bytes(gzip.compress(out, mtime=0) if seed == "gz" else out)
        return mutation

    def read(self, work: Path, seed: str) -> Outcome:
        path = work / ("a.geojson.gz" if seed == "gz" else "a.geojson")
        with ArraySlide(_SLIDE, mpp=1.0, name="s") as slide:
            annotation = open_annotation(str(path), slide, ClassNames())
            labels = annotation.labels(Region(0, 0, SIDE, SIDE), SIDE // 4)
        areas = np.bincount(labels.ravel(), minlength=8)
        return Outcome({"labels": digest(labels), "areas": areas}, frozenset(annotation.notes))


def _square(y0: int, x0: int, y1: int, x1: int) -> list[list[int]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def _feature(name: str, *rings: list[list[int]]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": "0",
        "geometry": {"type": "Polygon", "coordinates": list(rings)},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": name, "color": [1, 2, 3]},
        },
    }
