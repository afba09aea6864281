"""``napari-fddm adapt``: learn, list, export, refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.strokes import confirmation_record
from napari_fddm.slides.synthetic import SyntheticSlide
from tests.support.commands import assert_one_line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Call

SIDE = 6000  # 3 mm
SIDE_CELLS = 24


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "slide.tif"
    SyntheticSlide(SIDE, SIDE, mpp=0.5, seed=4).write_tiff(path)
    return path


@pytest.fixture
def store(call: Call, slide: Path, tiny_model: Path, tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    arguments = ("--model", tiny_model, "--stage", "patch", "--device", "cpu", "--quiet")
    assert call("run", slide, *arguments) == (0, "", "")
    return slide.with_name("slide.tif.fddm.ome.zarr")


def paint_truth(path: Path) -> None:
    """Paint squares, each with the class that most of it truly has."""
    truth_slide = SyntheticSlide(SIDE, SIDE, mpp=0.5, seed=4)
    with AnalysisStore.open(path, "r+") as store:
        truth = truth_slide.truth_map(store.geometries.label)
        for y in range(40, 700, 130):
            for x in range(40, 700, 130):
                window = Window(y, x, SIDE_CELLS, SIDE_CELLS)
                value = np.bincount(truth[window.slices].ravel()).argmax()
                said = np.full((SIDE_CELLS, SIDE_CELLS), value, np.uint8)
                same = np.where(store.labels("corrected")[window.slices] == said, said, 0)
                store.corrections.write(window, said)
                record = confirmation_record(same.astype(np.uint8), truth.shape, window)
                if record is not None:
                    store.records.append(record)


def test_learn_list_run_and_export(
    call: Call, store: Path, slide: Path, tiny_model: Path, tmp_path: Path
):
    paint_truth(store)
    code, said, progress = call(
        "adapt", store, "--name", "mine", "--model", tiny_model, "--device", "cpu",
        "--export", tmp_path / "whole", "--json",
    )  # fmt: skip
    assert code == 0, progress
    result = json.loads(said.partition("exported")[0])
    assert result["accepted"], result
    assert "looking at tiles" in progress
    assert "strokes at" in progress
    assert call("adapt", "--list")[1].startswith("mine: tiny-random, learned from")
    for model in ("mine", tmp_path / "whole"):
        again = ("run", slide, "--model", model, "--stage", "patch", "--device", "cpu")
        code, _, err = call(*again, "-o", tmp_path / f"{model == 'mine'}.ome.zarr")
        assert code == 0, err
    again = call("adapt", store, "--name", "mine", "--quiet")
    assert_one_line(again, "already", "another name")


def test_refusals_are_one_line(call: Call, store: Path, tmp_path: Path):
    assert_one_line(call("adapt", store, "--name", "x", "--quiet"), "too few strokes", "Paint at")
    assert_one_line(call("adapt", store), "--name")
    assert_one_line(call("adapt", "--name", "x"), "no store")
    assert_one_line(call("adapt", "--name", "x", "--export", tmp_path / "y"), "no adapted model")
    assert_one_line(call("adapt", tmp_path / "none", "--name", "x"), "does not exist")
    assert call("adapt", "--list") == (0, "", "")


def test_the_slide_is_looked_for_beside_the_store(call: Call, store: Path, tmp_path: Path):
    paint_truth(store)
    moved = store.rename(tmp_path / "elsewhere.ome.zarr")
    assert_one_line(call("adapt", moved, "--name", "x", "--quiet"), "beside it", "--slide")
