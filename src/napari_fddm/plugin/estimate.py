"""My estimate first: the computed rate stays hidden until the reader has given their own.

Who sees a number first leans towards it. With this on, rate, areas and shares of an
analysis are shown only after the reader's own estimate is in the event log; both stay.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari_fddm.pipeline.estimates import write_estimate

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_fddm.plugin.analysis import Analysis
    from napari_fddm.plugin.connections import Connections
    from napari_fddm.plugin.necrosis_panel import NecrosisPanel
    from napari_fddm.plugin.state import PluginState


class EstimateFirst:
    """Asks for the reader's estimate and says whether the computed rate may be shown.

    Parameters
    ----------
    state : PluginState
        Holds whether estimates are wanted.
    panel : NecrosisPanel
        Asks.
    connections : Connections
        Undoes what is connected here.
    current : callable
        Returns the analysis in front, or None.
    update : callable
        Shows the reports again, or hides them.
    """

    def __init__(
        self,
        state: PluginState,
        panel: NecrosisPanel,
        connections: Connections,
        *,
        current: Callable[[], Analysis | None],
        update: Callable[[], None],
    ) -> None:
        self._state, self._panel = state, panel
        self._current, self._update = current, update
        connections.add(panel.estimate_first_toggled, self._on_panel_toggled)
        connections.add(panel.estimate_entered, self._on_panel_entered)
        connections.add(state.report_changed, self._on_state_report_changed)

    @property
    def hides(self) -> bool:
        """Whether the computed rate must not be seen yet."""
        analysis = self._current()
        return analysis is not None and self._state.hides_rate_of(analysis.estimate)

    def _on_panel_toggled(self, wanted: bool) -> None:
        self._state.estimate_first = wanted
        self._update()

    def _on_panel_entered(self, rate: float) -> None:
        analysis = self._current()
        if analysis is None or analysis.estimate is not None:
            return
        analysis.estimate = rate
        seen, definition = analysis.rate_seen, self._state.definition
        job = partial(write_estimate, rate=rate, definition=definition, rate_seen=seen)
        analysis.keeper.do(job)
        self._update()

    def _on_state_report_changed(self, _reports: Any) -> None:
        analysis = self._current()
        known = analysis.estimate if analysis is not None else None
        self._panel.set_estimate(known, asking=self.hides)
