"""`napari-fddm evaluate`: what comes out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.support.commands import assert_one_line
from tests.support.evaluating import BG, HC, IF, NC, VT, bed, demo, of_pairs, random_map, save

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Call


def means(report: dict[str, Any]) -> list[float]:
    return [report["scores"]["mean"][k]["value"] for k in ("iou", "precision", "recall")]


# numbers --------------------------------------------------------------------------------


def test_p32_the_papers_preset_through_the_command_line(evaluated, tmp_path: Path):
    pred, truth = demo(tmp_path)
    report = evaluated(pred, truth, "--preset", "fddm_paper")
    assert means(report) == pytest.approx([0.7823, 0.8231, 0.8286], abs=5e-5)
    assert report["settings"]["preset"] == "fddm_paper"
    present = evaluated(pred, truth, "--include-bg")
    assert means(present)[0] == pytest.approx(0.4921, abs=5e-5)
    assert present["settings"]["preset"] == "default, changed"
    assert means(evaluated(pred, truth))[0] == pytest.approx(0.2381, abs=5e-5)


def test_p30_pooling_a_case_is_not_the_mean_of_its_slides(evaluated, tmp_path: Path):
    lines = ["pred,truth,case"]
    for name, labels in (("a", bed(10, 100)), ("b", bed(900, 1000))):
        save(tmp_path / f"{name}.png", labels)
        save(tmp_path / f"{name}-pred.png", labels)
        lines.append(f"{name}-pred.png,{name}.png,patient")
    (tmp_path / "pairs.csv").write_text("\n".join(lines), encoding="utf-8")
    (case,) = evaluated(tmp_path / "pairs.csv")["rates"]["fddm"]["by_case"]["rows"]
    assert case["slides"] == 2
    assert case["rates"]["truth"] == pytest.approx(0.8273, abs=5e-5)
    assert case["mean_of_slides"]["truth"] == pytest.approx(0.5)
    assert case["error"] == 0


def test_p29_a_perfect_prediction_is_perfect(evaluated, tmp_path: Path):
    labels = random_map(3)
    labels[labels == IF] = VT
    pred, truth = save(tmp_path / "p.png", labels), save(tmp_path / "t.png", labels)
    report = evaluated(pred, truth, "--mpp", 20)
    assert means(report) == [1, 1, 1]
    assert report["scores"]["accuracy"] == 1
    assert report["boundary"]["mean"]["value"] == 1
    assert report["scores"]["by_class"]["IF"]["iou"]["value"] is None
    assert any("the truth has no IF" in note for note in report["notes"])
    for part in report["rates"].values():
        assert part["by_slide"]["mean_absolute_error"] == 0
        assert part["by_slide"]["huvos"]["share_same"] == 1


def test_areas_are_in_mm2_where_the_pixel_size_is_known(evaluated, tmp_path: Path):
    truth, said = of_pairs((VT, VT, 300), (VT, NC, 100), (NC, NC, 600), width=50)
    pred, true = save(tmp_path / "p.png", said), save(tmp_path / "t.png", truth)
    report = evaluated(pred, true, "--mpp", 100)
    assert report["areas"]["VT"]["true_mm2"] == pytest.approx(4.0)
    assert report["areas"]["VT"]["error_mm2"] == pytest.approx(-1.0)
    assert report["share_errors"]["VT"]["mean_absolute_error"] == pytest.approx(0.1)
    (row,) = report["rates"]["strict"]["by_slide"]["rows"]
    assert (row["rates"]["truth"], row["rates"]["prediction"]) == pytest.approx((0.6, 0.7))
    unknown = evaluated(pred, true)
    assert unknown["areas"] is None
    assert "--mpp" in unknown["boundary"]["reason"]
    assert any("how large a pixel is" in note for note in unknown["notes"])


def test_a_tiny_tumor_bed_has_no_rate_and_says_why(evaluated, tmp_path: Path):
    labels = bed(50, 100)  # 100 cells of 4 µm: 0.0016 mm²
    pred, truth = save(tmp_path / "p.png", labels), save(tmp_path / "t.png", labels)
    report = evaluated(pred, truth, "--mpp", 4)
    (row,) = report["rates"]["fddm"]["by_slide"]["rows"]
    assert row["rates"]["truth"] is None
    assert "below 0.01 mm²" in row["reasons"]["truth"]


def test_another_grid_is_brought_onto_the_truth_s_and_said(call: Call, tmp_path: Path):
    truth = np.kron(random_map(1), np.ones((3, 3), int))
    pred = save(tmp_path / "p.png", truth[1::3, 1::3])
    code, out, _ = call("evaluate", pred, save(tmp_path / "t.png", truth))
    assert code == 0
    assert "p.png (60 × 40 cells) was brought onto the truth's grid (180 × 120 cells)" in out
    assert "| mean                          | 1.0000 " in out


def test_absent_classes_that_were_predicted_are_named(evaluated, tmp_path: Path):
    truth, said = of_pairs((VT, VT, 50), (NC, HC, 50), width=10)
    report = evaluated(save(tmp_path / "p.png", said), save(tmp_path / "t.png", truth))
    assert report["scores"]["by_class"]["HC"]["iou"]["value"] == 0
    assert report["scores"]["by_class"]["HC"]["recall"]["value"] is None
    assert any("HC predicted all the same" in note for note in report["notes"])


def test_what_has_no_prediction_is_said(evaluated, tmp_path: Path):
    truth, said = of_pairs((VT, VT, 60), (VT, 0, 20), (BG, 0, 20), width=10)
    report = evaluated(save(tmp_path / "p.png", said), save(tmp_path / "t.png", truth))
    (entry,) = report["inputs"]
    assert (entry["covered"], entry["covered_tissue"], entry["cells"]) == (0.6, 0.75, 60)
    assert any("40.0% of what the truth labels and 25.0% of its" in n for n in report["notes"])


def test_masks(evaluated, call: Call, tmp_path: Path):
    truth, said = of_pairs((VT, VT, 50), (VT, NC, 50), width=10)
    pred, true = save(tmp_path / "p.png", said), save(tmp_path / "t.png", truth)
    mask = save(tmp_path / "m.png", np.repeat([1, 0], 5)[:, None] * np.ones((1, 10), int))
    assert evaluated(pred, true)["scores"]["accuracy"] == 0.5
    for option in ("tissue", "annotation"):
        report = evaluated(pred, true, "--mask", option, f"--{option}", mask)
        assert report["scores"]["accuracy"] == 1
    assert report["confusion"][0][0] == 50  # outside the annotation both are background
    assert_one_line(call("evaluate", pred, true, "--mask", "tissue"), "needs a tissue mask")
    assert_one_line(call("evaluate", pred, true, "--tissue", mask, "--mask", "tissue",
                         "--annotation", mask), "belongs to --mask annotation")  # fmt: skip
    empty = save(tmp_path / "e.png", np.zeros((10, 10), int))
    assert_one_line(
        call("evaluate", pred, true, "--mask", "tissue", "--tissue", empty), "e.png is empty"
    )


# many slides ----------------------------------------------------------------------------


def test_intervals_come_from_cases_and_repeat_with_the_seed(evaluated, cohort: Path):
    report = evaluated(cohort)
    assert (report["slides"], report["cases"]) == (5, 3)
    assert report["intervals"]["reason"] == ""
    assert any("intervals come from 3 cases" in note for note in report["notes"])
    iou = report["scores"]["mean"]["iou"]
    assert iou["low"] < iou["value"] < iou["high"]
    assert report["boundary"]["mean"]["low"] is not None
    assert report["rates"]["fddm"]["by_case"]["mean_absolute_error_interval"]
    again, other = evaluated(cohort), evaluated(cohort, "--level", 0.5)
    assert again["scores"] == report["scores"]
    assert other["scores"]["mean"]["iou"]["value"] == iou["value"]
    narrow = other["scores"]["mean"]["iou"]
    assert iou["low"] <= narrow["low"] <= narrow["high"] < iou["high"]


def test_further_readers_join_the_agreement(evaluated, cohort: Path):
    found = evaluated(cohort)["rates"]["fddm"]["by_slide"]["agreement"]
    assert found["raters"] == ["truth", "prediction", "anna"]
    assert found["n"] == 5
    assert 0 < found["icc_2_1"]["low"] < found["icc_2_1"]["value"] < 1
    against = found["against_truth"]
    assert against["anna"]["bland_altman"]["sd"] < against["prediction"]["bland_altman"]["sd"]


def test_per_slide_means_differ_from_pooled_ones(evaluated, cohort: Path):
    pooled, by_slide = evaluated(cohort), evaluated(cohort, "--aggregate", "per_slide")
    assert pooled["confusion"] == by_slide["confusion"]
    assert means(pooled) != means(by_slide)


def test_without_cases_there_are_no_intervals(evaluated, cohort: Path):
    folder = cohort.parent
    report = evaluated(folder / "p", folder / "t", "--mpp", 20)
    assert report["cases"] is None
    assert report["scores"]["mean"]["iou"]["low"] is None
    assert "which slides are of one patient" in report["intervals"]["reason"]
    assert report["rates"]["fddm"]["by_case"] is None
    grouped = evaluated(folder / "p", folder / "t", "--mpp", 20, "--case-pattern", ".")
    assert grouped["cases"] == 5
    assert grouped["scores"]["mean"]["iou"]["low"] is not None


def test_of_one_case_the_slides_are_compared(call: Call, cohort: Path):
    text = cohort.read_text(encoding="utf-8")
    for number in (1, 2):
        text = text.replace(f"case-{number}", "case-0")
    cohort.write_text(text, encoding="utf-8")
    code, out, _ = call("evaluate", cohort, "--resamples", 100)
    assert code == 0
    assert "The slides of one case are not independent; over them:" in out
    assert "Agreement of truth, prediction, anna over 5 slides" in out


def test_one_case_has_no_interval_and_says_why(evaluated, tmp_path: Path):
    report = evaluated(*demo(tmp_path))
    assert report["scores"]["mean"]["iou"]["low"] is None
    assert any("there is 1 case" in note for note in report["notes"])


def test_the_report_names_inputs_settings_and_versions(evaluated, cohort: Path):
    report = evaluated(cohort)
    first = report["inputs"][0]
    for side in ("truth", "prediction"):
        assert len(first[side]["labels_sha256"]) == len(first[side]["file_sha256"]) == 64
    assert first["readers"]["anna"]["name"] == "0.png"
    assert {"python", "napari-fddm", "numpy"} <= set(report["versions"])
    assert report["settings"]["bootstrap_resamples"] == 200
    slides = np.array([entry["confusion"] for entry in report["inputs"]])
    assert slides.sum(axis=0).tolist() == report["confusion"]
    assert str(cohort.parent) not in json.dumps(report)


def test_markdown_goes_to_a_file_or_the_terminal(call: Call, cohort: Path, tmp_path: Path):
    few = ("--resamples", 100)
    file = tmp_path / "report.md"
    code, out, err = call("evaluate", cohort, *few)
    assert code == 0
    assert out.startswith("# Evaluation of 5 slides of 3 cases\n")
    assert err.splitlines()[-1] == "5 of 5: s4"
    assert call("evaluate", cohort, *few, "--markdown", file, "--quiet") == (0, "", "")
    text = file.read_text(encoding="utf-8")
    assert text.splitlines()[:8] == out.splitlines()[:8]
    for title in ("## Classes", "## Confusion matrix", "## Necrosis rate `fddm`", "## Calibration"):
        assert title in text
    assert "nan" not in text.lower().replace("–", "")


def test_the_figure_is_drawn(call: Call, cohort: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    for name in ("f.png", "f.svg"):
        code, _, err = call(
            "evaluate", cohort, "--resamples", 100, "--figure", tmp_path / name, "--quiet"
        )
        assert (code, err) == (0, "")
    with Image.open(tmp_path / "f.png") as picture:
        assert min(picture.size) > 1000
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 50
    drawn = (tmp_path / "f.svg").read_text(encoding="utf-8")
    assert drawn.count("<path") > 100
    assert_one_line(
        call("evaluate", cohort, "--quiet", "--figure", tmp_path / "f.xyz"), ".png, .pdf or .svg"
    )
