"""`dataset` and `train` as a user calls them, and `run` with what they made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_fddm.core.cards import read_card
from tests.support.commands import SLIDE, Call, assert_one_line
from tests.support.training import write_rows, write_tile, write_tiles

if TYPE_CHECKING:
    from pathlib import Path

TRAIN = ("--arch", "test_vit.r160_in1k", "--random-init", "--input-px", 64, "--steps", 4,
         "--batch-size", 4, "--device", "cpu")  # fmt: skip


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    return write_tiles(tmp_path)


def test_counts_of_a_manifest_are_printed(call: Call, tiles: Path):
    code, out, _ = call("dataset", "counts", tiles, "--hold-out", "b")
    assert code == 0
    assert "train: 2 cases (a, c)" in out
    rows = {line.split()[0]: line.split()[-4:] for line in out.splitlines() if line.strip()}
    assert rows["VT"] == ["4", "2", "0", "6"]
    assert rows["total"] == ["12", "6", "0", "18"]


def test_what_is_left_out_is_said_where_the_counts_stand(call: Call, tmp_path: Path):
    write_tile(tmp_path / "tissue.png", (120, 60, 150))
    write_tile(tmp_path / "glass.png", (240, 240, 240))
    rows = ["tissue.png,VT,P-7", "glass.png,VT,P-007", "glass.png,Fold,b"]
    manifest = write_rows(tmp_path / "m.csv", "tile,label,case", *rows)
    build = ("dataset", "build", manifest, "-o", tmp_path / "d", "--label", "Fold=-")
    assert_one_line(call(*build), "'P-7' (line 2) and 'P-007' (line 3)", "--distinct-cases")
    code, out, _ = call(*build, "--distinct-cases", "--val-share", 0)
    assert code == 0
    notes = [line for line in out.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: 1 image labeled 'Fold' left out (--label)",
        "note: 'P-7' and 'P-007' count as 2 patients (--distinct-cases)",
        "note: glass.png: no sample of it is kept",
        "note: 1 patch with too little stained (--min-tissue) left out",
    ]
    _, again, _ = call("dataset", "counts", tmp_path / "d")
    assert [line for line in again.splitlines() if line.startswith("note: ")] == notes


def test_slides_are_cut_trained_on_and_the_model_runs(call: Call, tmp_path: Path):
    manifest = write_rows(
        tmp_path / "s.csv",
        "slide,mask,case,split",
        *(f"synthetic:1500x1800?seed={i}&mpp=0.5,truth,case-{i},{s}"
          for i, s in enumerate(("train", "train", "val"))),
    )  # fmt: skip
    data, model = tmp_path / "data", tmp_path / "model"
    code, out, _ = call("dataset", "build", manifest, "-o", data, "--min-labeled", 0.2)
    assert code == 0
    assert out == call("dataset", "build", manifest, "-o", data, "--min-labeled", 0.2)[1]
    assert call("dataset", "counts", data)[1].splitlines()[0].startswith("class")
    code, out, _ = call("train", "classifier", "--manifest", data, "-o", model, *TRAIN,
                        "--allow-missing")  # fmt: skip
    assert code == 0
    assert "color alone" in out
    assert "case-2: recall" in out
    code, out, err = call("run", SLIDE, "--model", model, "-o", tmp_path / "r.ome.zarr",
                          "--device", "cpu", "--region", 0, 0, 600, 600)  # fmt: skip
    assert code == 0
    assert "has no refiner, so --steps 0" in err
    assert "necrosis rate" in out


def test_tiles_are_trained_on_in_one_command(call: Call, tiles: Path, tmp_path: Path):
    command = ("train", "classifier", "--manifest", tiles, "-o", tmp_path / "m", *TRAIN,
               "--hold-out", "a")  # fmt: skip
    code, out, _ = call(*command)
    assert code == 0
    assert "balanced accuracy, val" in out
    assert call(*command)[1] == out
    assert_one_line(call(*command, "--lr", 0.1), "other settings: lr", "--fresh")
    assert call(*command, "--lr", 0.1, "--fresh")[0] == 0


def test_radiomics_are_switched_on_for_a_network_and_not_for_one_gone_on_from(
    call: Call, tiles: Path, tmp_path: Path
):
    model = tmp_path / "m"
    command = ("train", "classifier", "--manifest", tiles, "--hold-out", "a")
    code, out, _ = call(*command, "-o", model, *TRAIN, "--radiomics")
    assert code == 0
    assert "gate: image" in out
    assert read_card(model).classifier.radiomics == ("first_order", "glcm")
    code, _, err = call("run", SLIDE, "--model", model, "-o", tmp_path / "r.ome.zarr",
                        "--device", "cpu", "--region", 0, 0, 600, 600)  # fmt: skip
    assert code == 0
    assert "radiomics of tiles alone, so --stage patch" in err
    further = (*command, "-o", tmp_path / "n", "--base", model, "--steps", 1, "--device", "cpu")
    assert_one_line(call(*further, "--no-radiomics"), "--radiomics", "--base")
    assert call(*further)[0] == 0
    assert read_card(tmp_path / "n").classifier.radiomics == ("first_order", "glcm")


def test_what_a_user_can_mend_is_one_line(call: Call, tiles: Path, tmp_path: Path):
    out = tmp_path / "m"
    assert_one_line(call("dataset", "counts", tmp_path / "no.csv"), "no.csv")
    assert_one_line(call("dataset", "build", tiles, "-o", out, "--kind", "cubes"), "cubes")
    assert_one_line(call("dataset", "build", tiles, "-o", out, "--kind", "regions"), "mask")
    (tmp_path / "empty").mkdir()
    assert_one_line(call("dataset", "tcia", tmp_path / "empty", "-o", out), "table")
    wrong = ("train", "classifier", "--manifest", tiles, "-o", out, *TRAIN)
    assert_one_line(call(*wrong, "--hold-out", "z"), "'z'")
    assert_one_line(call(*wrong, "--lr", 0), "--lr")
    assert_one_line(call(*wrong, "--tune", "half"), "--tune")
