"""The plugin's settings in napari's preferences, typed. Read when a widget opens."""

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
    from napari_fddm.plugin.document.analysis import Analysis
    from napari_fddm.plugin.document.session import Session
    from napari_fddm.plugin.panels.dock import Panels

PLUGIN, SECTION = "napari-fddm", "window"


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a user prefers; the names are those of ``configurations`` in napari.yaml.

    Attributes
    ----------
    palette : Palette
        Colors of the classes at the start.
    outlines : bool
        Whether classes are outlined instead of filled at the start.
    estimate_first : bool
        Whether the reader's own estimate comes first.
    definition : str
        The necrosis definition that is shown large.
    label_mpp : float
        Label grid, µm per cell.
    brush_size : int
        Brush at the start, cells.
    export_slide_name : bool
        Whether exports may carry the slide's file name.
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
        """Return what napari's preferences say now.

        Defaults where napari does not know the plugin, as in a bare viewer model.
        """
        known = _known()
        if known is None:
            return cls()
        stored = getattr(known, SECTION)
        values = {field.name: getattr(stored, field.name) for field in fields(cls)}
        return cls(**values | {"palette": Palette(values["palette"])})


def _known() -> Any:
    """Return what ``get_plugin_settings`` gives, None if napari does not know the plugin.

    That searches the whole environment for plugins again when it is asked first, which
    takes as long as opening the widget may; here the manifests that are known suffice.
    """
    if napari.settings._PLUGIN_SETTINGS:
        return napari.settings._PLUGIN_SETTINGS.get(PLUGIN)
    model = plugin_configuration_generator(PluginManager.instance()).get(PLUGIN)
    if model is None:
        return None
    own = napari.settings._CFG_PATH
    return model(config_path=own and Path(own).parent / f"{PLUGIN}.yaml")


class PreferencesController:
    """Applies settings once, and the brush size to every analysis that opens.

    Parameters
    ----------
    session : Session
        Its state and its new analyses get the settings.
    panels : Panels
        Show them.
    settings : Preferences
        What the user prefers.
    """

    def __init__(self, session: Session, panels: Panels, settings: Preferences) -> None:
        self._settings = settings
        session.connections.add(session.added, self._on_session_added)
        state = session.state
        state.display = replace(state.display, palette=settings.palette, outline=settings.outlines)
        panels.rate.estimate_box.setChecked(settings.estimate_first)
        index = panels.rate.definition_box.findData(settings.definition)
        if index >= 0:  # a definition of the user's own may be gone
            panels.rate.definition_box.setCurrentIndex(index)
        panels.run.set_config({"label_mpp": settings.label_mpp})

    def _on_session_added(self, analysis: Analysis) -> None:
        analysis.layer.brush_size = self._settings.brush_size
