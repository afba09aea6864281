"""Manifests of training and tables of pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.evaluation.pairs import find_pairs
from napari_fddm.training.data import read_manifest, split_manifest
from tests.fuzz.cases import Kind, Mutation, Outcome
from tests.fuzz.csv_changes import change_csv
from tests.fuzz.file_changes import replace_file
from tests.support.evaluating import save

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

TABLE = "table.csv"


class Tables(Kind):
    """Read as `dataset counts` and `evaluate` do."""

    name = "tables"

    def build(self, folder: Path) -> None:
        for seed in ("tiles", "slides", "pairs"):
            (folder / seed).mkdir()
            for number in range(6):
                save(folder / seed / f"{number}.png", np.full((20, 20 + number), 2))
        names = ("Viable", "Necrosis", "Fibrosis", "Viable", "Necrosis", "Non-Tumor")
        rows = [f"{n}.png,{label},P{n // 2},{2 * n}" for n, label in enumerate(names)]
        _write(folder / "tiles", "tile,label,case,note", rows)
        rows = [f"synthetic:500x{400 + n}?seed={n},truth,P{n // 2},0.5" for n in range(6)]
        _write(folder / "slides", "slide,mask,case,mpp", rows)
        rows = [f"{n}.png,{5 - n}.png,C{n},{n + 0.5}" for n in range(6)]
        _write(folder / "pairs", "pred,truth,case,mpp", rows)

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        path = work / TABLE
        if rng.random() < 0.05:
            return replace_file(path, rng)
        data, mutation = change_csv(path.read_text(), rng)
        path.write_bytes(data)
        return mutation

    def read(self, work: Path, seed: str) -> Outcome:
        path = work / TABLE
        if seed == "pairs":
            found = find_pairs(str(path), None)
            pairs = repr(found.pairs).replace(str(work), "")
            return Outcome({"pairs": pairs}, frozenset(found.notes))
        manifest = split_manifest(read_manifest(path), val_share=0.3, test_share=0.0, seed=0)
        rows = [(s.name, s.case, s.value, s.mask, s.split, s.mpp) for s in manifest.sources]
        numbers = {"rows": repr(rows), "cases": manifest.cases}
        return Outcome(numbers, frozenset(manifest.notes))


def _write(folder: Path, header: str, rows: list[str]) -> None:
    (folder / TABLE).write_text("\n".join([header, *rows]) + "\n")
