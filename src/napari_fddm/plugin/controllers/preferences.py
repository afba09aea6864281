"""Reads the plugin's page of napari's preferences, and applies it when a window opens."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import napari.settings
from napari.settings._plugin_config_generator import plugin_configuration_generator
from npe2 import PluginManager

from napari_fddm.core.config import AnalysisConfig
from napari_fddm.plugin.layers.common import BRUSH_CELLS
from napari_fddm.plugin.state.display import Palette

if TYPE_CHECKING:
    from napari_fddm.plugin.document import Analysis, Session
    from napari_fddm.plugin.panels import Panels

PLUGIN, SECTION = "napari-fddm", "window"


@dataclass(frozen=True, slots=True)
class Preferences:
    """The preferences; the names are those of ``configurations`` in napari.yaml.

    Attributes
    ----------
    palette : Palette
        Colors of the classes when a window opens.
    outlines : bool
        Whether classes are drawn as outlines when a window opens.
    estimate_first : bool
        Whether numbers are hidden until the reader has entered an estimate.
    definition : str
        Name of the necrosis definition that is shown large.
    label_mpp : float
        Label grid, µm per cell.
    brush_size : int
        Brush size of an analysis that opens, cells.
    export_slide_name : bool
        Whether exports keep the slide's file name unless the user says otherwise.
    """

    palette: Palette = Palette.SAFE
    outlines: bool = False
    estimate_first: bool = False
    definition: str = "fddm"
    label_mpp: float = AnalysisConfig().label_mpp
    brush_size: int = BRUSH_CELLS
    export_slide_name: bool = False

    @classmethod
    def read(cls) -> Self:
        """Return the current preferences.

        Defaults if napari does not know the plugin, as with a viewer model without window.
        """
        settings = _settings_of_plugin()
        if settings is None:
            return cls()
        stored = getattr(settings, SECTION)
        values = {field.name: getattr(stored, field.name) for field in fields(cls)}
        return cls(**values | {"palette": Palette(values["palette"])})


def _settings_of_plugin() -> Any:
    """Return napari's settings of the plugin; None if napari does not know the plugin.

    napari's own ``get_plugin_settings`` first searches the whole environment for plugins,
    which takes as long as opening the widget may. The manifests known already suffice here.
    """
    if napari.settings._PLUGIN_SETTINGS:
        return napari.settings._PLUGIN_SETTINGS.get(PLUGIN)
    model = plugin_configuration_generator(PluginManager.instance()).get(PLUGIN)
    if model is None:
        return None
    own = napari.settings._CFG_PATH
    return model(config_path=own and Path(own).parent / f"{PLUGIN}.yaml")


class PreferencesController:
    """Applies preferences when the window opens, and the brush size to every new analysis.

    Parameters
    ----------
    session : Session
        Its state and its new analyses get the preferences.
    panels : Panels
        Show the preferences.
    preferences : Preferences
        The preferences to apply.
    """

    def __init__(self, session: Session, panels: Panels, preferences: Preferences) -> None:
        self._preferences = preferences
        session.connections.add(session.added, self._on_session_added)
        state = session.state
        state.display = replace(
            state.display, palette=preferences.palette, outline=preferences.outlines
        )
        panels.rate.estimate_box.setChecked(preferences.estimate_first)
        index = panels.rate.definition_box.findData(preferences.definition)
        if index >= 0:  # a definition of the user's own file may be gone
            panels.rate.definition_box.setCurrentIndex(index)
        panels.run.set_config({"label_mpp": preferences.label_mpp})

    def _on_session_added(self, analysis: Analysis) -> None:
        analysis.layer.brush_size = self._preferences.brush_size
