"""Timers that delay work, so that many changes in a row cause it only once."""

from __future__ import annotations

from qtpy.QtCore import QObject, QTimer


def single_shot(owner: QObject, milliseconds: int = 0) -> QTimer:
    """Return a timer that fires once after each start.

    Parameters
    ----------
    owner : QObject
        Deletes the timer with itself.
    milliseconds : int
        Delay of a start that does not name another one.
    """
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    return timer
