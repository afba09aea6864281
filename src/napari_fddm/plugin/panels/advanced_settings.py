"""The collapsible box of advanced run settings; its form is built when first expanded."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QIcon
from superqt import QCollapsible

from napari_fddm.core.config import AnalysisConfig
from napari_fddm.plugin.panels import settings_form
from napari_fddm.plugin.panels.widgets import wrapped_label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from magicgui.widgets import Container
    from qtpy.QtWidgets import QWidget


class AdvancedSettings(QCollapsible):
    """Holds the settings that are rarely changed.

    The form takes a tenth of the time in which a window must open, and most users never
    expand it, so it is built when the box is first expanded.

    Signals
    -------
    label_mpp_changed : float
        The cell size of the label grid, µm, was changed.
    """

    label_mpp_changed = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        for set_icon in (self.setCollapsedIcon, self.setExpandedIcon):
            set_icon(QIcon())  # superqt's icon is black, also on dark themes
        self.toggled.connect(self._on_toggled)
        self._on_toggled(expanded=False)
        self.layout().setContentsMargins(0, 0, 0, 0)
        config = AnalysisConfig().model_dump(mode="json")
        self._values = {name: config[name] for name in settings_form.NAMES}
        self._devices: Sequence[str] = ("cpu",)
        self.size_label = wrapped_label()

    @cached_property
    def form(self) -> Container[Any]:
        """The form; its widgets have the names of `AnalysisConfig`."""
        form = settings_form.advanced_settings(self._devices)
        settings_form.set_values(form, self._values)
        form["label_mpp"].changed.connect(self._on_form_label_mpp_changed)
        self.addWidget(form.native)
        self.addWidget(self.size_label)
        return form

    def _on_toggled(self, expanded: bool) -> None:
        self.setText(f"{'▾' if expanded else '▸'} Advanced")

    @property
    def values(self) -> dict[str, Any]:
        """The settings as fields of `AnalysisConfig`."""
        return self.form.asdict() if self._has_form else dict(self._values)

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show other settings; names that the form does not have are ignored."""
        if self._has_form:
            settings_form.set_values(self.form, values)
            return
        before = self._values["label_mpp"]
        self._values |= {name: values[name] for name in self._values if name in values}
        if self._values["label_mpp"] != before:
            self.label_mpp_changed.emit(self._values["label_mpp"])

    def set_devices(self, present: Sequence[str]) -> None:
        """Offer the devices of this computer."""
        self._devices = present
        chosen = self.values["device"]
        if self._has_form:
            self.form["device"].choices = settings_form.device_choices(present)
        self.set_values({"device": chosen if chosen in ("auto", *present) else "auto"})

    def expand(self, animate: bool = True) -> None:
        """Expand the box."""
        _ = self.form  # built before Qt asks for its height
        super().expand(animate)

    def _on_form_label_mpp_changed(self, value: float) -> None:
        self.label_mpp_changed.emit(value)

    @property
    def _has_form(self) -> bool:
        return "form" in self.__dict__
