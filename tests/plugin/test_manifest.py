from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import dask.array
import pytest
from napari._app_model.constants import MenuId
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

from napari_fddm.plugin.contributions.sample_data import large_synthetic_slide, synthetic_slide

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


def test_it_tells_the_hub_what_the_hub_shows(manifest):
    assert 3 <= len(manifest.display_name) <= 90
    assert manifest.visibility == "public"
    assert manifest.categories
    assert manifest.on_activate is None
    package, _, name = manifest.icon.partition(":")
    icon = ElementTree.fromstring(resources.files(package).joinpath(name).read_bytes())  # noqa: S314 - our own file
    assert icon.tag == "{http://www.w3.org/2000/svg}svg"


def test_it_adds_to_menus_that_take_plugins_only(manifest):
    assert manifest.contributions.menus
    assert set(manifest.contributions.menus) <= {str(menu) for menu in MenuId.contributables()}


@pytest.mark.parametrize(("sample", "side_mm"), [(synthetic_slide, 4), (large_synthetic_slide, 20)])
def test_the_samples_are_lazy_slides_of_two_sizes(sample, side_mm):
    ((pyramid, options, kind),) = sample()
    assert kind == "image"
    assert all(isinstance(level, dask.array.Array) for level in pyramid)
    assert pyramid[0].shape[0] * options["scale"][0] / 1000 == pytest.approx(side_mm, rel=0.05)


def test_the_manifest_at_the_top_is_the_packaged_one():
    top = REPOSITORY / "napari.yaml"
    packaged = REPOSITORY / "src" / "napari_fddm" / "napari.yaml"
    assert top.resolve() == packaged


def test_the_plugin_side_does_not_import_torch():
    code = (
        "import sys; import napari_fddm.plugin.contributions.reader; "
        "import napari_fddm.plugin.contributions.sample_data; "
        "import napari_fddm.plugin.widget; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pyqt6_is_taken_where_both_are_installed():
    assert find_spec("PyQt6")
    assert find_spec("PySide6")
    unasked = {key: value for key, value in os.environ.items() if key != "QT_API"}
    code = "import napari._qt, qtpy; print(qtpy.API_NAME)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=unasked)
    assert done.stdout.split() == ["PyQt6"]
