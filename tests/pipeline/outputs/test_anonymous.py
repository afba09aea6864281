"""A copy tells neither the slide's name nor where it lay nor who read it, unless asked."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from napari_fddm.core.geometry import Window
from napari_fddm.interop import validation
from napari_fddm.pipeline.outputs import export_store, export_version, store_report
from napari_fddm.pipeline.outputs.report import compute_store_report
from napari_fddm.pipeline.store import AnalysisStore, repair
from napari_fddm.pipeline.store.estimates import estimate_record, read_estimate
from napari_fddm.pipeline.store.log_lines import LogMismatchError
from napari_fddm.pipeline.store.signoff import sign_off
from tests.support.stores import make, random_labels, refine_all, replay, stroke

SLIDE = "Mueller_Anna S24-1234.svs"
PRIVATE = ("mueller", "s24-1234", "ward7", "drzett", "mask-of", "kappa_jo")


@pytest.fixture
def private(tmp_path, rng):
    """A store whose every text names the patient, a folder or a reader."""
    folder = tmp_path / "Ward7"
    path = folder / f"{SLIDE}.fddm.ome.zarr"
    slide = {"name": SLIDE, "fingerprint": "0123456789abcdef", "mpp": 0.5}
    provenance = {
        "slide": slide,
        "config": {"seed": 1, "tissue": str(folder / "mask-of-mueller.png"), "stage": "refined"},
        "tissue": {"method": "mask", "name": "mask-of-mueller.png", "sha256": "12"},
        "model": {"id": "fddm-small"},
        "notes": [f"{SLIDE} is coarse", f"kept as {folder}/older", "of mueller_anna s24-1234"],
        "unreadable": {"tiles": [[1, 2]], "reason": f"cannot read {folder / SLIDE}: damaged"},
    }
    labels = random_labels(rng)
    with make(path, slide_info=slide, provenance=provenance) as store:
        refine_all(store, labels)
        store.update_provenance(provenance)
        store.finish()
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, Window(3, 3, 40, 40), 3), reader="DrZett")
        store.log.append("note", text=f"see {SLIDE}", reader="DrZett", file=r"C:\Ward7\x y.svs")
        store.log.append("note", text=f"file://{folder}/a.json", reader="DrYpsilon")
        store.corrections.add_reader("Kappa_Jo")
        store.corrections.add_reader("1")
        second = store.labels("reader-Kappa_Jo")
        mark = stroke(second, Window(50, 50, 9, 9), 6)
        store.corrections.append_edit(mark, layer="reader-Kappa_Jo", reader="Kappa_Jo")
        estimate = estimate_record(
            0.4, definition="fddm", layer="reader-Kappa_Jo", reader="Kappa_Jo"
        )
        store.records.append(estimate)
        sign_off(store, "DrZett", compute_store_report(store))
    return path, labels


def texts(place):
    """Every file's name and content, in small letters."""
    if place.is_file():
        with zipfile.ZipFile(place) as archive:
            return {n.lower(): archive.read(n).lower() for n in archive.namelist()}
    files = (p for p in place.rglob("*") if p.is_file())
    return {str(p.relative_to(place)).lower(): p.read_bytes().lower() for p in files}


def told(place):
    words = [word.encode() for word in PRIVATE]
    return [
        (name, word)
        for name, content in texts(place).items()
        for word in words
        if word in content or word in name.encode()
    ]


@pytest.mark.parametrize(
    ("name", "version"), [("c.ome.zarr", "0.5"), ("c.ome.zarr", "0.4"), ("c.ozx", "0.5")]
)
def test_a_copy_tells_no_name(private, tmp_path, name, version):
    path, _ = private
    assert {word.decode() for _, word in told(path)} == set(PRIVATE)
    out = tmp_path / "out" / name
    with AnalysisStore.open(path) as store:
        export_version(store, out, version=version)
    assert told(out) == []
    assert b"fddm" in b"".join(texts(out).values())


