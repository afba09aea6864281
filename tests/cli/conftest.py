from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from napari_fddm.cli import main as main_module
from napari_fddm.core import definitions
from tests.support.evaluating import VT, noisy, random_map, save

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
    monkeypatch.setattr(definitions, "user_definitions_path", lambda: place)
    return place


@pytest.fixture
def evaluated(call: Call, tmp_path: Path):
    """Run the command and return its JSON report."""

    def run(*arguments: object) -> dict[str, Any]:
        out = tmp_path / "report.json"
        code, _, err = call("evaluate", *arguments, "--json", out, "--resamples", 200)
        assert code == 0, err
        return json.loads(out.read_text(encoding="utf-8"))

    return run


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """A manifest of five slides of three cases, with a further reader."""
    lines = ["pred,truth,case,slide,mpp,reader:anna"]
    for number in range(5):
        truth = random_map(number)
        truth[:, : 10 * number] = VT
        save(tmp_path / "t" / f"{number}.png", truth)
        save(tmp_path / "p" / f"{number}.png", noisy(truth, 100 + number))
        save(tmp_path / "r" / f"{number}.png", noisy(truth, 200 + number, 0.05))
        files = [f"{folder}/{number}.png" for folder in "ptr"]
        lines.append(",".join([*files[:2], f"case-{number // 2}", f"s{number}", "20", files[2]]))
    (tmp_path / "pairs.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "pairs.csv"
