"""Compares two label maps side by side, divided by a line over the canvas to drag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_fddm.plugin.layers.common import EXCLUDED_ROLE, METADATA
from napari_fddm.plugin.layers.curtain import Curtain
from napari_fddm.plugin.panels.compare_row import Side

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels, Layer
    from qtpy.QtWidgets import QWidget

    from napari_fddm.plugin.document import Analysis, Session
    from napari_fddm.plugin.panels.compare_row import CompareRow

KEY = "w"
"""A key that napari 0.9 does not use on labels layers."""


class CompareController:
    """Shows one map left and another right of a line, for the current analysis.

    The comparison ends with the button or the key, when another analysis becomes current, or
    in 3D. The visibility of the layers is then as it was before.

    Parameters
    ----------
    session : Session
        Its current analysis is compared.
    row : CompareRow
        Starts the comparison and chooses the maps.
    new_curtain : callable
        Returns a `Curtain` over the viewer's canvas, or None where there is no canvas.
    """

    def __init__(
        self, session: Session, row: CompareRow, new_curtain: Callable[[], Curtain | None]
    ) -> None:
        self._session, self._row, self._new_curtain = session, row, new_curtain
        self._curtain: Curtain | None = None
        self._analysis: Analysis | None = None
        self._visible: dict[Labels, bool] = {}
        session.on_close(self.close)
        link = session.connections.add
        link(row.toggled, self._on_row_toggled)
        link(row.sides_chosen, self._on_row_sides_chosen)
        link(session.added, self._on_session_added)
        link(session.removed, self._on_session_removed)
        link(session.current_changed, self._on_session_current_changed)
        link(session.state.progress_changed, self._on_state_progress_changed)
        link(session.viewer.dims.events.ndisplay, self._on_viewer_ndisplay)
        link(session.viewer.layers.events.inserted, self._on_viewer_layers_inserted)

    @property
    def active(self) -> bool:
        """Whether the comparison is on."""
        return self._curtain is not None

    @property
    def curtain(self) -> Curtain | None:
        """The line, while the comparison is on."""
        return self._curtain

    def toggle(self) -> None:
        """Start or end the comparison."""
        if self.active:
            self.stop()
        else:
            self.start()

    def start(self) -> None:
        """Start, if there is an analysis and the canvas shows 2D."""
        analysis = self._session.current
        flat = self._session.viewer.dims.ndisplay == 2
        if not self.active and analysis is not None and flat:
            self._curtain = self._new_curtain()
            if self._curtain is not None:
                self._analysis = analysis
                self._show()
        self._row.set_active(self.active)

    def stop(self) -> None:
        """End; layers are drawn completely and as visible as before."""
        curtain, self._curtain = self._curtain, None
        if curtain is not None:
            curtain.remove()
            for layer, visible in self._visible.items():
                layer.visible = visible
        self._analysis, self._visible = None, {}
        self._row.set_active(False)

    def close(self) -> None:
        """End, and release the key."""
        self.stop()
        for analysis in self._session.analyses.values():
            self._unbind(analysis)

    def _show(self) -> None:
        if self._curtain is None or self._analysis is None:
            return
        left, right = (self._layers(side) for side in self._row.sides)
        for layer in (*self._analysis.layers, *self._marks()):
            self._visible.setdefault(layer, layer.visible)
            layer.visible = layer in left or layer in right
        titles = [side.value for side in self._row.sides]
        self._curtain.clip(left, right, (titles[0], titles[1]))

    def _layers(self, side: Side) -> list[Layer]:
        """Return the layers of a side; none for the slide alone or if they were deleted."""
        if self._analysis is None or side is Side.SLIDE:
            return []
        layers = dict(
            zip((Side.PATCH, Side.REFINED, Side.CORRECTED), self._analysis.layers, strict=True)
        )
        if layers[side] not in self._session.viewer.layers:
            return []
        return [layers[side], *(self._marks() if side is Side.CORRECTED else ())]

    def _marks(self) -> list[Layer]:
        """Return the layers that hatch excluded cells: they belong to the corrected map."""
        store = str(self._analysis.store_path) if self._analysis is not None else None
        return [
            layer
            for layer in self._session.viewer.layers
            if layer.metadata.get(METADATA) == {"role": EXCLUDED_ROLE, "store": store}
        ]

    def _on_row_toggled(self, wanted: bool) -> None:
        if wanted:
            self.start()
        else:
            self.stop()

    def _on_row_sides_chosen(self) -> None:
        self._show()

    def _on_session_added(self, analysis: Analysis) -> None:
        for layer in analysis.layers:
            layer.bind_key(KEY, self._on_key, overwrite=True)

    def _on_session_removed(self, analysis: Analysis) -> None:
        if analysis is self._analysis:
            self.stop()
        self._unbind(analysis)

    def _on_session_current_changed(self, current: Analysis | None) -> None:
        if current is not self._analysis:
            self.stop()
        self._row.set_available(current is not None)

    def _on_state_progress_changed(self, _progress: Any) -> None:
        if not self._session.state.busy:
            self._show()  # the end of a run shows the corrected layer alone

    def _on_viewer_layers_inserted(self, _event: Any) -> None:
        # The first excluded cell adds a layer; the canvas draws it one event loop later.
        QTimer.singleShot(1, self._show)

    def _on_viewer_ndisplay(self, _event: Any = None) -> None:
        if self._session.viewer.dims.ndisplay != 2:
            self.stop()

    def _on_key(self, _layer: Labels) -> None:
        """Compare two label maps with a line to drag, or end the comparison."""
        self.toggle()

    @staticmethod
    def _unbind(analysis: Analysis) -> None:
        for layer in analysis.layers:
            layer.bind_key(KEY, None, overwrite=True)


def curtain_over(widget: QWidget) -> Curtain | None:
    """Return a curtain over the canvas of the window of a widget; None without a canvas."""
    viewer = getattr(widget.window(), "_qt_viewer", None)
    return Curtain(viewer.canvas) if viewer is not None else None
