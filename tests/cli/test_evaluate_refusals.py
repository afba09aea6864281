"""`napari-fddm evaluate`: what is refused, in one line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.support.commands import assert_one_line
from tests.support.evaluating import BG, VT, bed, demo, noisy, random_map, save

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Call


def test_a_figure_without_matplotlib_is_refused_before_any_work(
    call: Call, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(sys.modules, "napari_fddm.evaluation.figures", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = call("evaluate", cohort, "--figure", tmp_path / "f.png")
    assert_one_line(result, "--figure needs matplotlib", "napari-fddm[figures]")


def test_an_unknown_color_is_refused_or_left_out(call: Call, evaluated, tmp_path: Path):
    pred, truth = demo(tmp_path)
    colors = np.array(Image.open(truth))
    colors[7, 3] = (165, 0, 0)
    Image.fromarray(colors).save(truth)
    assert_one_line(
        call("evaluate", pred, truth), "(165, 0, 0) in 1 px", "row 7, column 3", "leave-out"
    )
    report = evaluated(pred, truth, "--unknown", "leave-out")
    assert np.sum(report["confusion"]) == 199
    assert report["inputs"][0]["truth"]["left_out"] == {"(165, 0, 0)": 1}
    assert any("1 px of 1 values or colors" in note for note in report["notes"])


def test_a_patient_spelled_twice_is_refused_or_noted(call: Call, evaluated, cohort: Path):
    cohort.write_text(cohort.read_text().replace("case-0", "Case 0", 1))
    assert_one_line(call("evaluate", cohort), "'Case 0' (line 2) and 'case-0' (line 3)")
    report = evaluated(cohort, "--distinct-cases")
    assert report["cases"] == 4
    assert "'Case 0' and 'case-0' count as 2 patients (--distinct-cases)" in report["notes"]


def test_names_do_not_command_the_terminal(call: Call, cohort: Path):
    cohort.write_text(
        cohort.read_text().replace("s0", "\x1b[2Js0").replace("case-1", "\x1b]0;c\x07")
    )
    code, out, err = call("evaluate", cohort, "--resamples", 100)
    assert code == 0
    assert "\\x1b[2Js0" in err
    assert "\\x1b]0;c\\x07" in out
    assert not {"\x1b", "\x07"} & {*out, *err}


@pytest.mark.parametrize(
    ("truth", "said", "words"),
    [
        (0, VT, "t.png has no labeled cell"),
        (VT, 0, "the prediction has no labeled cell"),
        (BG, BG, None),
    ],
)
def test_empty_maps_are_refused(call: Call, tmp_path: Path, truth: int, said: int, words: str):
    pred = save(tmp_path / "p.png", np.full((9, 9), said))
    true = save(tmp_path / "t.png", np.full((9, 9), truth))
    if words is not None:
        assert_one_line(call("evaluate", pred, true), words)
    else:  # glass alone is a map; nothing but background can be said of it
        code, out, _ = call("evaluate", pred, true)
        assert code == 0
        assert "no rate for t by truth: no tumor bed was found" in out


def test_maps_without_a_common_cell_are_refused(call: Call, tmp_path: Path):
    labels = bed(50, 100)
    left, right = labels.copy(), labels.copy()
    left[:, 5:] = right[:, :5] = 0
    result = call("evaluate", save(tmp_path / "p.png", left), save(tmp_path / "t.png", right))
    assert_one_line(result, "label no cell in common")
    result = call("evaluate", tmp_path / "p.png", tmp_path / "t.png", "--mask", "annotation",
                  "--annotation", save(tmp_path / "m.png", np.eye(10, dtype=int)))  # fmt: skip
    assert_one_line(result, "inside the annotation mask")


def test_another_slide_s_proportions_are_refused(call: Call, tmp_path: Path):
    pred = save(tmp_path / "p.png", random_map(1, (40, 60)))
    truth = save(tmp_path / "t.png", random_map(1, (60, 60)))
    assert_one_line(call("evaluate", pred, truth), "other proportions", "60 × 40", "60 × 60")


def test_the_same_slide_under_two_names_is_refused(call: Call, tmp_path: Path):
    for name in "ab":
        save(tmp_path / f"t-{name}.png", random_map(1))
        save(tmp_path / f"p-{name}.png", noisy(random_map(1), ord(name)))
    lines = ["pred,truth,case", "p-a.png,t-a.png,1", "p-b.png,t-b.png,2"]
    (tmp_path / "pairs.csv").write_text("\n".join(lines), encoding="utf-8")
    result = call("evaluate", tmp_path / "pairs.csv", "--quiet")
    assert_one_line(result, "t-a and t-b are the same slide", "the same truth")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "paper"], ["--preset cannot be 'paper'", "fddm_paper"]),
        (["--aggregate", "mean"], ["--aggregate", "pooled, per_slide"]),
        (["--absent", "zero"], ["--absent", "nan, one"]),
        (["--mask", "bed"], ["--mask", "none, tissue, annotation"]),
        (["--truth-as", "rgb"], ["--truth-as", "auto, values, paper, screen"]),
        (["--unknown", "guess"], ["--unknown", "refuse, leave-out"]),
        (["--mpp", "0"], ["--mpp"]),
        (["--boundary-um", "-1"], ["--boundary-um"]),
        (["--level", "95"], ["level 95", "between 0 and 1"]),
        (["--resamples", "10"], ["100 resamples"]),
        (["--definitions", "none.toml"], ["none.toml"]),
        (["--json", "nowhere/report.json"], ["nowhere", "does not exist"]),
    ],
)
def test_wrong_options_are_refused(call: Call, tmp_path: Path, options, words):
    assert_one_line(call("evaluate", *demo(tmp_path), *options), *words)


def test_what_is_not_there_is_refused(call: Call, tmp_path: Path):
    pred, truth = demo(tmp_path)
    assert_one_line(call("evaluate", pred, tmp_path / "no.png"), "no.png does not exist")
    assert_one_line(call("evaluate", tmp_path / "pred", truth), "is a folder")
    (tmp_path / "x.txt").write_text("no")
    assert_one_line(call("evaluate", tmp_path / "x.txt", truth), "is no label map")
    assert_one_line(call("evaluate", pred), "manifest")
