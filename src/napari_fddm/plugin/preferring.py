"""Starts a window as the user's settings say; from then on its panels decide."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_fddm.plugin.controllers.preferences import PluginSettings
    from napari_fddm.plugin.document.analysis import Analysis
    from napari_fddm.plugin.document.session import Session
    from napari_fddm.plugin.panels.dock import Panels


class Preferring:
    """Applies settings once, and the brush size to every analysis that opens.

    Parameters
    ----------
    session : Session
        Its state and its new analyses get the settings.
    panels : Panels
        Show them.
    settings : PluginSettings
        What the user prefers.
    """

    def __init__(self, session: Session, panels: Panels, settings: PluginSettings) -> None:
        self._settings = settings
        session.connections.add(session.added, self._on_session_added)
        state = session.state
        state.display = replace(state.display, palette=settings.palette, outline=settings.outlines)
        panels.necrosis.estimate_box.setChecked(settings.estimate_first)
        index = panels.necrosis.definition_box.findData(settings.definition)
        if index >= 0:  # a definition of the user's own may be gone
            panels.necrosis.definition_box.setCurrentIndex(index)
        panels.run.set_config({"label_mpp": settings.label_mpp})

    def _on_session_added(self, analysis: Analysis) -> None:
        analysis.layer.brush_size = self._settings.brush_size
