"""Shows the probability map of a class as an image layer over the slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from napari.utils import Colormap

from napari_fddm.core.errors import StoreError
from napari_fddm.plugin.layers.common import METADATA, placement
from napari_fddm.plugin.layers.viewport import draw_now
from napari_fddm.plugin.panels.probability_row import DOUBT
from napari_fddm.plugin.plumbing import Background
from napari_fddm.plugin.plumbing.notices import show_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    from qtpy.QtCore import QObject

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.core.maps import ProbabilityMap
    from napari_fddm.plugin.document import Analysis, Session
    from napari_fddm.plugin.panels.probability_row import ProbabilityRow

ROLE = "probability"
COLORS = Colormap(
    [(0.0, 0.0, 0.0, 0.0), (0.25, 0.0, 0.45, 0.45), (0.9, 0.3, 0.1, 0.65), (1.0, 1.0, 0.2, 0.8)],
    name="probability over tissue",
)
"""Transparent at 0, then lighter and more opaque: visible over pink and blue tissue."""


@dataclass(frozen=True, slots=True)
class _ProbabilityMap:
    """A map that was read: values in [0, 1] of shape (H, W), its geometry, and its stage."""

    values: npt.NDArray[np.float32]
    geometry: MapGeometry
    stage: str


class ProbabilityController:
    """Shows the probability of a class of the current analysis.

    Parameters
    ----------
    session : Session
        Its current analysis has the probabilities.
    row : ProbabilityRow
        Chooses the class and shows or hides the map.
    hides : callable
        Returns whether computed numbers are hidden for now.
    parent : QObject
        The owner of the thread that reads.
    """

    def __init__(
        self, session: Session, row: ProbabilityRow, hides: Callable[[], bool], parent: QObject
    ) -> None:
        self._session, self._row, self._hides = session, row, hides
        self._background = Background("probability", parent)
        self._of: Analysis | None = None
        self._layer: Image | None = None
        session.on_close(self.close)
        link = session.connections.add
        link(row.toggled, self._on_row_toggled)
        link(row.class_chosen, self._on_row_class_chosen)
        link(session.current_changed, self._on_anything_changed)
        link(session.state.report_changed, self._on_anything_changed)
        link(session.state.progress_changed, self._on_state_progress_changed)
        link(session.viewer.layers.events.removed, self._on_viewer_layers_removed)

    @property
    def layer(self) -> Image | None:
        """The layer of the map, while it is shown."""
        return self._layer

    def close(self) -> None:
        """Stop reading."""
        self._background.close()

    def _read(self) -> None:
        analysis, value = self._session.current, self._row.value
        if analysis is None:
            return
        self._of = analysis
        self._background.do(
            lambda: read_probability(analysis.store_path, value),
            lambda found: self._show(analysis, value, found),
            self._refuse,
        )

    def _show(self, analysis: Analysis, value: int, found: _ProbabilityMap) -> None:
        if self._of is not analysis or not self._row.button.isChecked() or self._hides():
            return  # too late
        layers = self._session.viewer.layers
        name = f"{self._row.title_of(value)} — {analysis.slide_name}"
        if self._layer is not None and self._layer.data.shape == found.values.shape:
            self._layer.name = name
            self._layer.data = found.values
        else:
            if self._layer is not None:
                self._remove()
                draw_now(self._session.viewer)
            active = layers.selection.active
            self._layer = Image(
                found.values,
                name=name,
                colormap=COLORS,
                contrast_limits=(0.0, 1.0),
                blending="translucent",
                metadata={METADATA: {"role": ROLE}},
                **placement(found.geometry, analysis.place),
            )
            layers.insert(layers.index(analysis.layer), self._layer)
            layers.selection.active = active
        self._row.set_shown(True, found.stage)

    def _refuse(self, error: Exception) -> None:
        self._hide()
        show_error(str(error))

    def _remove(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._session.viewer.layers:
            self._session.viewer.layers.remove(layer)

    def _hide(self) -> None:
        self._of = None
        self._remove()
        self._row.set_shown(False)

    def _on_row_toggled(self, wanted: bool) -> None:
        if wanted:
            self._read()
        else:
            self._hide()

    def _on_row_class_chosen(self, _value: int) -> None:
        if self._of is not None:
            self._read()

    def _on_anything_changed(self, _value: Any = None) -> None:
        current = self._session.current
        available = current is not None and not self._hides()
        self._row.set_available(available)
        if self._of is not None and (not available or current is not self._of):
            self._hide()

    def _on_state_progress_changed(self, _progress: Any) -> None:
        if self._of is not None and not self._session.state.busy:
            self._read()

    def _on_viewer_layers_removed(self, event: Any) -> None:
        if self._layer is not None and event.value is self._layer:
            self._hide()


def read_probability(path: Path, value: int) -> _ProbabilityMap:
    """Read the probability of a class from a store; 0 where nothing was analyzed.

    Parameters
    ----------
    path : Path
        The store.
    value : int
        Label value, or `DOUBT` for 1 − the highest probability.

    Raises
    ------
    StoreError
        If the store cannot be read or holds no result yet.
    """
    from napari_fddm.pipeline.store import AnalysisStore

    with AnalysisStore.open(path) as store:
        found, stage = store.maps.probability_map("refined"), "refined"
        if not found.coverage.any():
            found, stage = store.maps.probability_map("cell"), "not refined"
    if not found.coverage.any():
        raise StoreError(f"{path} holds no probabilities yet.", hint="Run FDDM first.")
    return _ProbabilityMap(_values(found, value), found.geometry, stage)


def _values(found: ProbabilityMap, value: int) -> npt.NDArray[np.float32]:
    probs = found.probs
    chosen = 1.0 - probs.max(axis=0) if value == DOUBT else probs[value - 1]
    return np.where(found.coverage, chosen, 0).astype(np.float32)
