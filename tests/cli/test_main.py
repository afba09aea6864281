"""The command line: what users type, read, and get as an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import napari_fddm
from napari_fddm.cli import doctor
from napari_fddm.cli import main as main_module
from napari_fddm.cli import run as run_module
from napari_fddm.cli.doctor import Check
from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.interop import validation
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.slides.synthetic import SyntheticSlide
from tests.support.commands import SLIDE, assert_one_line
from tests.support.slides import stained, write_tiff

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Call


@pytest.fixture(scope="module")
def analyzed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that the command line made."""
    out = tmp_path_factory.mktemp("cli") / "s.fddm.ome.zarr"
    with pytest.MonkeyPatch.context() as patch:
        arguments = ["run", SLIDE, "-o", out, "--model", tiny_model, "--device", "cpu", "--quiet"]
        patch.setattr(sys, "argv", ["napari-fddm", *map(str, arguments)])
        main_module.main()
    return out


# run ------------------------------------------------------------------------------------


def test_run_makes_a_store_and_a_report_and_says_the_rate(
    call: Call, tiny_model: Path, tmp_path: Path
):
    out, report = tmp_path / "s.fddm.ome.zarr", tmp_path / "report.json"
    code, said, progress = call(
        "run", SLIDE, "-o", out, "--model", tiny_model, "--report", report,
        "--label-mpp", 8, "--steps", 2, "--seed", 5, "--batch-size", 4, "--device", "cpu",
    )  # fmt: skip
    assert code == 0
    written = json.loads(report.read_text(encoding="utf-8"))
    with AnalysisStore.open(out) as store:
        store.validate()
        assert store.maps.complete
        config = store.provenance["config"]
    assert (config["label_mpp"], config["steps"], config["seed"]) == (8.0, 2, 5)
    assert (config["batch_size"], config["stage"]) == (4, "refined")
    fddm, strict, basis, *notes, place = said.splitlines()
    for line, result in zip((fddm, strict), written["definitions"].values(), strict=True):
        shown = "none (" if result["rate"] is None else f"{result['rate']:.1%}"
        assert shown in line
    assert "research use only" in basis
    assert any("never saw real tissue" in note for note in notes)
    assert place == f"store: {out}"
    assert "model tiny-random" in progress
    assert "classifying tiles" in progress


def test_run_continues_a_store_and_refuses_another_one(
    call: Call, tiny_model: Path, analyzed: Path
):
    again = ("run", SLIDE, "-o", analyzed, "--model", tiny_model, "--device", "cpu", "--quiet")
    assert call(*again) == (0, "", "")
    assert_one_line(call(*again, "--seed", 7), "--seed 0 → 7", "-o", "--fresh")
    assert_one_line(
        call(*again, "--steps", 2, "--tissue", "all"), "--steps 1 → 2", "--tissue auto → all"
    )


def test_quiet_is_quiet(call: Call, tiny_model: Path, tmp_path: Path):
    result = call(
        "run", SLIDE, "-o", tmp_path / "s", "--model", tiny_model, "--quiet", "--stage", "patch"
    )
    assert result == (0, "", "")


def test_run_takes_a_region(call: Call, tiny_model: Path, tmp_path: Path):
    out = tmp_path / "s"
    code, _, _ = call(
        "run", SLIDE, "-o", out, "--model", tiny_model, "--region", 0, 0, 400, 600,
        "--stage", "patch", "--tissue", "all",
    )  # fmt: skip
    assert code == 0
    with AnalysisStore.open(out) as store:
        assert np.argwhere(store.labels("patch")).tolist() == [[0, 0], [0, 1]]


