"""Every setting in napari's preferences does something."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import napari.settings
import pytest
from npe2 import PluginManifest

from napari_fddm.plugin import controller as controller_module
from napari_fddm.plugin.controllers.preferences import PLUGIN, SECTION, Preferences
from napari_fddm.plugin.state.display import Palette
from tests.support.controllers import Bench

pytestmark = pytest.mark.gui

OTHER = Preferences(Palette.PAPER, True, True, "strict", 8.0, 40, True)


@pytest.fixture
def other_bench(tmp_path, qtbot, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(controller_module.Preferences, "read", classmethod(lambda _: OTHER))
    bench = Bench(tmp_path, qtbot)
    yield bench
    bench.controller.close()


def test_manifest_and_class_name_the_same_settings_with_the_same_defaults():
    manifest = PluginManifest.from_distribution(PLUGIN)
    properties = manifest.contributions.configurations[SECTION].properties
    default = Preferences()
    assert {k: v.default for k, v in properties.items()} == {
        field.name: getattr(default, field.name) for field in fields(default)
    }
    assert all(value.description for value in properties.values())


def test_what_napari_stores_is_read(plugin_settings, npe2pm):
    npe2pm.register(PluginManifest.from_distribution(PLUGIN))
    stored = getattr(napari.settings.get_plugin_settings(PLUGIN), SECTION)
    assert Preferences.read() == Preferences()
    for field in fields(OTHER):
        value = getattr(OTHER, field.name)
        setattr(stored, field.name, str(value) if field.name == "palette" else value)
    assert Preferences.read() == OTHER


def test_what_the_settings_file_says_is_read_without_a_search_for_plugins(
    plugin_settings, npe2pm, monkeypatch
):
    npe2pm.register(PluginManifest.from_distribution(PLUGIN))
    own = Path(napari.settings._CFG_PATH).parent / f"{PLUGIN}.yaml"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(f"{SECTION}:\n  palette: paper\n  brush_size: 40\n")
    monkeypatch.setattr(npe2pm, "discover", pytest.fail)
    assert Preferences.read() == Preferences(palette=Palette.PAPER, brush_size=40)


def test_a_viewer_that_knows_no_plugins_gets_the_defaults(plugin_settings, npe2pm):
    assert Preferences.read() == Preferences()


def test_a_window_starts_as_preferred(other_bench):
    state, panels = other_bench.state, other_bench.panels
    assert (state.display.palette, state.display.outline) == (Palette.PAPER, True)
    assert panels.classes.outline_box.isChecked()
    assert state.estimate_first
    assert state.definition == "strict"
    assert panels.run.config["label_mpp"] == 8.0
    other_bench.start()
    assert other_bench.controller.current.layer.brush_size == 40


@pytest.mark.parametrize("wanted", [False, True])
def test_the_export_dialog_starts_with_the_preferred_privacy(tmp_path, qtbot, monkeypatch, wanted):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    settings = Preferences(export_slide_name=wanted)
    monkeypatch.setattr(controller_module.Preferences, "read", classmethod(lambda _: settings))
    bench = Bench(tmp_path, qtbot)
    bench.start()
    bench.panels.rate.export_clicked.emit()
    dialog = bench.controller.export.dialog
    assert dialog.name_box.isChecked() == wanted
    place = dialog.destination_edit.text()
    assert place.endswith("/s.ome.zarr" if wanted else "/analysis-abc.ome.zarr")
    bench.controller.close()
