"""The examples run as their first lines say, and stay short."""

from __future__ import annotations

import ast
import runpy
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.pipeline.outputs import export_version
from napari_fddm.pipeline.store import AnalysisStore

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., str]

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
EARLIER = Path(__file__).parent / "fixtures" / "earlier"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example with arguments; return what it prints."""

    def call(name: str, *arguments: object) -> str:
        (path,) = (p for p in EXAMPLES if p.stem == name)
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out

    return call


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_is_short_says_how_to_run_it_and_is_linked(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert f"\n    python examples/{path.name}" in (ast.get_docstring(ast.parse(text)) or "")
    assert f"(examples/{path.name})" in (path.parents[1] / "README.md").read_text(encoding="utf-8")


def test_there_are_five():
    assert len(EXAMPLES) == 5


def test_a_region_is_read(run):
    out = run("read_region")
    assert "1500 × 1800 px" in out
    assert "0.5 µm per px, says synthetic" in out
    assert "(188, 225, 3)" in out


def test_a_run_ends_with_its_report(run, tmp_path):
    store = tmp_path / "slide.fddm.ome.zarr"
    out = run("run_and_report", store, "synthetic:600x700?seed=3&mpp=0.5", EARLIER / "model")
    assert "4 of 4 tiles" in out
    assert "rate" in out
    assert out.count("mm²") == len(OSTEOSARCOMA)


def test_the_rate_of_a_label_map_is_that_of_its_classes(run, tmp_path):
    assert "fddm: 60.0%" in run("rate_of_labels")
    np.save(tmp_path / "labels.npy", np.full((400, 400), 2, np.uint8))
    out = run("rate_of_labels", tmp_path / "labels.npy", 4)
    assert "fddm: 0.0%" in out
    assert "strict: 0.0%" in out


def test_a_model_of_ones_own_classifies(run, tmp_path):
    probs = ast.literal_eval(run("own_model", tmp_path / "model"))
    assert tuple(probs) == OSTEOSARCOMA.shorts
    assert sum(probs.values()) == pytest.approx(1, abs=0.01)


def test_an_export_is_read_with_zarr_alone(run, tmp_path):
    (path,) = (p for p in EXAMPLES if p.stem == "read_export")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert imported == {"sys", "numpy", "zarr"}
    store = shutil.copytree(EARLIER / "slide.fddm.ome.zarr", tmp_path / "slide.fddm.ome.zarr")
    with AnalysisStore.open(store) as opened:
        export_version(opened, tmp_path / "slide.ome.zarr")
    out = run("read_export", tmp_path / "slide.ome.zarr")
    assert "overview: (3, 94, 113)" in out
    assert "viable tumor: 0.043 mm²" in out
    assert "necrosis: 0.273 mm²" in out
    assert "inflammatory" in run("read_export", store, "reader-dee")
