from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def manifest():
    return PluginManifest.from_distribution("napari-fddm")


def test_npe2_calls_the_manifest_valid():
    command = [sys.executable, "-m", "npe2", "validate", "napari-fddm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_python_name_resolves(manifest):
    names = [command.python_name for command in manifest.contributions.commands]
    assert len(names) >= 3
    for name in names:
        assert callable(import_python_name(name))


def test_the_manifest_at_the_top_is_the_packaged_one():
    top = REPOSITORY / "napari.yaml"
    packaged = REPOSITORY / "src" / "napari_fddm" / "napari.yaml"
    assert top.resolve() == packaged


def test_the_plugin_side_does_not_import_torch():
    code = (
        "import sys; import napari_fddm.plugin.reader, napari_fddm.plugin.sample_data, "
        "napari_fddm.plugin.widget; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
