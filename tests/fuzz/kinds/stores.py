"""Analyses of ours: every byte of them is watched, so every change is judged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.edits import difference
from napari_fddm.core.geometry import Window
from napari_fddm.evaluation.reading import ReadingSettings, read_label_input
from napari_fddm.pipeline.outputs import export_version, read_report
from napari_fddm.pipeline.outputs.report import compute_store_report
from napari_fddm.pipeline.outputs.summary import summarize_store
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.estimates import estimate_record
from napari_fddm.pipeline.store.signoff import sign_off, unlock
from napari_fddm.pipeline.store.tumor_bed import tumor_bed_record
from tests.fuzz.bytes_changes import change_bytes
from tests.fuzz.cases import Kind, Mutation, Outcome
from tests.fuzz.file_changes import files_of, replace_file
from tests.fuzz.json_changes import change_json
from tests.fuzz.kinds.reading import digest, of_report, together
from tests.support.stores import (
    SHAPE,
    every_tile,
    make,
    refine_all,
    stroke,
    write_tiles,
)

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

NAME = "slide-1.svs.fddm.ome.zarr"
RUN = {
    "config": {"seed": 1, "stage": "refined", "label_mpp": 8.0},
    "slide": {"fingerprint": "abc", "shape": [4500, 5500]},
    "model": {"id": "tiny", "files": {"heads.safetensors": "0" * 64}, "real_tissue": True,
              "classes": ["BG", "VT"], "real_classes": ["BG", "VT"]},
    "tissue": {"method": "all"},
    "coverage": 1.0,
    "slide_mm2": 6.1875, "tissue_mm2": 6.1875, "tissue_excluded_mm2": 0.0,
    "tissue_not_analyzed_mm2": 0.0, "unreadable_mm2": 0.0, "unreadable_tiles": 0,
    "device": "cpu", "dtype": "float32", "threads": 1, "batch_size": 8,
    "versions": {"napari-fddm": "0"}, "notes": [],
}  # fmt: skip
INFO = {"name": "slide-1.svs", "fingerprint": "abc", "mpp": 0.5, "mpp_source": "vendor"}


def write_edited(path: Path) -> None:
    """Write a finished analysis with everything that people add to one."""
    rng = np.random.default_rng(7)
    labels = _blocks(rng)
    with make(path, slide_info=INFO, provenance=RUN) as store:
        write_tiles(store, rng, every_tile())
        refine_all(store, labels)
        store.finish()
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, Window(3, 3, 50, 60), 2), reader="AB")
        store.corrections.append_edit(stroke(labels, Window(100, 200, 40, 90), 3))
        corners = np.array([[200.0, 200.0], [200.0, 3000.0], [3000.0, 3000.0]])
        store.records.append(tumor_bed_record([corners], reader="AB"))
        store.records.append(estimate_record(0.4, definition="fddm", reader="AB"))
        store.corrections.append_edit(stroke(labels, Window(20, 220, 70, 70), 4), reader="AB")
        sign_off(store, "AB", compute_store_report(store))


def write_partial(path: Path) -> None:
    """Write an analysis whose run was stopped."""
    rng = np.random.default_rng(8)
    half = {**RUN, "config": {"seed": 1, "stage": "patch"}, "coverage": 0.5}
    with make(path, slide_info=INFO, provenance=half) as store:
        tiles = every_tile()
        write_tiles(store, rng, tiles[: len(tiles) // 2])


def write_earlier(path: Path) -> None:
    """Write a finished analysis that nobody has corrected."""
    rng = np.random.default_rng(9)
    with make(path, slide_info=INFO, provenance=RUN) as store:
        write_tiles(store, rng, every_tile())
        refine_all(store, _blocks(rng))
        store.finish()


def read_store(path: Path, *, export_to: Path | None = None) -> Outcome:
    """Read an analysis as `rate`, `evaluate` and the window do, and export it if asked."""
    report = of_report(read_report(path))
    with AnalysisStore.open(path) as store:
        numbers: dict[str, Any] = {
            name: digest(store.labels(name))
            for name in ("patch", "refined", *store.corrections.layers)
        }
        for name in ("patch", "cell", "refined"):
            numbers[f"{name} probabilities"] = digest(store.maps.probability_map(name).probs)
        numbers["edits"] = sum(1 for _ in store.log.edits("corrected"))
        numbers["slide"] = store.slide_info
        if export_to is not None:
            export_version(store, export_to, with_name=True)
    summary = summarize_store(path)
    if summary is not None:
        numbers |= {"complete": summary.complete, "coverage in short": summary.coverage,
                    "edits in short": summary.edits}  # fmt: skip
    given = read_label_input(str(path), ReadingSettings())
    numbers["evaluated"] = digest(given.labels)
    found = together(report, Outcome(numbers, frozenset(given.notes)))
    if export_to is not None:
        copy = of_report(read_report(export_to))
        labels = read_label_input(str(export_to), ReadingSettings()).labels
        found = together(found, copy, Outcome({"exported": digest(labels)}))
    return found


class Stores(Kind):
    """Whole analyses: any file, any byte."""

    name = "store"

    def build(self, folder: Path) -> None:
        for seed, write in (
            ("edited", write_edited),
            ("stopped", write_partial),
            ("uncorrected", write_earlier),
            ("exported", write_edited),
        ):
            (folder / seed).mkdir()
            write(folder / seed / NAME)

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        files = self.files(work)
        path = rng.choice(files)
        where = path.relative_to(work / NAME)
        if rng.random() < 0.1:
            return _in(where, replace_file(path, rng, others=files))
        data = path.read_bytes()
        if path.suffix == ".json" and data and rng.random() < 0.4:
            changed = change_json(data.decode(), rng)
            path.write_text(changed.text, encoding="utf-8", errors="surrogatepass")
            return _in(where, Mutation(changed.words, judged=True))
        if not data:
            return _in(where, replace_file(path, rng))
        altered = change_bytes(data, rng)
        path.write_bytes(altered.data)
        return _in(where, Mutation(altered.words, judged=True))

    def files(self, work: Path) -> list[Path]:
        """Return the files that may be changed: those of the lock are empty."""
        return [p for p in files_of(work / NAME) if p.suffix != ".lock"]

    def read(self, work: Path, seed: str) -> Outcome:
        out = work.parent / "out.ome.zarr" if seed == "exported" else None
        return read_store(work / NAME, export_to=out)


class Provenance(Stores):
    """The small files that say what an analysis is."""

    name = "provenance"

    def files(self, work: Path) -> list[Path]:
        return [p for p in super().files(work) if p.suffix == ".json"]


class Logs(Stores):
    """The event log, and what says how far it was followed."""

    name = "log"

    def build(self, folder: Path) -> None:
        for seed in ("edited", "exported", "painted-on"):
            (folder / seed).mkdir()
            write_edited(folder / seed / NAME)

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        log = work / NAME / "fddm" / "events.jsonl"
        way = rng.random()
        if way < 0.1:
            path = rng.choice((log, log, log.with_name("synced.json")))
            return _in(path.name, replace_file(path, rng))
        if way < 0.2:
            path = log.with_name("synced.json")
            changed = change_json(path.read_text(), rng)
            path.write_text(changed.text, errors="surrogatepass")
            return _in(path.name, Mutation(changed.words, judged=True))
        data = log.read_bytes()
        if way < 0.5:
            altered = change_bytes(data, rng)
            log.write_bytes(altered.data)
            return _in(log.name, Mutation(altered.words, judged=True))
        text, words = _changed_lines(data.decode().splitlines(keepends=True), rng)
        log.write_text(text, encoding="utf-8", errors="surrogatepass")
        return _in(log.name, Mutation(words, judged=True))

    def read(self, work: Path, seed: str) -> Outcome:
        if seed == "painted-on":
            with AnalysisStore.open(work / NAME, "r+") as store:
                before = store.labels("corrected")
                after = before.copy()
                after[200:220, 10:40] = 5
                edit = difference(before, after, Window(200, 10, 20, 30))
                assert edit is not None
                unlock(store, "AB")
                store.corrections.append_edit(edit, reader="AB")
        return _without_times(super().read(work, seed))


def _changed_lines(lines: list[str], rng: Random) -> tuple[str, str]:
    at = rng.randrange(len(lines))
    way = rng.choice(("value", "value", "value", "drop", "twice", "swap", "end", "blank", "long"))
    if way == "value":
        changed = change_json(lines[at], rng)
        lines[at], words = changed.text + "\n", changed.words
    elif way == "drop":
        del lines[at]
        words = "taken out"
    elif way == "twice":
        lines.insert(at, lines[at])
        words = "written twice"
    elif way == "swap":
        lines[at], lines[at - 1] = lines[at - 1], lines[at]
        words = "exchanged with the one before"
    elif way == "end":
        lines, words = lines[:at], "and all behind it cut off"
    elif way == "blank":
        lines[at], words = "\n", "made empty"
    else:
        lines[at] = json.dumps({**json.loads(lines[at]), "more": "x" * 5_000_000}) + "\n"
        words = "made 5 MB long"
    return "".join(lines), f"record {at + 1} {words}"


def _without_times(outcome: Outcome) -> Outcome:
    """Leave out when the stroke of this very reading was made."""
    return Outcome({k: v for k, v in outcome.numbers.items() if "time" not in k}, outcome.words)


def _in(where: object, mutation: Mutation) -> Mutation:
    return Mutation(f"{where}: {mutation.words}", mutation.judged)


def _blocks(rng: np.random.Generator) -> np.ndarray:
    coarse = rng.integers(1, 8, (SHAPE[0] // 20 + 1, SHAPE[1] // 20 + 1)).astype(np.uint8)
    return np.kron(coarse, np.ones((20, 20), np.uint8))[: SHAPE[0], : SHAPE[1]]
