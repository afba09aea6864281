"""Asks what to do when the settings of a run differ from those of the stored analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fddm.pipeline.run.model_cards import find_stored
from napari_fddm.pipeline.tissue.kept_mask import earlier_mask
from napari_fddm.plugin.dialogs.other_settings import OtherSettingsDialog
from napari_fddm.plugin.panels.settings_form import TITLES

if TYPE_CHECKING:
    from napari_fddm.core.errors import SettingsDifferError
    from napari_fddm.plugin.controllers.run import RunController
    from napari_fddm.plugin.controllers.tissue import TissueController
    from napari_fddm.plugin.document import Session
    from napari_fddm.plugin.panels import Panels

CARRY = "Start over with the new settings and keep my corrections"
SET_ASIDE = "Start over with the new settings without my corrections"
START_OVER = "Start over with the new settings"


class OtherSettingsController:
    """Shows the dialog, then runs again as the user chose.

    Parameters
    ----------
    session : Session
        Its state holds the model of the next run.
    panels : Panels
        The run panel shows the earlier settings if they are used again.
    run : RunController
        Refuses the first run, and starts the next one.
    tissue : TissueController
        Uses the earlier tissue mask again.
    """

    def __init__(
        self, session: Session, panels: Panels, run: RunController, tissue: TissueController
    ) -> None:
        self._session, self._panels, self._run = session, panels, run
        self._tissue = tissue
        self.dialog: OtherSettingsDialog | None = None
        session.on_close(self.close)
        session.connections.add(run.refused, self._on_run_refused)

    def close(self) -> None:
        """Close the dialog if it is open."""
        if self.dialog is not None:
            self.dialog.reject()

    def _on_run_refused(self, error: SettingsDifferError) -> None:
        carries = error.corrected and error.corrections_fit
        start_over = (CARRY if carries else SET_ASIDE) if error.corrected else START_OVER
        model = find_stored(error.stored.get("model", {}))
        tissue = earlier_mask(error.stored)
        dialog = OtherSettingsDialog(
            "\n".join(f"• {change.in_words(_title)}" for change in error.changes),
            start_over,
            _consequence(error),
            _why_not_go_on(error, model, tissue),
            self._panels.run,
        )
        dialog.revise_clicked.connect(lambda: self._start_over(error))
        dialog.go_on_clicked.connect(lambda: self._go_on(error, model, tissue))
        dialog.destroyed.connect(self._forget)
        self.dialog = dialog
        dialog.open()

    def _start_over(self, error: SettingsDifferError) -> None:
        fits = not error.corrected or error.corrections_fit
        self._run.run_again("revise" if fits else "fresh")

    def _go_on(self, error: SettingsDifferError, model: str | None, tissue: str | None) -> None:
        if model is not None:
            self._session.state.model_name = model
        self._panels.run.set_config(error.stored.get("config", {}))
        if tissue is not None and _changed(error, "tissue"):
            self._tissue.take_up(tissue)
        self._run.run_again("resume")

    def _forget(self) -> None:
        self.dialog = None


def _title(setting: str) -> str:
    return f"{TITLES.get(setting, setting)}:"


def _consequence(error: SettingsDifferError) -> str:
    if not error.corrected:
        return "It has no corrections. Starting over replaces it."
    kept = "Starting over keeps this analysis and its corrections under a name with the date."
    if error.corrections_fit:
        return kept
    return f"{kept} The corrections do not fit the new label grid, so they are not carried over."


def _changed(error: SettingsDifferError, *settings: str) -> bool:
    return any(change.what in settings for change in error.changes)


def _why_not_go_on(error: SettingsDifferError, model: str | None, tissue: str | None) -> str:
    if _changed(error, "slide", "mpp"):
        return "It was made from another slide or pixel size."
    if model is None:
        return "The model it was made with is not in the list: choose its folder."
    if tissue is None and _changed(error, "tissue"):
        return "The tissue mask it was made with is gone."
    return ""
