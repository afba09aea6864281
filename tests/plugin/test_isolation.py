"""What tests set stays out of the settings of whoever runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CONFIG_FOLDER

pytestmark = pytest.mark.gui
ASK = """
from napari.settings import get_settings
from qtpy.QtCore import QSettings
from napari_fddm.core.definitions import user_definitions_path

print(get_settings().config_path)
print(QSettings("napari-fddm", "napari-fddm").fileName())
print(user_definitions_path())
"""


def test_settings_of_tests_and_of_their_processes_lie_in_a_folder_of_their_own():
    asked = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK], capture_output=True, text=True, check=True
    )
    files = [Path(line) for line in asked.stdout.splitlines()]
    assert len(files) == 3
    for file in files:
        assert file.is_relative_to(CONFIG_FOLDER)


def test_napari_in_this_process_uses_the_same_folder():
    from napari.settings import _CFG_PATH

    assert Path(_CFG_PATH).is_relative_to(CONFIG_FOLDER)
