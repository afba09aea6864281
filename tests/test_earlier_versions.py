"""What earlier versions wrote opens unchanged: analyses, models, rescued work, trainings."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_fddm.cli.main import main
from napari_fddm.core.cards import RefinerCard
from napari_fddm.core.edits import Edit
from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.interop import validation
from napari_fddm.models import ComputeDevice, load_model
from napari_fddm.pipeline.outputs import export_store, store_report
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.pipeline.stage2.refiner import build_scheduler
from napari_fddm.pipeline.store import AnalysisStore, read_strokes, rescue
from napari_fddm.pipeline.store.estimates import read_estimate
from napari_fddm.pipeline.store.log_lines import LogMismatchError
from napari_fddm.pipeline.store.signature import SignedOffError
from napari_fddm.pipeline.store.signoff import labels_sha256, read_sign_off, unlock
from napari_fddm.pipeline.store.tumor_bed import read_tumor_bed
from napari_fddm.slides import open_slide
from napari_fddm.training.adapt.models import find_adapter
from napari_fddm.training.loop import RunLog, run_loop
from napari_fddm.training.loop.training_loop import LoopSettings
from napari_fddm.training.regions import read_regions
from napari_fddm.training.stage2 import RefinerTraining
from napari_fddm.training.stage2.train import train_refiner
from tests.fixtures.earlier import trainings
from tests.support.runs import contents, drain, load_config
from tests.support.stores import stroke

FILES = Path(trainings.__file__).parent
LAYOUT2 = FILES.parent / "schema2"
EXPECTED = json.loads((FILES / "expected.json").read_text(encoding="utf-8"))
FINGERPRINT = "of-rescued-strokes"
CPU = ComputeDevice(torch.device("cpu"), torch.float32, "CPU, float32")


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files; the user's folders are of the test."""
    monkeypatch.setenv("NAPARI_FDDM_FLOAT32", "1")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(rescue.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    return shutil.copytree(FILES, tmp_path / "earlier")


@pytest.fixture
def store(earlier: Path) -> Path:
    return earlier / "slide.fddm.ome.zarr"


def classified(folder: Path) -> dict[str, np.ndarray]:
    tiles = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
    patch, cells = load_model(str(folder), "cpu").classify(tiles)
    return {"tiles": patch, "cells": cells.mean(axis=(2, 3))}


def assert_classified(folder: Path, expected: dict[str, Any]) -> None:
    for name, probs in classified(folder).items():
        assert np.allclose(probs, expected[name], rtol=1e-3, atol=1e-5), name


def read_analysis(path: Path) -> dict[str, Any]:
    with AnalysisStore.open(path) as store:
        layers = ("patch", "refined", *store.corrections.layers)
        held = store.corrections.held_cells()
        signed = read_sign_off(store)
        assert held is not None
        assert signed is not None
        return {
            "labels": {name: labels_sha256(store.labels(name)) for name in layers},
            "automatic": labels_sha256(store.maps.labels()),
            "held": labels_sha256(held.astype(np.uint8)),
            "strokes": {n: labels_sha256(read_strokes(store, n).painted) for n in layers[2:]},
            "records": [[r["seq"], r["time"], r["kind"]] for r in store.log.records()],
            "tumor_bed": [polygon.tolist() for polygon in read_tumor_bed(store)],
            "estimate": read_estimate(store),
            "sign_off": signed.to_json(),
            "provenance": store.provenance,
            "slide": store.slide_info,
            "complete": store.maps.complete,
        }


def test_an_analysis_reads_as_it_did(store):
    expected = {k: v for k, v in EXPECTED["analysis"].items() if k not in ("rate", "report")}
    kinds = [kind for _, _, kind in expected["records"]]
    assert {"edit", "confirmed", "tumor_bed", "estimate", "sign_off", "unlock"} == set(kinds)
    assert kinds.count("edit") == 7
    assert read_analysis(store) == expected
    validation.validate(store)


def test_reading_and_opening_change_no_byte(store):
    def files():
        return {p: p.read_bytes() for p in store.rglob("*") if p.is_file()}

    before = files()
    read_analysis(store)
    contents(store)
    with AnalysisStore.open(store, "r+"):
        pass
    assert files() == before


def test_the_corrected_map_follows_from_its_log(store):
    """Where the derived maps are lost, the strokes are not."""
    (store / "fddm" / "synced.json").unlink()
    assert read_analysis(store)["labels"] == EXPECTED["analysis"]["labels"]


@pytest.mark.parametrize(("options", "name"), [((), "rate"), (("--json",), "report")])
def test_the_rate_is_printed_as_it_was(store, monkeypatch, capsys, options, name):
    monkeypatch.chdir(store.parent)
    monkeypatch.setattr(sys, "argv", ["napari-fddm", "rate", store.name, *options])
    main()
    assert capsys.readouterr().out == EXPECTED["analysis"][name]


def test_a_signed_analysis_is_still_locked_and_goes_on_when_unlocked(store):
    model = load_model(str(store.parent / "model"), "cpu")
    config = load_config(**EXPECTED["analysis"]["provenance"]["config"])
    with open_slide("synthetic:1500x1800?seed=3&mpp=0.5") as slide:
        with pytest.raises(SignedOffError):
            drain(analyze(slide, store=store, model=model, config=config))
        before = contents(store)
        with AnalysisStore.open(store, "r+") as opened:
            unlock(opened, "A. Bee")
        drain(analyze(slide, store=store, model=model, config=config))
    after = contents(store)
    for name, array in before.items():
        # Regions are refined again, and another processor than the fixture's rounds otherwise.
        atol = 2e-3 if name == "refined probs" else 0
        np.testing.assert_allclose(after[name], array, rtol=0, atol=atol, err_msg=name)
    with AnalysisStore.open(store, "r+") as opened:
        labels = opened.labels("corrected")
        opened.corrections.append_edit(stroke(labels, Window(0, 0, *labels.shape), 3))
        assert opened.log.last_seq == len(EXPECTED["analysis"]["records"]) + 2
    with AnalysisStore.open(store) as opened:
        assert np.array_equal(opened.labels("corrected"), labels)


@pytest.fixture
def layout2(tmp_path: Path) -> Path:
    """A copy of the analysis of layout 2, which has no checksums."""
    return shutil.copytree(LAYOUT2 / "slide.fddm.ome.zarr", tmp_path / "slide.fddm.ome.zarr")


def test_an_analysis_of_layout_2_reads_as_it_did(layout2):
    expected = json.loads((LAYOUT2 / "expected.json").read_text(encoding="utf-8"))
    with AnalysisStore.open(layout2) as store:
        held = store.corrections.held_cells()
        assert held is not None
        labels = {name: labels_sha256(store.labels(name)) for name in expected["labels"]}
        assert labels == expected["labels"]
        assert labels_sha256(store.maps.labels()) == expected["automatic"]
        assert labels_sha256(held.astype(np.uint8)) == expected["held"]
        records = [[r["seq"], r["time"], r["kind"]] for r in store.log.records()]
        assert records == expected["records"]
        report = store_report(store)
    assert {key: report[key] for key in expected["report"]} == expected["report"]
    validation.validate(layout2)


def test_an_export_of_layout_2_says_that_its_bytes_were_not_checked(layout2, tmp_path):
    with AnalysisStore.open(layout2) as store:
        (note,) = export_store(store, tmp_path / "copy.ome.zarr")
    assert "layout 2" in note
    assert "no checksums" in note
    with AnalysisStore.open(tmp_path / "copy.ome.zarr") as copy:
        copy.validate()


def test_a_lost_chunk_of_layout_2_is_noticed(layout2):
    for chunk in (layout2 / "labels" / "refined" / "0" / "c").rglob("0"):
        if chunk.is_file():
            chunk.unlink()
    with (
        AnalysisStore.open(layout2) as store,
        pytest.raises(StoreError, match="that were analyzed are lost"),
    ):
        store.labels("refined")


def test_an_analysis_of_layout_2_is_edited_and_stays_of_layout_2(layout2):
    with AnalysisStore.open(layout2, "r+") as store:
        unlock(store, "A. Bee")
        labels = store.labels("corrected")
        store.corrections.append_edit(stroke(labels, Window(0, 0, *labels.shape), 3))
    with AnalysisStore.open(layout2) as store:
        assert np.array_equal(store.labels("corrected"), labels)
    assert (
        json.loads((layout2 / "zarr.json").read_text())["attributes"]["napari_fddm"]["schema"] == 2
    )


def test_the_log_of_layout_2_goes_on_with_checksums_that_seal_what_was_before(layout2):
    log = layout2 / "fddm" / "events.jsonl"
    before = log.read_bytes()
    with AnalysisStore.open(layout2, "r+") as store:
        unlock(store, "A. Bee")
    after = log.read_bytes()
    assert after.startswith(before)
    assert b'"chain"' in after[len(before) :]
    log.write_bytes(after.replace(b'"rate":0.4', b'"rate":0.9', 1))
    with AnalysisStore.open(layout2) as store, pytest.raises(LogMismatchError, match="line 8"):
        store.labels("corrected")


@pytest.mark.parametrize("lines", [0, 3, 5])
def test_a_log_of_layout_2_without_an_edit_that_its_maps_show_is_refused(layout2, lines):
    log = layout2 / "fddm" / "events.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:lines]))
    with AnalysisStore.open(layout2) as store, pytest.raises(LogMismatchError, match="record 6"):
        store.labels("corrected")


def test_a_model_classifies_as_it_did(earlier):
    assert_classified(earlier / "model", EXPECTED["model"])


def test_an_adapted_model_finds_its_base_and_classifies_as_it_did(earlier, tmp_path):
    folder = shutil.copytree(earlier / "adapted", tmp_path / "data/napari-fddm/adapters/mine")
    card = folder / "card.json"
    card.write_text(card.read_text(encoding="utf-8").replace("FOLDER", str(earlier)), "utf-8")
    adapter = find_adapter("mine")
    assert adapter.in_words == EXPECTED["adapted"]["words"]
    expected = json.dumps(EXPECTED["adapted"]["card"]).replace("FOLDER", str(earlier))
    assert adapter.card.model_dump(mode="json") == json.loads(expected)
    assert_classified(folder, EXPECTED["adapted"])


def rescued_entries(earlier: Path, store: Path) -> list[Any]:
    """Put the rescued file where that version had put it, and read it."""
    folder = rescue.workspace_folder().with_name("rescued")
    shutil.copytree(earlier / "rescued", folder)
    (found,) = rescue.find_rescues(FINGERPRINT)
    with AnalysisStore.open(store) as opened:
        return rescue.read_rescue(found, opened.geometries.label.shape)


def test_rescued_work_is_found_and_read(earlier, store):
    edit, *records = rescued_entries(earlier, store)
    assert isinstance(edit, Edit)
    work = [edit.to_record(), *([r.kind, r.made, dict(r.fields)] for r in records)]
    assert work == EXPECTED["rescued"]


@pytest.mark.gui
def test_a_window_takes_rescued_work_up(earlier, store, qtbot):
    from napari_fddm.plugin.document.store_writer import StoreWriter

    entries = rescued_entries(earlier, store)
    with AnalysisStore.open(store, "r+") as opened:
        unlock(opened, "A. Bee")
    writer = StoreWriter(store, fingerprint=FINGERPRINT)
    with qtbot.waitSignal(writer.rescued, timeout=10_000) as found:
        writer.begin()
    taken, place = found.args
    assert taken == entries
    writer.append(taken[0])
    for record in taken[1:]:
        writer.record(record)
    writer.remove_rescue(place)
    writer.close()
    assert rescue.find_rescues(FINGERPRINT) == []
    with AnalysisStore.open(store) as opened:
        assert (opened.labels("corrected")[30:44, 50:61] == 7).all()
        assert len(read_tumor_bed(opened)[0]) == 3
        assert read_estimate(opened) == 0.4  # the first counts


def test_a_region_dataset_reads_as_it_did(earlier):
    about, (slide,) = read_regions(earlier / "regions")
    assert (about.classes, about.cell_um) == (tuple("abcdefg"), 32.0)
    assert slide.truth.tolist() == EXPECTED["regions"]
    # each cell says the class of its truth, by construction
    assert np.array_equal(slide.coarse.source("cells").argmax(axis=0) + 1, slide.truth)


def assert_weights(module: torch.nn.Module, expected: dict[str, Any]) -> None:
    for name, tensor in module.state_dict().items():
        assert np.allclose(tensor.numpy(), expected[name], rtol=1e-3, atol=1e-5), name


def steps_of(log: Path) -> list[int]:
    lines = log.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_a_training_of_stage_1_goes_on_to_the_same_end(earlier):
    folder = earlier / "checkpoints" / "stage1"
    task = trainings.Line()
    log = RunLog(folder / "log.jsonl")
    settings = LoopSettings(**trainings.STAGE1)
    run = run_loop(task, settings, CPU, folder / "checkpoint.pt", log)
    assert next(run).done == 6  # saved every third step, stopped after the seventh
    drain(run)
    assert_weights(task.module, EXPECTED["checkpoints"]["stage1"])
    assert steps_of(folder / "log.jsonl")[:2] == [4, 8]


def test_a_training_of_stage_2_goes_on_to_the_same_end(earlier):
    checkpoint = earlier / "checkpoints" / "stage2" / "checkpoint.pt"
    denoiser: Any = trainings.PixelDenoiser()
    log = checkpoint.with_name("log.jsonl")
    assert steps_of(log) == [0, 1, 2, 3]
    train_refiner(
        denoiser,
        build_scheduler(RefinerCard()),
        read_regions(earlier / "regions")[1],
        RefinerTraining(**trainings.STAGE2),
        CPU,
        checkpoint,
        log,
    )
    assert_weights(denoiser, EXPECTED["checkpoints"]["stage2"])
    assert steps_of(log) == [0, 1, 2, 3, 4, 5, 6]
