"""Connections of signals to slots that are all undone together when the window closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Connections:
    """Makes connections and undoes them on `close`.

    Works with Qt signals, psygnal signals and napari's event emitters, which all have
    ``connect`` and ``disconnect``. A connection that is already gone is no error.
    """

    def __init__(self) -> None:
        self._made: list[tuple[Any, Callable[..., Any]]] = []

    def add(self, signal: Any, slot: Callable[..., Any]) -> None:
        """Connect a signal to a slot."""
        signal.connect(slot)
        self._made.append((signal, slot))

    def close(self) -> None:
        """Undo all of them, the last one first."""
        while self._made:
            _disconnect(*self._made.pop())


def _disconnect(signal: Any, slot: Callable[..., Any]) -> None:
    try:
        signal.disconnect(slot)
    except (RuntimeError, TypeError, ValueError, KeyError):
        return  # the sender was deleted, or took the connection with it
