"""What README shows works as shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from napari_fddm.cli.main import app
from napari_fddm.core.definitions import read_definitions
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.slides.synthetic import SyntheticSlide

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    SyntheticSlide(1200, 1200, mpp=0.5, seed=5).write_tiff(tmp_path / "slide.svs")
    example, _ = blocks("python")
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own README
    said = capsys.readouterr().out
    assert "TileBatch" in said
    assert said.splitlines()[-1].endswith("1.0")  # all of the tissue
    with AnalysisStore.open(tmp_path / "slide.svs.fddm.ome.zarr") as store:
        assert store.labels("refined").any()


def test_the_rate_of_a_label_map_is_as_shown(capsys):
    _, example = blocks("python")
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own README
    assert capsys.readouterr().out == "0.6 II NC / (VT + NC)\n"


def test_the_definitions_it_shows_can_be_read(tmp_path):
    (text,) = blocks("toml")
    (tmp_path / "definitions.toml").write_text(text, encoding="utf-8")
    (definition,) = read_definitions(tmp_path / "definitions.toml")
    assert definition.formula == "(NC + HC) / (VT + NC + HC)"


def test_every_command_and_option_in_it_exists():
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    shown = [line.split("#")[0].split() for line in lines if line.startswith("napari-fddm ")]
    assert len(shown) >= 6
    for _, *words in shown:
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known, command.name


def test_every_link_and_picture_in_it_is_there():
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", README) if not t.startswith("http")]
    assert targets
    assert [t for t in targets if not (REPOSITORY / t).exists()] == []


def test_every_make_target_in_it_exists():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
