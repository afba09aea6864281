"""The folded settings of a run; their form is made when somebody looks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QLabel
from superqt import QCollapsible

from napari_fddm.core.config import AnalysisConfig
from napari_fddm.plugin.panels import settings_form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from magicgui.widgets import Container
    from qtpy.QtWidgets import QWidget


class AdvancedSettings(QCollapsible):
    """Holds the settings that are rarely changed.

    Most windows never unfold it, and its form takes a tenth of the time in which a window
    may open, so the form comes with the first unfolding.

    Signals
    -------
    label_mpp_changed : float
        The label grid has another cell, µm.
    """

    label_mpp_changed = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        for set_icon in (self.setCollapsedIcon, self.setExpandedIcon):
            set_icon(QIcon())  # theirs is black, also on a dark window
        self.toggled.connect(self._on_toggled)
        self._on_toggled(unfolded=False)
        self.layout().setContentsMargins(0, 0, 0, 0)
        config = AnalysisConfig().model_dump(mode="json")
        self._values = {name: config[name] for name in settings_form.NAMES}
        self._devices: Sequence[str] = ("cpu",)
        self.size_label = QLabel()
        self.size_label.setWordWrap(True)

    @cached_property
    def form(self) -> Container[Any]:
        """The settings as widgets, by the names of `AnalysisConfig`."""
        form = settings_form.advanced_settings(self._devices)
        settings_form.set_values(form, self._values)
        form["label_mpp"].changed.connect(self._on_form_label_mpp_changed)
        self.addWidget(form.native)
        self.addWidget(self.size_label)
        return form

    def _on_toggled(self, unfolded: bool) -> None:
        self.setText(f"{'▾' if unfolded else '▸'} Advanced")

    @property
    def values(self) -> dict[str, Any]:
        """The settings, as fields of `AnalysisConfig`."""
        return self.form.asdict() if self._has_form else dict(self._values)

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show other settings; names that are none of them are left out."""
        if self._has_form:
            settings_form.set_values(self.form, values)
            return
        before = self._values["label_mpp"]
        self._values |= {name: values[name] for name in self._values if name in values}
        if self._values["label_mpp"] != before:
            self.label_mpp_changed.emit(self._values["label_mpp"])

    def set_devices(self, present: Sequence[str]) -> None:
        """Offer the devices that this computer has."""
        self._devices = present
        chosen = self.values["device"]
        if self._has_form:
            self.form["device"].choices = settings_form.device_choices(present)
        self.set_values({"device": chosen if chosen in ("auto", *present) else "auto"})

    def expand(self, animate: bool = True) -> None:
        """Unfold it."""
        _ = self.form  # made before its height is asked for
        super().expand(animate)

    def _on_form_label_mpp_changed(self, value: float) -> None:
        self.label_mpp_changed.emit(value)

    @property
    def _has_form(self) -> bool:
        return "form" in self.__dict__
