"""What the pages of docs/ show is what the program does."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer.main
import yaml
from napari.layers import Labels
from napari.utils.shortcuts import default_shortcuts
from scripts.tidy_pictures import IMAGES, LARGEST_BYTES, shown_pictures

import napari_fddm
from napari_fddm.cli.main import app
from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.maps import LabelMap
from napari_fddm.core.necrosis import DEFINITIONS
from napari_fddm.plugin.controllers import compare
from napari_fddm.plugin.layers import CorrectedLabels
from napari_fddm.plugin.panels.tools import ACTIONS, TOOLS
from napari_fddm.plugin.state.tools import Action, Tool
from tests.support.stores import GEOMETRIES

DOCS = Path(__file__).parents[1] / "docs"
SOURCE = Path(napari_fddm.__file__).parent

EXAMPLES = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    )
]


def rows(page: str, table: str) -> list[list[str]]:
    """The cells of a marked table, without its head."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (body,) = re.findall(rf"<!-- {table}: begin -->\n(.*?)<!-- {table}: end -->", text, re.DOTALL)
    lines = body.strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("code", EXAMPLES)
def test_python_examples_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs", "exec"), {})  # noqa: S102 - our own pages


@pytest.fixture
def layer():
    """All necrosis by the model, with viable tumor painted over everything."""
    said = np.full(GEOMETRIES.label.shape, 3, np.uint8)
    labels = np.full_like(said, 2)
    return CorrectedLabels(LabelMap(labels, said, GEOMETRIES.label), OSTEOSARCOMA, "corrected")


def drag(layer: CorrectedLabels, *modifiers: str) -> np.ndarray:
    """What the left button does in a drag over some cells, as the values they get."""
    before = layer.data.copy()
    places = [layer.data_to_world(cell) for cell in ((20, 20), (20, 26), (28, 26), (28, 20))]
    event = SimpleNamespace(
        type="mouse_press",
        button=1,
        modifiers=modifiers,
        view_direction=None,
        dims_displayed=[0, 1],
    )
    event.pos, event.position = np.zeros(2), places[0]
    stroke = layer._drag_modes[layer._mode](layer, event)
    for place in places:
        event.pos, event.position = event.pos + 10, place
        next(stroke, None)
        event.type = "mouse_move"
    event.type = "mouse_release"
    next(stroke, None)
    return np.unique(layer.data[layer.data != before])


def test_the_table_of_keys_is_what_the_layer_binds(layer):
    shown = dict(rows("keys.md", "keys"))
    assert sorted(shown) == sorted([*(str(key) for key in layer.keymap), compare.KEY.upper()])
    for tissue in OSTEOSARCOMA:
        assert shown[str(tissue.value)] == f"paint {tissue.name}"


def test_the_table_of_napari_s_keys_is_what_napari_binds():
    bound = {
        str(key)
        for name, keys in default_shortcuts.items()
        if "label" in name or "polygon" in name or "brush" in name
        for key in keys
    }
    bound |= {str(key).replace("+", "-") for key in Labels.class_keymap}
    for key, _ in rows("keys.md", "napari keys"):
        assert key in bound


def test_the_tables_of_tools_and_actions_are_the_panel_s():
    for table, words in (("tools", TOOLS), ("actions", ACTIONS)):
        assert [row[:2] for row in rows("keys.md", table)] == [
            list(entry[:2]) for entry in words.values()
        ]


def test_the_gestures_do_what_the_table_says(layer):
    shown = {(gesture, tool): does for gesture, tool, does in rows("keys.md", "mouse")}
    layer.activate(tool=Tool.BRUSH, action=Action.EXCLUDE)
    assert shown["left-drag", "Brush"].startswith("the action")
    assert drag(layer).tolist() == [0]
    assert shown["Ctrl-drag, Shift-drag", "any"].startswith("restores")
    assert drag(layer, "Control").tolist() == [3]
    assert drag(layer).tolist() == [0]
    assert drag(layer, "Shift").tolist() == [3]
    layer.activate(tool=Tool.FILL, action=Action.EXCLUDE)
    assert drag(layer).tolist() == [0]
    assert drag(layer, "Shift").tolist() == [3]
    layer.activate(tool=Tool.LASSO, action=Action.EXCLUDE)
    assert shown["left-drag", "Lasso"].startswith("the action inside")
    assert drag(layer).tolist() == [0]
    assert drag(layer, "Control").tolist() == [3]
    layer.activate(tool=Tool.BRUSH)
    assert shown["right-click, then move around", "Brush"].startswith("draws")
    assert layer._overlays["brush_stroke"].enabled


def test_the_menus_that_the_tour_names_are_the_manifest_s():
    text = (DOCS / "tour.md").read_text(encoding="utf-8")
    manifest = yaml.safe_load((SOURCE / "napari.yaml").read_text(encoding="utf-8"))
    given = manifest["contributions"]
    assert f"*File ▸ Open Sample ▸ {manifest['display_name']} ▸" in " ".join(text.split())
    for entry in (*given["sample_data"], *given["widgets"]):
        assert entry["display_name"] in " ".join(text.split())


def test_every_picture_is_there_is_shown_and_is_small():
    shown = shown_pictures()
    assert shown == set(IMAGES.iterdir())
    assert [path.name for path in shown if path.stat().st_size > LARGEST_BYTES] == []


def test_the_table_of_definitions_is_the_program_s():
    expected = [[f"`{d.name}`", d.title, d.formula, d.source] for d in DEFINITIONS.values()]
    assert rows("definitions.md", "definitions") == expected


def test_every_command_and_option_in_the_pages_exists():
    commands = typer.main.get_command(app).commands
    shown = [
        line.split("#")[0].split()
        for page in sorted(DOCS.glob("*.md"))
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        for line in map(str.strip, block.splitlines())
        if line.startswith("napari-fddm ")
    ]
    assert len([words for words in shown if words[1] == "evaluate"]) >= 6
    for _, name, *words in shown:
        if name.startswith("-"):
            continue
        command = commands[name]
        if hasattr(command, "commands"):  # a group, as `train`
            name, *words = words
            command = command.commands[name]
        known = {
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert {word for word in words if word.startswith("-")} <= known | {"--help"}, name
