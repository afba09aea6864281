"""The panel of spreading and learning: what there is, what came of it. Emits intent only."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_fddm.plugin.panels.section import GAP_PX


class AdaptPanel(QWidget):
    """Offers to learn from corrections and shows the verdict.

    Signals
    -------
    asked
        The user wants to see what there is to learn from.
    spread_clicked
        The user wants strokes to spread to where the tissue looks alike.
    learn_clicked : str, bool
        Name of the adapted model, and whether adapters of the backbone learn, too.
    dismissed
        The user does not want to learn now.
    cancelled
        The user wants to stop the learning that goes on.
    use_clicked, back_clicked
        Take the adapted model, or the one it was made from.
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
            "Let the model learn from what you painted on this slide. It is kept only if it does "
            "better on places that it has not learned from."
        )
        self.spread_button = QPushButton("Spread my corrections")
        self.spread_button.setToolTip(
            "Run once more over what the window shows, with what you painted held fast, so that "
            "it spreads to tissue that looks alike. Your strokes stay; Run FDDM takes the rest "
            "back."
        )
        self.counts_label = _label("counts")
        self.name_edit = QLineEdit()
        self.name_edit.setToolTip("What the adapted model is called.")
        self.lora_box = QCheckBox("fine-tune the backbone, too (minutes)")
        self.lora_box.setToolTip("LoRA adapters learn from the pixels of painted tiles.")
        self.learn_button = QPushButton("Learn")
        self.dismiss_button = QPushButton("Not now")
        self.progress_label = _label("learning")
        self.cancel_button = QPushButton("Cancel")
        self.verdict_label = _label("verdict")
        self.use_button = QPushButton("Use the adapted model")
        self.back_button = QPushButton("Back to the model as it was")
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
        self.set_possible(analysis=False, busy=False)

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
                    (QLabel("Name"), self.name_edit),
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

    def set_possible(self, *, analysis: bool, busy: bool, locked: bool = False) -> None:
        """Whether there is an analysis, the engine is at work, and nothing may change."""
        self._free = analysis and not busy and not locked
        self.ask_button.setEnabled(self._free)
        self.spread_button.setEnabled(self._free)
        self.learn_button.setEnabled(self._free and self._enough)
        self.use_button.setEnabled(not busy and not locked)
        self.back_button.setEnabled(not busy and not locked)

    def set_question(self, text: str | None, name: str = "", *, enough: bool = False) -> None:
        """Show what there is to learn from and ask; None asks nothing."""
        self._enough = enough
        self._question.setVisible(text is not None)
        self.counts_label.setText(text or "")
        self.name_edit.setText(name)
        self.learn_button.setEnabled(self._free and enough)
        for widget in (self.name_edit, self.lora_box):
            widget.setEnabled(enough)

    def set_progress(self, text: str | None) -> None:
        """Show how far the learning is; None: it is over."""
        self._progress.setVisible(text is not None)
        self.progress_label.setText(text or "")

    def set_verdict(self, text: str, *, adapted: bool | None = None) -> None:
        """Show what came of it.

        Parameters
        ----------
        text : str
            In words; empty for nothing.
        adapted : bool or None
            Whether the adapted model is the one in use; None if there is none.
        """
        self._answer.setVisible(bool(text))
        self.verdict_label.setText(text)
        self.use_button.setVisible(adapted is False)
        self.back_button.setVisible(adapted is True)

    def _on_learn_button_clicked(self) -> None:
        self.learn_clicked.emit(self.name_edit.text().strip(), self.lora_box.isChecked())


def _label(name: str) -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setObjectName(name)
    return label
