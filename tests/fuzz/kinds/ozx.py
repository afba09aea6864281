"""Analyses in one file: every byte of it is watched."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from napari_fddm.evaluation.reading import ReadingSettings, read_label_input
from napari_fddm.pipeline.outputs import export_version, read_report
from napari_fddm.pipeline.store import AnalysisStore
from tests.fuzz.cases import Kind, Mutation, Outcome
from tests.fuzz.file_changes import replace_file
from tests.fuzz.kinds.reading import digest, of_report, together
from tests.fuzz.kinds.stores import NAME, write_edited
from tests.fuzz.zip_changes import change_zip

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random


class Ozx(Kind):
    """An export as ``.ozx``, read by `rate` and by `evaluate`."""

    name = "ozx"

    def build(self, folder: Path) -> None:
        made = folder / "made"
        made.mkdir()
        write_edited(made / NAME)
        (folder / "export").mkdir()
        with AnalysisStore.open(made / NAME) as store:
            export_version(store, folder / "export" / "a.ozx", with_name=True)
        shutil.rmtree(made)

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        path = work / "a.ozx"
        if rng.random() < 0.03:
            return replace_file(path, rng)
        data, words = change_zip(path.read_bytes(), rng)
        path.write_bytes(data)
        return Mutation(words, judged=True)

    def read(self, work: Path, seed: str) -> Outcome:
        report = of_report(read_report(work / "a.ozx"))
        given = read_label_input(str(work / "a.ozx"), ReadingSettings())
        evaluated = Outcome(
            {"evaluated": digest(given.labels), "grid": repr(given.grid)}, frozenset(given.notes)
        )
        return together(report, evaluated)
