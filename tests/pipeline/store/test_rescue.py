"""Rescued work: written where it can be, found by the slide, refused where it does not fit."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.store import LogRecord, rescue
from napari_fddm.pipeline.store.estimates import estimate_record
from tests.support.stores import SHAPE, stroke

FINGERPRINT = "abc/../d"  # as no file could be called


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Rescue into folders of the test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(rescue.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))


def a_stroke():
    return stroke(np.ones(SHAPE, np.uint8), Window(1, 1, 9, 9), 2)


def test_work_comes_back_in_its_order_by_the_slides_fingerprint(tmp_path):
    entries = [a_stroke(), estimate_record(0.4, definition="fddm"), a_stroke()]
    place = rescue.write_rescue(entries, FINGERPRINT, tmp_path / "store")
    assert place.is_relative_to(tmp_path / "data")
    assert place.stat().st_mode & 0o077 == 0
    assert rescue.find_rescues(FINGERPRINT) == [place]
    assert rescue.find_rescues("another") == []
    assert rescue.read_rescue(place, SHAPE) == entries
    assert rescue.describe_entries(entries) == "strokes, estimate"


def test_the_folder_is_the_users_alone_and_no_temporary_one_takes_its_place(tmp_path):
    folder = tmp_path / "data" / "napari-fddm" / "rescued"
    folder.mkdir(parents=True, mode=0o755)  # as an earlier version made it
    place = rescue.write_rescue([a_stroke()], FINGERPRINT, tmp_path / "store")
    assert place.parent == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o775)
    assert rescue.find_rescues(FINGERPRINT) == [place]
    assert folder.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(StoreError, match="could not be written") as caught:
        rescue.write_rescue([a_stroke()], FINGERPRINT, tmp_path / "store")
    assert caught.value.hint
    assert not (tmp_path / "temporary").exists()


def test_what_an_earlier_version_left_in_the_temporary_folder_is_found_if_it_is_the_users(tmp_path):
    place = rescue.write_rescue([a_stroke()], FINGERPRINT, tmp_path / "store")
    folder = tmp_path / "temporary" / "napari-fddm"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    moved = place.rename(folder / place.name)
    assert rescue.find_rescues(FINGERPRINT) == [moved]
    assert rescue.read_rescue(moved, SHAPE) == [a_stroke()]
    folder.chmod(0o777)
    assert rescue.find_rescues(FINGERPRINT) == []


def make_writable(place):
    place.chmod(0o666)


def make_a_link(place):
    place.symlink_to(place.rename(place.with_name("elsewhere")))


def make_a_pipe(place):
    place.unlink()
    os.mkfifo(place, 0o600)


def give_away(place):
    os.chown(place, os.geteuid() + 1, -1)


@pytest.mark.parametrize("change", [make_writable, make_a_link, make_a_pipe, give_away])
def test_a_file_that_others_may_have_written_is_refused(tmp_path, change):
    place = rescue.write_rescue([a_stroke()], FINGERPRINT, tmp_path / "store")
    if change is give_away and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    change(place)
    with pytest.raises(StoreError):
        rescue.read_rescue(place, SHAPE)


def rewritten(place, change):
    header, *lines = place.read_text().splitlines()
    place.write_text("\n".join([header, *change(lines)]) + "\n")
    place.chmod(0o600)


@pytest.mark.parametrize("kind", ["sign_off", "unlock", "begun_from_map", "run"])
def test_nothing_that_signs_or_unlocks_is_taken_from_it(tmp_path, kind):
    entries = [a_stroke(), LogRecord(kind, {"reader": "A. Bee"})]
    place = rescue.write_rescue(entries, FINGERPRINT, tmp_path / "store")
    with pytest.raises(StoreError, match=kind):
        rescue.read_rescue(place, SHAPE)


@pytest.mark.parametrize(
    "line",
    [
        "nothing",
        "[]",
        '{"kind": []}',
        '{"kind": "edit"}',
        '{"kind": "estimate", "made": "x", "fields": {"layer": "corrected", "rate": 0.5}}',
        '{"kind": "estimate", "made": "2026-11-30T23:04:01+00:00", "fields": {"rate": 1e999}}',
    ],
)
def test_a_damaged_line_is_refused_and_the_file_kept(tmp_path, line):
    place = rescue.write_rescue([a_stroke()], FINGERPRINT, tmp_path / "store")
    rewritten(place, lambda lines: [*lines, line])
    with pytest.raises(StoreError, match="cannot be read"):
        rescue.read_rescue(place, SHAPE)
    assert place.exists()


def test_work_of_another_slide_or_grid_is_refused_and_kept(tmp_path):
    place = rescue.write_rescue([a_stroke()], FINGERPRINT, tmp_path / "store")
    with pytest.raises(StoreError, match="does not fit"):
        rescue.read_rescue(place, (SHAPE[0] + 1, SHAPE[1]))
    moved = place.rename(place.with_name(f"{'0' * 20}-1{rescue.SUFFIX}"))
    with pytest.raises(StoreError, match="another slide"):
        rescue.read_rescue(moved, SHAPE)
    assert moved.exists()
