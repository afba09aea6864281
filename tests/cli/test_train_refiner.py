"""``napari-fddm train``: a second stage trained from nothing runs, and goes on after a kill."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from napari_fddm.core.cards import read_card
from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.provenance import REFINER_FILE
from napari_fddm.models.weights import check_files
from napari_fddm.training.loop import RunLog
from napari_fddm.training.regions import RegionSlide, read_regions
from napari_fddm.training.regions.files import (
    RegionMeta,
    RegionSet,
    write_region_set,
    write_region_slide,
)
from tests.support.commands import SLIDE, assert_one_line
from tests.support.models import write_tiny_model
from tests.support.regions import blocky_slide

SMALL = ["--widths", "8,16", "--batch-size", 1, "--device", "cpu", "--quiet"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("base"))


def write_regions(folder, cases=4, classes=OSTEOSARCOMA.shorts, cell_um=32.0):
    rng = np.random.default_rng(0)
    write_region_set(folder, RegionSet(classes=classes, cell_um=cell_um, title="blocks"))
    for case in range(cases):
        slide = blocky_slide(rng, case=str(case))
        meta = RegionMeta(slide=f"s{case}", case=str(case))
        write_region_slide(folder, RegionSlide(meta, slide.coarse, slide.truth))
    return folder


def test_regions_to_model_to_run(call, base, tmp_path):
    regions = tmp_path / "regions"
    options = ["--model", base, "--slides", 2, "--tiles", 2, "--device", "cpu"]
    code, out, err = call("train", "regions", "-o", regions, *options)
    assert code == 0, err
    assert out.splitlines() == [
        "synthetic-20000.npz",
        "synthetic-20001.npz",
        f"region dataset: {regions}",
    ]
    about, slides = read_regions(regions)
    assert about.classes == OSTEOSARCOMA.shorts
    assert [s.coarse.tile_shape for s in slides] == [(2, 2), (2, 2)]
    model = tmp_path / "model"
    options = ["--regions", regions, "--model", base, "--steps", 2, *SMALL]
    code, _, err = call("train", "refiner", "-o", model, *options)
    assert code == 0, err
    assert set(check_files(model).values()) == {"ok"}
    card = read_card(model)
    assert card.refiner.denoiser.widths == (8, 16)
    assert card.training["refiner"]["recipe"]["name"] == "bridge"
    assert set(card.metrics["results"]) >= {"tiles, bilinear", "refined, 1 steps"}
    report = tmp_path / "report.json"
    code, _, err = call(
        "run", SLIDE, "-o", tmp_path / "store", "--model", model, "--steps", 2,
        "--report", report, "--device", "cpu", "--quiet",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(report.read_text())["coverage"] > 0


@pytest.mark.thorough
@pytest.mark.slow
def test_killed_and_started_again_it_ends_with_the_same_weights(call, base, tmp_path):
    regions = write_regions(tmp_path / "regions")
    options = ["--regions", regions, "--model", base, "--steps", 130, *SMALL]
    command = [sys.executable, "-m", "napari_fddm", "train", "refiner", "-o", tmp_path / "killed"]
    process = subprocess.Popen([*map(str, [*command, *options])])
    checkpoint = tmp_path / "killed" / "refiner.checkpoint"
    until = time.monotonic() + 200
    while not checkpoint.exists():
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "card.json").exists()
    for name in ("killed", "whole"):
        done = subprocess.run(
            [*map(str, [*command[:-1], tmp_path / name, *options])], check=False, timeout=250
        )
        assert done.returncode == 0
    killed, whole = ((tmp_path / name / REFINER_FILE).read_bytes() for name in ("killed", "whole"))
    assert killed == whole
    steps = [entry["step"] for entry in RunLog(tmp_path / "killed" / "training.jsonl").records()]
    assert steps == sorted(set(steps))


def test_what_cannot_be_trained_is_refused_in_one_line(call, base, tmp_path):
    def refused(*options, regions, words):
        given = ["--regions", regions, "--model", base, "--steps", 1, *SMALL, *options]
        assert_one_line(call("train", "refiner", "-o", tmp_path / "out", *given), *words)

    good = write_regions(tmp_path / "good", cases=1)
    refused(regions=tmp_path, words=["no region dataset", "dataset.json"])
    refused("--recipe", "magic", regions=good, words=["magic", "fddm_paper"])
    refused("--source", "sky", regions=good, words=["--source", "sky"])
    refused("--widths", "7", regions=good, words=["--widths", "multiples of 8"])
    other = write_regions(tmp_path / "other", classes=tuple("ABCDEFG"))
    refused(regions=other, words=["classes A, B"])
    wide = write_regions(tmp_path / "wide", cell_um=64.0)
    refused(regions=wide, words=["64 µm"])


def test_one_case_is_trained_on_and_not_measured(call, base, tmp_path):
    regions = write_regions(tmp_path / "regions", cases=1)
    options = ["--regions", regions, "--model", base, "--steps", 1, *SMALL]
    code, _, err = call("train", "refiner", "-o", tmp_path / "m", *options)
    assert code == 0, err
    assert read_card(tmp_path / "m").metrics == {}
    shutil.rmtree(tmp_path / "m")
