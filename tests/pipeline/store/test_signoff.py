from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.outputs import export_store, opened_event, store_report
from napari_fddm.pipeline.outputs.report import compute_store_report
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.pipeline.store import AnalysisStore, layout
from napari_fddm.pipeline.store.eventlog import StoreBusyError
from napari_fddm.pipeline.store.replacing import holds_corrections
from napari_fddm.pipeline.store.signature import SignedOffError, signed_off
from napari_fddm.pipeline.store.signoff import labels_sha256, read_sign_off, sign_off, unlock
from napari_fddm.pipeline.store.tumor_bed import tumor_bed_record
from tests.support.runs import CONFIG, PIXELS, CountingModel, WatchedSlide, changed, drain
from tests.support.stores import WHOLE, refine_all, stroke

if TYPE_CHECKING:
    from pathlib import Path


def sign(store, reader="A. Bee"):
    return sign_off(store, reader, compute_store_report(store))


@pytest.fixture
def signed(finished):
    """A signed store: its path, its labels, the sign-off."""
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, Window(3, 3, 40, 40), 3))
        given = sign(store)
    return path, labels, given


def test_a_sign_off_keeps_reader_rates_coverage_and_labels(signed):
    path, labels, given = signed
    with AnalysisStore.open(path) as store:
        rates = {r.definition.name: r.rate for r in compute_store_report(store).results}
        report = store_report(store)
        event = opened_event(store)
    assert (given.reader, given.labels_sha256) == ("A. Bee", labels_sha256(labels))
    assert given.rates == rates
    assert report["sign_off"]["reader"] == "A. Bee"
    assert report["sign_off"]["intact"] is True
    assert event.sign_off == given


def test_a_signed_store_refuses_every_change_until_it_is_unlocked(signed, rng):
    path, labels, _ = signed
    events = path / layout.OURS / layout.EVENTS
    before = events.read_bytes()
    edit = stroke(labels.copy(), Window(90, 90, 9, 9), 5)
    with AnalysisStore.open(path, "r+") as store:
        for change in (
            lambda: store.corrections.append_edit(edit),
            lambda: store.corrections.log_edits([edit]),
            lambda: store.corrections.write(WHOLE, np.full_like(labels, 2)),
            lambda: store.records.append(tumor_bed_record([])),
            lambda: sign(store, "another"),
            store.maps.begin,
            lambda: refine_all(store, labels),
            lambda: store.update_provenance({}),
        ):
            with pytest.raises(SignedOffError, match=r"signed off by A\. Bee on \d{4}-"):
                change()
    assert events.read_bytes() == before
    with AnalysisStore.open(path, "r+") as store:
        assert np.array_equal(store.labels("corrected"), labels)
        unlock(store, "C. Dee")
        assert signed_off(store.log) is None
        store.corrections.append_edit(edit)
        refine_all(store, labels)
        kinds = [(r["kind"], r.get("reader")) for r in store.log.records()]
    assert kinds == [("edit", ""), ("sign_off", "A. Bee"), ("unlock", "C. Dee"), ("edit", "")]


def test_a_nameless_signature_is_none(finished):
    path, _ = finished
    with AnalysisStore.open(path, "r+") as store:
        for act in (sign, unlock):
            with pytest.raises(ConfigError, match="name or initials"):
                act(store, "  ")
        assert store.log.last_seq == 0


def test_nobody_signs_while_a_run_writes(finished):
    path, _ = finished
    with AnalysisStore.open(path, "r+") as run, AnalysisStore.open(path, "r+") as store:
        run.maps.begin()
        with pytest.raises(StoreBusyError):
            sign(store)
        assert signed_off(store.log) is None


def test_labels_that_changed_since_are_told(signed):
    path, labels, _ = signed
    with AnalysisStore.open(path, "r+") as store:
        edit = stroke(labels, Window(90, 90, 9, 9), 5)
        store.log.append("edit", layer="corrected", reader="", edit=edit.to_record())  # a forger
    with AnalysisStore.open(path) as store:
        report = store_report(store)
        assert not opened_event(store).sign_off.intact
    assert report["sign_off"]["intact"] is False
    assert any("not those that were signed off (signed off by A. Bee" in n for n in report["notes"])


def test_a_signed_store_is_kept_by_fresh_and_exported_signed(signed, tmp_path):
    path, _, _ = signed
    assert holds_corrections(path)
    with AnalysisStore.open(path) as store:
        export_store(store, tmp_path / "copy.ome.zarr", with_name=True)
    with AnalysisStore.open(tmp_path / "copy.ome.zarr") as copy:
        assert store_report(copy)["sign_off"]["reader"] == "A. Bee"
        assert store_report(copy)["sign_off"]["intact"] is True


def test_the_command_line_says_the_signature(signed):
    path, _, given = signed
    command = [sys.executable, "-m", "napari_fddm", "rate", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert given.title in text
    said = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
    assert json.loads(said)["sign_off"]["reader"] == "A. Bee"


def test_a_run_is_refused_in_one_sentence_and_fresh_keeps_the_signed_one(
    model: CountingModel, whole: Path, tmp_path: Path
):
    path = shutil.copytree(whole, tmp_path / "s.fddm.ome.zarr")
    with AnalysisStore.open(path, "r+") as store:
        sign(store)
    with pytest.raises(SignedOffError, match=r"signed off by A\. Bee") as caught:
        next(analyze(WatchedSlide(PIXELS), store=path, model=model, config=CONFIG))
    assert "--fresh" in caught.value.hint
    with AnalysisStore.open(path) as store:
        assert store.maps.complete
    run = analyze(WatchedSlide(PIXELS), store=path, model=model, config=CONFIG, fresh=True)
    _, result = drain(run)
    (kept,) = (p for p in tmp_path.iterdir() if p != path)
    assert str(kept) in " ".join(result.notes)
    with AnalysisStore.open(kept) as store, AnalysisStore.open(path) as new:
        assert signed_off(store.log).reader == "A. Bee"
        assert signed_off(new.log) is None


def test_revising_a_signed_store_is_refused_and_changes_nothing(
    model: CountingModel, whole: Path, tmp_path: Path
):
    path = shutil.copytree(whole, tmp_path / "s.fddm.ome.zarr")
    with AnalysisStore.open(path, "r+") as store:
        given = sign(store)
    run = analyze(
        WatchedSlide(PIXELS), store=path, model=model, config=changed(steps=2), revise=True
    )
    with pytest.raises(SignedOffError, match=r"signed off by A\. Bee"):
        next(run)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with AnalysisStore.open(path) as store:
        assert store.maps.complete
        assert read_sign_off(store) == given
