"""Rescued work: written where it can be, found by the slide, refused where it does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.store import rescue
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


def test_without_the_users_folder_it_is_the_systems_temporary_one(tmp_path):
    (tmp_path / "data").write_text("no folder")
    place = rescue.write_rescue([a_stroke()], FINGERPRINT, tmp_path / "store")
    assert place.is_relative_to(tmp_path / "temporary")
    assert rescue.find_rescues(FINGERPRINT) == [place]


def test_where_nothing_can_be_written_the_loss_is_said(tmp_path):
    (tmp_path / "data").write_text("no folder")
    (tmp_path / "temporary").write_text("no folder")
    with pytest.raises(StoreError, match="could not be written anywhere"):
        rescue.write_rescue([a_stroke()], FINGERPRINT, tmp_path / "store")


def test_rescued_strokes_of_another_grid_are_refused_and_kept(tmp_path):
    place = rescue.write_rescue([a_stroke()], FINGERPRINT, tmp_path / "store")
    with pytest.raises(StoreError, match="another size"):
        rescue.read_rescue(place, (SHAPE[0] + 1, SHAPE[1]))
    place.write_text("{}\nnothing\n")
    with pytest.raises(StoreError, match="cannot be read"):
        rescue.read_rescue(place, SHAPE)
    assert place.exists()
