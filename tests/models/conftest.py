from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def model_folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may damage."""
    return shutil.copytree(tiny_model, tmp_path / "model")


@pytest.fixture
def edit_card(model_folder: Path) -> Callable[[Callable[[dict[str, Any]], None]], Path]:
    """Change the card of the copy as a person with an editor would."""

    def edit(change: Callable[[dict[str, Any]], None]) -> Path:
        path = model_folder / "card.json"
        card = json.loads(path.read_text(encoding="utf-8"))
        change(card)
        path.write_text(json.dumps(card), encoding="utf-8")
        return model_folder

    return edit
