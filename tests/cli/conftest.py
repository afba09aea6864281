from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from napari_fddm.cli import main as main_module
from napari_fddm.pipeline import user_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Call


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in this process; returns exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["napari-fddm", *map(str, arguments)])
        capfd.readouterr()
        try:
            main_module.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture(autouse=True)
def no_definitions_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the user's own definitions would lie; nothing is there."""
    place = tmp_path.with_name(f"{tmp_path.name}-config") / "definitions.toml"
    monkeypatch.setattr(user_files, "user_definitions_path", lambda: place)
    return place
