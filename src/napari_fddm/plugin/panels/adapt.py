"""The adapt panel: spread corrections, or train the model on them, and see the result. Qt only."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_fddm.plugin.panels.section import GAP_PX
from napari_fddm.plugin.panels.widgets import wrapped_label
from napari_fddm.plugin.plumbing.plain_text import PlainLabel


class AdaptPanel(QWidget):
    """Offers to spread corrections or to learn from them, and shows the result.

    Signals
    -------
    asked
        The user wants to see how many strokes there are to learn from.
    spread_clicked
        The user wants the corrections to spread to similar tissue nearby.
    learn_clicked : str, bool
        Name of the adapted model, and whether the backbone is fine-tuned as well.
    dismissed
        The user does not want to learn now.
    cancelled
        The user wants to stop the training.
    use_clicked, back_clicked
        The user wants the adapted model, or the model it was made from.
    """

    asked = Signal()
    spread_clicked = Signal()
    learn_clicked = Signal(str, bool)
    dismissed = Signal()
    cancelled = Signal()
    use_clicked = Signal()
    back_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._free = self._enough = False
        self.ask_button = QPushButton("Learn from my corrections…")
        self.ask_button.setToolTip(
            "Train the model on the cells that you painted on this slide. The result is used only "
            "if it is better at painted places that were kept out of the training."
        )
        self.spread_button = QPushButton("Spread my corrections")
        self.spread_button.setToolTip(
            "Refine what the window shows again with your corrections fixed, so that they spread "
            "to similar tissue nearby. Your strokes do not change; Run FDDM undoes the spreading."
        )
        self.counts_label = wrapped_label(name="counts")
        self.name_edit = QLineEdit()
        self.name_edit.setToolTip("Name of the adapted model.")
        self.lora_box = QCheckBox("also fine-tune the backbone (takes minutes)")
        self.lora_box.setToolTip("Train LoRA adapters of the backbone on the painted tiles.")
        self.learn_button = QPushButton("Learn")
        self.dismiss_button = QPushButton("Not now")
        self.progress_label = wrapped_label(name="learning")
        self.cancel_button = QPushButton("Cancel")
        self.verdict_label = wrapped_label(name="verdict")
        self.use_button = QPushButton("Use the adapted model")
        self.back_button = QPushButton("Back to the original model")
        self._question, self._progress, self._answer = self._lay_out()
        self.ask_button.clicked.connect(self.asked)
        self.spread_button.clicked.connect(self.spread_clicked)
        self.learn_button.clicked.connect(self._on_learn_button_clicked)
        self.dismiss_button.clicked.connect(self.dismissed)
        self.cancel_button.clicked.connect(self.cancelled)
        self.use_button.clicked.connect(self.use_clicked)
        self.back_button.clicked.connect(self.back_clicked)
        self.set_question(None)
        self.set_progress(None)
        self.set_verdict("")
        self.set_enabled_for(analysis=False, busy=False)

    def _lay_out(self) -> tuple[QWidget, QWidget, QWidget]:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP_PX)
        layout.addWidget(self.spread_button)
        layout.addWidget(self.ask_button)
        question, progress, answer = QWidget(), QWidget(), QWidget()
        for box, rows in (
            (
                question,
                (
                    (self.counts_label,),
                    (PlainLabel("Name"), self.name_edit),
                    (self.lora_box,),
                    (self.learn_button, self.dismiss_button),
                ),
            ),
            (progress, ((self.progress_label,), (self.cancel_button,))),
            (answer, ((self.verdict_label,), (self.use_button, self.back_button))),
        ):
            inner = QVBoxLayout(box)
            inner.setContentsMargins(0, 0, 0, 0)
            inner.setSpacing(GAP_PX)
            for widgets in rows:
                row = QHBoxLayout()
                for widget in widgets:
                    row.addWidget(widget)
                inner.addLayout(row)
            layout.addWidget(box)
        return question, progress, answer

    def set_enabled_for(self, *, analysis: bool, busy: bool, locked: bool = False) -> None:
        """Enable the buttons if there is an analysis, no run is going on, and it is not locked."""
        self._free = analysis and not busy and not locked
        self.ask_button.setEnabled(self._free)
        self.spread_button.setEnabled(self._free)
        self.learn_button.setEnabled(self._free and self._enough)
        self.use_button.setEnabled(not busy and not locked)
        self.back_button.setEnabled(not busy and not locked)

    def set_question(self, text: str | None, name: str = "", *, enough: bool = False) -> None:
        """Show what there is to learn from, with a proposed name; None hides the question."""
        self._enough = enough
        self._question.setVisible(text is not None)
        self.counts_label.setText(text or "")
        self.name_edit.setText(name)
        self.learn_button.setEnabled(self._free and enough)
        for widget in (self.name_edit, self.lora_box):
            widget.setEnabled(enough)

    def set_progress(self, text: str | None) -> None:
        """Show the progress of the training; None hides it."""
        self._progress.setVisible(text is not None)
        self.progress_label.setText(text or "")

    def set_verdict(self, text: str, *, adapted: bool | None = None) -> None:
        """Show the result of the training.

        Parameters
        ----------
        text : str
            What was found; empty hides the result.
        adapted : bool or None
            Whether the adapted model is in use; None if there is no adapted model.
        """
        self._answer.setVisible(bool(text))
        self.verdict_label.setText(text)
        self.use_button.setVisible(adapted is False)
        self.back_button.setVisible(adapted is True)

    def _on_learn_button_clicked(self) -> None:
        self.learn_clicked.emit(self.name_edit.text().strip(), self.lora_box.isChecked())
