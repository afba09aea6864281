"""What the pages of docs/ show is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.maps import LabelMap
from napari_fddm.core.necrosis import DEFINITIONS
from napari_fddm.plugin.layers import CorrectedLabels
from tests.support.stores import GEOMETRIES

DOCS = Path(__file__).parents[1] / "docs"

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


def test_the_table_of_keys_is_what_the_layer_binds():
    labels = np.zeros(GEOMETRIES.label.shape, np.uint8)
    layer = CorrectedLabels(
        LabelMap(labels, labels.copy(), GEOMETRIES.label), OSTEOSARCOMA, "corrected"
    )
    shown = dict(rows("keys.md", "keys"))
    assert sorted(shown) == sorted(str(key) for key in layer.keymap)
    for tissue in OSTEOSARCOMA:
        assert shown[str(tissue.value)] == f"paint {tissue.name}"


def test_the_table_of_definitions_is_the_program_s():
    expected = [[f"`{d.name}`", d.title, d.formula, d.source] for d in DEFINITIONS.values()]
    assert rows("definitions.md", "definitions") == expected