def test_run_puts_the_store_beside_the_slide(call: Call, tiny_model: Path, tmp_path: Path):
    slide = tmp_path / "case [3].tif"  # brackets are markup to some
    SyntheticSlide(700, 800, mpp=0.5, seed=1).write_tiff(slide)
    code, out, err = call("run", slide, "--model", tiny_model, "--mpp", 0.5, "--stage", "patch")
    assert code == 0, err
    assert f"store: {slide}.fddm.ome.zarr" in out
    assert (tmp_path / "case [3].tif.fddm.ome.zarr").is_dir()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--stage", "refine"], ["--stage", "'refine'", "patch or refined"]),
        (["--label-mpp", "0.1"], ["--label-mpp", "0.1", "from 1 to 16"]),
        (["--label-mpp", "99"], ["--label-mpp", "99", "from 1 to 16"]),
        (["--steps", "-1"], ["--steps", "a whole number from 0 to 1000"]),
        (["--samples", "-1"], ["--samples", "a whole number from 1"]),
        (["--batch-size", "0"], ["--batch-size", "a whole number from 1"]),
        (["--seed", "-1"], ["--seed", "a whole number from 0"]),
        (["--eta", "2"], ["--eta", "a number from 0 to 1"]),
        (["--device", "banana"], ["--device", "'banana'", "auto, cpu, mps, cuda or cuda:N"]),
        (["--definition", "lax"], ["'lax'", "fddm, strict"]),
        (["--definitions", "gone.toml"], ["gone.toml", "cannot be read"]),
        (["--device", "cuda:99"], ["cuda:99", "not available"]),
        (["--tissue", "some"], ["--tissue", "'some'", "auto, all or the file of a mask"]),
        (["--model", "no-such-model"], ["no model 'no-such-model'"]),
        (["--region", "9999", "0", "10", "10"], ["outside the slide"]),
        (["--region", "-50", "0", "10", "10"], ["outside the slide"]),
        (["--region", "0", "0", "-5", "10"], ["--region cannot be 0 0 -5 10", "above 0"]),
        (["--region", "0", "0", "5", "0"], ["--region cannot be", "above 0"]),
        (["--region", "0", "0", "nan", "10"], ["--region cannot be", "above 0"]),
        (["--report", "no/such/folder/r.json"], ["no/such/folder", "Make it first"]),
    ],
)
def test_wrong_settings_are_one_line_and_leave_nothing_behind(
    call: Call, tiny_model: Path, tmp_path: Path, options: list[str], words: list[str]
):
    arguments = ["run", SLIDE, "-o", tmp_path / "s", "--model", tiny_model, *options]
    assert_one_line(call(*arguments), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", SLIDE, "--steps", "many"],
        ["run", SLIDE, "--region", "0", "0", "5"],
        ["run"],
        ["run", SLIDE, "--no-such-option"],
        ["no-such-command"],
        ["rate", SLIDE, "extra"],
    ],
)
def test_wrong_usage_is_one_line_that_names_the_help(call: Call, arguments: list[str]):
    result = call(*arguments)
    assert_one_line(result, "--help` lists what is allowed")


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["run", SLIDE, "--region", "0,0,5,5"], "napari-fddm run"),
        (["train", "classifier", "--lr"], "napari-fddm train classifier"),
        (["--bad"], "napari-fddm"),
    ],
)
def test_the_help_that_is_named_is_that_of_the_command(
    call: Call, arguments: list[str], command: str
):
    assert_one_line(call(*arguments), f"`{command} --help` lists what is allowed")


def test_without_a_command_it_shows_the_help(call: Call):
    code, out, _ = call()
    assert code == 2
    assert "Usage: napari-fddm" in out
    assert "doctor" in out


def test_it_tells_its_version(call: Call):
    code, out, err = call("--version")
    assert (code, err) == (0, "")
    assert out == f"napari-fddm {napari_fddm.__version__}\n"


@pytest.mark.parametrize("content", [None, b"", b"no slide at all", b"II*\0" + b"\xff" * 400])
def test_bad_files_are_one_line_and_exit_code_2(call: Call, tmp_path: Path, content: bytes | None):
    path = tmp_path / "bad.svs"
    if content is not None:
        path.write_bytes(content)
    for command in ("run", "info"):
        assert_one_line(call(command, path), "bad.svs")


def test_a_bad_file_is_one_line_from_a_real_process_too(tmp_path: Path):
    (tmp_path / "bad.svs").write_bytes(b"II*\0\x08\0\0\0" + b"\xff" * 400)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "napari_fddm", "info", "bad.svs"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert_one_line((done.returncode, done.stdout, done.stderr), "bad.svs")


def test_a_slide_without_pixel_size_asks_for_it(call: Call, tiny_model: Path, tmp_path: Path):
    path = write_tiff(tmp_path / "plain.tif", [stained(300, 300)])
    result = call("run", path, "--model", tiny_model, "--quiet", "-o", tmp_path / "s")
    assert_one_line(result, "plain.tif", "--mpp")


@pytest.mark.parametrize("where", ["before", "during"])
def test_an_interrupt_ends_with_its_own_code_and_says_what_is_kept(
    call: Call, monkeypatch: pytest.MonkeyPatch, where: str, tiny_model: Path, tmp_path: Path
):
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "run_slide" if where == "before" else "drain", interrupted)
    code, out, err = call("run", SLIDE, "-o", tmp_path / "s", "--model", tiny_model)
    assert (code, out) == (130, "")
    assert err.strip().startswith("interrupted; what was finished is kept")


def test_a_bug_is_not_dressed_up_as_a_users_error(call: Call, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(run_module, "run_slide", broken)
    with pytest.raises(ZeroDivisionError):
        call("run", SLIDE)


# rate and export ------------------------------------------------------------------------


def test_rate_prints_a_line_or_the_whole_report(call: Call, analyzed: Path):
    code, out, err = call("rate", analyzed)
    assert (code, err) == (0, "")
    assert out.startswith("necrosis rate, fddm: ")
    assert "necrosis rate, strict: " in out
    code, out, err = call("rate", analyzed, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    with AnalysisStore.open(analyzed) as store:
        labels = store.labels("corrected")
        cell = store.geometries.label.cell_mm2
    for tissue in OSTEOSARCOMA:
        counted = int((labels == tissue.value).sum()) * cell
        assert report["areas_mm2"][tissue.short] == pytest.approx(counted)


def test_rate_takes_map_and_definition(call: Call, analyzed: Path):
    _, out, _ = call("rate", analyzed, "--json", "--label", "patch", "--definition", "strict")
    report = json.loads(out)
    assert (report["label"], report["definition"]) == ("patch", "strict")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--definition", "lax"], ["'lax'", "fddm, strict"]),
        (["--label", "truth"], ["'truth'", "corrected"]),
    ],
)
def test_rate_names_what_it_does_not_know(
    call: Call, analyzed: Path, options: list[str], words: list[str]
):
    assert_one_line(call("rate", analyzed, *options), *words)


