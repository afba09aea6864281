from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.gui
@pytest.mark.slow
def test_the_built_wheel_shows_the_plugin_in_napari():
    command = [sys.executable, REPOSITORY / "scripts" / "check_wheel.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    for entry in ("Plugins > ", "File > Open Sample > ", "File > IO ", "Layers > ", "opened: "):
        assert entry in done.stdout