def test_a_nameless_copy_is_valid_and_the_same_analysis(private, tmp_path):
    path, labels = private
    out = tmp_path / "c.ome.zarr"
    with AnalysisStore.open(path) as store:
        export_store(store, out)
        whole = store_report(store)
    validation.validate(out)
    with AnalysisStore.open(out) as copy:
        report = store_report(copy)
        assert np.array_equal(copy.labels("corrected"), labels)
        assert np.array_equal(replay(copy), labels)
        assert copy.slide_info == {
            "name": "slide 0123456789ab",
            "fingerprint": "0123456789abcdef",
            "mpp": 0.5,
        }
        assert copy.provenance["model"] == {"id": "fddm-small"}
        assert copy.provenance["config"] == {"seed": 1, "tissue": "mask", "stage": "refined"}
        readers = [record.get("reader") for record in copy.log.records()]
    assert report["definitions"] == whole["definitions"]
    assert report["sign_off"]["intact"] is True
    people = ("reader 1", "reader 1", "reader 2", "reader 3", "reader 3", "reader 1")
    assert tuple(readers) == people


def test_maps_of_readers_get_the_readers_numbers(private, tmp_path):
    path, _ = private
    out = tmp_path / "c.ome.zarr"
    with AnalysisStore.open(path) as store:
        export_store(store, out)
        theirs, other = store.labels("reader-Kappa_Jo"), store.labels("reader-1")
    validation.validate(out)
    with AnalysisStore.open(out) as copy:
        assert copy.corrections.layers == ["corrected", "reader-3", "reader-4"]
        assert np.array_equal(copy.labels("reader-3"), theirs)
        assert np.array_equal(copy.labels("reader-4"), other)
        assert np.array_equal(replay(copy, "reader-3"), theirs)
        assert read_estimate(copy, layer="reader-3") == 0.4


def test_with_the_name_everything_is_copied(private, tmp_path):
    path, _ = private
    out = tmp_path / "c.ome.zarr"
    with AnalysisStore.open(path) as store:
        export_store(store, out, with_name=True)
        assert store.slide_info["name"] == SLIDE
        with AnalysisStore.open(out) as copy:
            assert copy.slide_info == store.slide_info
            assert list(copy.log.records()) == list(store.log.records())


def test_the_store_itself_keeps_its_names(private, tmp_path):
    path, _ = private
    with AnalysisStore.open(path) as store:
        export_store(store, tmp_path / "c.ome.zarr")
        assert store.slide_info["name"] == SLIDE
    shutil.rmtree(tmp_path / "c.ome.zarr")
    assert {word.decode() for _, word in told(path)} == set(PRIVATE)


def test_the_command_line_exports_without_names_unless_asked(private, tmp_path):
    path, _ = private
    plain, named = tmp_path / "plain.ome.zarr", tmp_path / "named.ome.zarr"
    command = [sys.executable, "-m", "napari_fddm", "export", str(path), "-o"]
    subprocess.run([*command, str(plain)], check=True, capture_output=True)
    subprocess.run([*command, str(named), "--with-name"], check=True, capture_output=True)
    assert told(plain) == []
    with AnalysisStore.open(named) as copy:
        assert copy.slide_info["name"] == SLIDE


def test_a_copy_of_an_analysis_whose_log_was_begun_anew_tells_no_name(private, tmp_path):
    path, labels = private
    log = path / "fddm" / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-9])
    repair.begin_from_map(path, "DrZett")
    out = tmp_path / "out" / "c.ome.zarr"
    with AnalysisStore.open(path) as store:
        export_store(store, out)
    assert told(out) == []
    assert not (out / "fddm" / repair.SET_ASIDE).exists()
    with AnalysisStore.open(out) as copy:
        assert np.array_equal(copy.labels("corrected"), labels)
        (begun,) = copy.log.records(repair.BEGUN_FROM_MAP)
        assert sorted(begun["maps"]) == sorted(copy.corrections.layers)


def test_the_log_of_a_copy_is_chained_and_watched_again(private, tmp_path):
    path, _ = private
    out = tmp_path / "out" / "c.ome.zarr"
    with AnalysisStore.open(path) as store:
        export_store(store, out)
    log = out / "fddm" / "events.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    with AnalysisStore.open(out) as copy, pytest.raises(LogMismatchError, match="ends after"):
        copy.labels("corrected")
