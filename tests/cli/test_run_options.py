"""Options of ``run`` and ``rate`` that change what is analyzed and what is reported."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import huggingface_hub
import numpy as np
import pytest
from PIL import Image

from napari_fddm.core.geometry import Window
from napari_fddm.models import fetching
from napari_fddm.pipeline.store import AnalysisStore
from tests.slides.ngff.test_images import bioformats2raw
from tests.support.commands import SLIDE, Call, assert_one_line
from tests.support.definitions import OWN
from tests.support.stores import stroke

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def patch_run(tiny_model: Path, tmp_path: Path) -> tuple[object, ...]:
    """A quick run into ``tmp_path / "s.fddm.ome.zarr"``."""
    out = tmp_path / "s.fddm.ome.zarr"
    return ("run", SLIDE, "-o", out, "--model", tiny_model, "--device", "cpu", "--stage", "patch")


def others(tmp_path: Path) -> list[str]:
    return sorted(p.name for p in tmp_path.iterdir() if p.name != "s.fddm.ome.zarr")


def test_fresh_starts_over_with_other_settings(
    call: Call, patch_run: tuple[object, ...], tmp_path: Path
):
    assert call(*patch_run)[0] == 0
    assert_one_line(call(*patch_run, "--quiet", "--seed", 7), "--seed 0 → 7", "--fresh")
    assert_one_line(call(*patch_run, "--quiet", "--resume", "--seed", 7), "--seed 0 → 7")
    assert call(*patch_run, "--seed", 7, "--fresh")[0] == 0
    with AnalysisStore.open(tmp_path / "s.fddm.ome.zarr") as store:
        assert store.provenance["config"]["seed"] == 7
        assert store.maps.complete
    assert others(tmp_path) == []


def test_fresh_keeps_what_a_person_corrected(
    call: Call, patch_run: tuple[object, ...], tmp_path: Path
):
    path = tmp_path / "s.fddm.ome.zarr"
    assert call(*patch_run)[0] == 0
    with AnalysisStore.open(path, "r+") as store:
        labels = store.labels("corrected")
        store.corrections.append_edit(stroke(labels, Window(5, 5, 20, 20), 5))
    code, out, err = call(*patch_run, "--fresh")
    assert code == 0
    (kept,) = others(tmp_path)
    assert kept.startswith("s.20")
    assert kept.endswith(".fddm.ome.zarr")
    assert kept in out
    assert kept in err
    with AnalysisStore.open(tmp_path / kept) as store:
        assert np.array_equal(store.labels("corrected"), labels)
    with AnalysisStore.open(path) as store:
        assert store.log.last_seq == 0


def test_revise_carries_corrections_into_other_settings(
    call: Call, patch_run: tuple[object, ...], tmp_path: Path
):
    path = tmp_path / "s.fddm.ome.zarr"
    assert call(*patch_run)[0] == 0
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(store.labels("corrected"), Window(5, 5, 20, 20), 5))
    refused = call(*patch_run, "--quiet", "--seed", 7, "--revise", "--fresh")
    assert_one_line(refused, "--fresh and --revise exclude each other")
    assert others(tmp_path) == []
    code, out, _ = call(*patch_run, "--seed", 7, "--revise")
    assert code == 0
    assert "carried over" in out
    assert len(others(tmp_path)) == 1
    with AnalysisStore.open(path) as store:
        assert store.provenance["config"]["seed"] == 7
        assert store.log.last_seq == 1
        assert (store.labels("corrected") == 5).any()


def test_a_region_partly_outside_is_clipped_and_said(
    call: Call, patch_run: tuple[object, ...], tmp_path: Path
):
    report = tmp_path / "r.json"
    code, out, err = call(
        *patch_run, "--region", -300, 0, 500, 9999, "--tissue", "all", "--report", report
    )
    assert code == 0
    said = "the region -300 0 500 9999 reaches beyond the slide and was clipped to 0 0 200 1800"
    assert said in out
    assert said in err
    assert any(said in note for note in json.loads(report.read_text())["notes"])
    with AnalysisStore.open(tmp_path / "s.fddm.ome.zarr") as store:
        assert np.argwhere(store.labels("patch")).tolist() == [[0, c] for c in range(4)]


def test_a_mask_says_what_is_analyzed(call: Call, patch_run: tuple[object, ...], tmp_path: Path):
    mask = np.zeros((150, 180), np.uint8)
    mask[:, 103:] = 255  # tiles of 51.2 px of the mask: from the third column on
    Image.fromarray(mask).save(tmp_path / "mask.png")
    report = tmp_path / "r.json"
    run = (*patch_run, "--tissue", tmp_path / "mask.png", "--report", report)
    assert call(*run)[0] == 0
    with AnalysisStore.open(tmp_path / "s.fddm.ome.zarr") as store:
        labels = store.labels("patch")
    assert (labels != 0).tolist() == [[False, False, True, True]] * 3
    made = json.loads(report.read_text())
    assert made["slide_mm2"] == pytest.approx(0.75 * 0.9)
    assert made["tissue_excluded_mm2"] == pytest.approx(0.75 * 0.512)
    assert made["tissue_mm2"] == pytest.approx(0.75 * 0.385, rel=0.02)
    assert made["coverage"] == 1.0
    assert made["provenance"]["tissue"]["name"] == "mask.png"
    # the same mask under another name goes on, another mask does not
    (tmp_path / "mask.png").rename(tmp_path / "same.png")
    assert call(*patch_run, "--tissue", tmp_path / "same.png")[0] == 0
    mask[0, 0] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert_one_line(call(*run, "--quiet"), "--tissue same.png (sha256 ", "→ mask.png (sha256 ")


def test_a_mask_of_another_slide_is_refused(
    call: Call, patch_run: tuple[object, ...], tmp_path: Path
):
    Image.fromarray(np.full((180, 150), 255, np.uint8)).save(tmp_path / "turned.png")
    assert_one_line(
        call(*patch_run, "--quiet", "--tissue", tmp_path / "turned.png"),
        "turned.png has 150 × 180 px",
        "does not fit",
        "1800 × 1500",
    )
    assert others(tmp_path) == ["turned.png"]


def test_definitions_of_ones_own_stand_beside_ours_in_run_and_rate(
    call: Call, patch_run: tuple[object, ...], tmp_path: Path
):
    own, report = tmp_path / "own.toml", tmp_path / "r.json"
    own.write_text(OWN, encoding="utf-8")
    wanted = ("--definitions", own, "--definition", "with-hemorrhage")
    code, out, _ = call(*patch_run, *wanted, "--report", report)
    assert code == 0
    assert out.startswith("necrosis rate, with-hemorrhage: ")
    assert "(NC + HC) / (VT + NC + HC)" in out.splitlines()[0]
    made = json.loads(report.read_text())
    assert list(made["definitions"]) == ["with-hemorrhage", "fddm", "strict"]
    assert made["definition"] == "with-hemorrhage"
    result = made["definitions"]["with-hemorrhage"]
    assert result["formula"] == "(NC + HC) / (VT + NC + HC)"
    areas = made["areas_mm2"]
    assert result["numerator_mm2"] == pytest.approx(areas["NC"] + areas["HC"])
    assert result["denominator_mm2"] == pytest.approx(areas["VT"] + areas["NC"] + areas["HC"])
    store = tmp_path / "s.fddm.ome.zarr"
    assert json.loads(call("rate", store, *wanted, "--json")[1]) == made
    assert_one_line(call("rate", store, *wanted[2:]), "'with-hemorrhage'", "fddm, strict")


def test_the_users_own_file_is_found(
    call: Call,
    patch_run: tuple[object, ...],
    tmp_path: Path,
    no_definitions_of_the_users: Path,
):
    assert call(*patch_run)[0] == 0
    store = tmp_path / "s.fddm.ome.zarr"
    no_definitions_of_the_users.parent.mkdir()
    no_definitions_of_the_users.write_text(OWN, encoding="utf-8")
    code, out, _ = call("rate", store)
    assert code == 0
    assert [line.split(",")[1].split(":")[0] for line in out.splitlines()[:3]] == [
        " fddm", " strict", " with-hemorrhage",
    ]  # fmt: skip
    no_definitions_of_the_users.write_text(OWN + "\n[", encoding="utf-8")
    assert_one_line(call("rate", store), "definitions.toml", "TOML")


def test_an_analysis_named_as_a_file_is_refused(call: Call, tmp_path: Path):
    assert_one_line(call("run", SLIDE, "-o", tmp_path / "out.txt"), "out.ome.zarr", "export")
    assert not any(tmp_path.iterdir())


def test_strokes_are_spread_and_the_report_says_so(call: Call, tiny_model: Path, tmp_path: Path):
    path = tmp_path / "s.fddm.ome.zarr"
    command = ("run", SLIDE, "-o", path, "--model", tiny_model, "--device", "cpu", "--steps", 0)
    assert_one_line(call(*command, "--quiet", "--spread"), "there is no analysis")
    assert call(*command)[0] == 0
    assert_one_line(call(*command, "--quiet", "--spread"), "nobody painted", "Correct some places")
    assert_one_line(call(*command, "--quiet", "--spread", "--fresh"), "starts over")
    with AnalysisStore.open(path, "r+") as store:
        labels = store.labels("corrected")
        store.corrections.append_edit(stroke(labels, Window(20, 20, 30, 30), 5))
    code, out, err = call(*command, "--spread")
    assert code == 0
    assert "note: strokes were spread" in out + err
    assert "not its own alone" in out
    report = json.loads(call("rate", path, "--json")[1])
    assert report["spread"][0]["painted_cells"] == 900


def test_nothing_is_downloaded_unless_it_is_allowed(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fetched: list[str] = []
    monkeypatch.setattr(fetching, "fetch_needed", fetched.append)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    arguments = ("run", "synthetic:512x512", "-o", tmp_path / "s", "--model", "hf:lab/model")
    code, out, err = call(*arguments)
    assert (code, out, fetched) == (2, "", [])
    assert err == (
        "napari-fddm: the model needs lab/model from the Hugging Face hub. "
        "--allow-download fetches it.\n"
    )
    code, _, err = call(*arguments, "--allow-download")
    assert (code, fetched) == (2, ["hf:lab/model"])


def test_each_image_has_an_analysis_of_its_own(
    call: Call, tmp_path: Path, tiny_model: Path
) -> None:
    slide = bioformats2raw(tmp_path / "a.zarr", ["0", "1"])
    options = ("--model", tiny_model, "--device", "cpu", "--stage", "patch", "--tissue", "all")
    assert call("run", slide, *options)[0] == 0
    assert call("run", slide, "--series", 0, *options)[0] == 0
    own = slide.with_name("a.zarr.fddm.ome.zarr")
    other = slide.with_name("a.zarr.series-0.fddm.ome.zarr")
    with AnalysisStore.open(own) as one, AnalysisStore.open(other) as two:
        assert one.slide_info["shape"] == [120, 160]
        assert (two.slide_info["shape"], two.slide_info["series"]) == ([60, 50], 0)
        assert one.slide_info["fingerprint"] != two.slide_info["fingerprint"]
    again = call("run", slide, "-o", own, "--series", 0, "--quiet", *options)
    assert_one_line(again, "other settings", "slide")
