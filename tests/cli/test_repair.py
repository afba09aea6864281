"""``napari-fddm repair``, and what other commands say of a log that is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.outputs.report import compute_store_report
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.signoff import sign_off
from tests.support.commands import assert_one_line
from tests.support.stores import CELLS, SHAPE, WHOLE, make, stored, stroke

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Call


@pytest.fixture
def painted(tmp_path: Path) -> Path:
    """A store of viable tumor whose left half a reader painted as necrosis."""
    path = tmp_path / "s.fddm.ome.zarr"
    labels = np.full(SHAPE, 2, np.uint8)
    with make(path) as store:
        probs = np.full((7, CELLS.height, CELLS.width), 1 / 7, np.float32)
        store.maps.write_refined(WHOLE, labels, CELLS, probs)
        store.finish()
        store.corrections.append_edit(stroke(labels, Window(0, 0, SHAPE[0], SHAPE[1] // 2), 3))
    return path


def rate(call: Call, path: Path) -> float:
    code, out, err = call("rate", path, "--json")
    assert code == 0, err
    return float(json.loads(out)["rate"])


def test_the_ways_out_are_named_and_each_is_taken_only_when_asked_for(call: Call, painted: Path):
    before = rate(call, painted)
    assert call("repair", painted)[:2] == (0, f"the event log of {painted} is in order\n")
    (painted / "fddm" / "events.jsonl").unlink()
    ways = ("event log", "is missing", "backup", "--from-map", "--without-corrections")
    for command in (("rate", painted), ("repair", painted)):
        assert_one_line(call(*command), *ways)
    both = ("repair", painted, "--from-map", "--without-corrections", "--reader", "kim")
    assert_one_line(call(*both), "exclude each other")
    assert_one_line(call("repair", painted, "--from-map"), "--reader")
    assert not (painted / "fddm" / "events.jsonl").exists()
    code, out, _ = call("repair", painted, "--from-map", "--reader", "A. Bee")
    assert (code, "set_aside" in out) == (0, True)
    assert rate(call, painted) == before
    assert "from the stored map by A. Bee" in call("rate", painted)[1]
    assert_one_line(call("repair", painted, "--from-map", "--reader", "kim"), "in order")


def test_corrections_are_given_up(call: Call, painted: Path):
    (painted / "fddm" / "events.jsonl").write_bytes(b"")
    code, _, _ = call("repair", painted, "--without-corrections", "--reader", "A. Bee")
    assert code == 0
    assert rate(call, painted) == 0.0
    assert (stored(painted) == 2).all()
    assert "given up by A. Bee" in call("rate", painted)[1]


def test_a_reader_whose_name_holds_control_characters_is_shown_as_text(call: Call, painted: Path):
    with AnalysisStore.open(painted, "r+") as store:
        sign_off(store, "\x1b[2J\x1b]0;pwn\x07<b>", compute_store_report(store))
    code, out, err = call("rate", painted)
    assert code == 0, err
    assert "\x1b" not in out
    assert r"signed off by \x1b[2J\x1b]0;pwn\x07<b>" in out