def test_a_folder_that_is_no_store_is_one_line(call: Call, tmp_path: Path):
    assert_one_line(call("rate", tmp_path), str(tmp_path))
    assert_one_line(call("rate", tmp_path / "nothing"), "does not exist")
    assert_one_line(call("export", tmp_path, "-o", tmp_path / "x"), str(tmp_path))


def test_export_writes_a_valid_copy_and_replaces_it_only_when_told(
    call: Call, analyzed: Path, tmp_path: Path
):
    out = tmp_path / "export.ome.zarr"
    code, said, _ = call("export", analyzed, "-o", out)
    assert (code, said) == (0, f"exported as OME-Zarr 0.5 and validated: {out}\n")
    old = tmp_path / "old.ome.zarr"
    code, said, _ = call("export", analyzed, "-o", old, "--version", "0.4")
    assert (code, said) == (0, f"exported as OME-Zarr 0.4 and validated: {old}\n")
    assert (old / ".zattrs").is_file()
    validation.validate(out)
    original = call("rate", analyzed, "--json")[1]
    name = json.loads(original)["slide"]
    nameless = json.loads(call("rate", out, "--json")[1])["slide"]
    assert nameless.startswith("slide ")
    assert call("rate", out, "--json")[1] == original.replace(f'"{name}"', f'"{nameless}"')
    assert_one_line(call("export", analyzed, "-o", out), "exists already")
    assert call("export", analyzed, "-o", out, "--overwrite", "--with-name")[0] == 0
    assert call("rate", out, "--json")[1] == original


# info and doctor ------------------------------------------------------------------------


def test_info_on_a_synthetic_slide(call: Call):
    code, out, err = call("info", SLIDE, "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert (facts["backend"], facts["mpp"], facts["size_mm"]) == ("synthetic", 0.5, [0.75, 0.9])
    assert facts["levels"][0] == {"index": 0, "shape": [1500, 1800], "downsample": 1.0}


def test_info_on_a_written_tiff(call: Call, tmp_path: Path):
    path = tmp_path / "s.tif"
    slide = SyntheticSlide(1300, 1100, mpp=0.5, seed=1)
    slide.write_tiff(path)
    facts = json.loads(call("info", path, "--json")[1])
    assert facts["name"] == "s.tif"
    assert facts["mpp"] == pytest.approx(0.5, rel=1e-3)
    assert [v["shape"] for v in facts["levels"]] == [list(v.shape) for v in slide.levels]
    overridden = json.loads(call("info", path, "--json", "--mpp", 0.25)[1])
    assert (overridden["mpp"], overridden["mpp_source"]) == (0.25, "user")


def test_info_for_people(call: Call, tmp_path: Path):
    path = write_tiff(tmp_path / "plain.tif", [stained(300, 200)])
    code, out, _ = call("info", path)
    assert code == 0
    assert "mpp: unknown" in out
    assert "level 0: 200 × 300 px" in out
    assert_one_line(call("info", path, "--mpp", 500), "500")


def test_doctor_looks_at_everything(call: Call):
    code, out, _ = call("doctor")
    names = [line[9:].partition(":")[0] for line in out.splitlines()]
    assert {"system", "torch", "timm", "zarr", "device", "weights", "disk", "screen"} <= set(names)
    assert code == (2 if "PROBLEM" in out else 0)


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (None, 0), (False, 2)])
def test_doctor_ends_with_2_if_something_is_broken(
    call: Call, monkeypatch: pytest.MonkeyPatch, ok: bool | None, code: int
):
    monkeypatch.setattr(doctor, "iter_checks", lambda: iter([Check("x", "y", ok)]))
    assert call("doctor")[0] == code


def test_doctor_names_damaged_weights(
    call: Call, monkeypatch: pytest.MonkeyPatch, tiny_model: Path, tmp_path: Path
):
    from napari_fddm.models import registry

    monkeypatch.setattr(registry, "bundled_folder", lambda: tiny_model.parent)
    monkeypatch.setattr(registry, "DEFAULT_MODEL", tiny_model.name)
    assert "ok  weights: tiny complete; nothing" in call("doctor")[1]
    monkeypatch.setattr(registry, "DEFAULT_MODEL", "gone")
    code, out, _ = call("doctor")
    assert code == 2
    assert "PROBLEM  weights: there is no model 'gone'" in out


def test_help_names_every_command(call: Call):
    code, out, _ = call("--help")
    assert code == 0
    for command in ("run", "rate", "export", "info", "doctor", "demo"):
        assert command in out


def test_a_question_keeps_its_mark(call: Call):
    assert_one_line(call("runn"), "Did you mean 'run'? `napari-fddm --help`")
