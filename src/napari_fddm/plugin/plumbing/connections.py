"""Connections that are undone when the widget closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Connections:
    """Remembers every connection it makes, whatever the kind of signal.

    Qt signals, psygnal signals and napari's event emitters all have ``connect``
    and ``disconnect``; a connection that is already gone is no error.
    """

    def __init__(self) -> None:
        self._made: list[tuple[Any, Callable[..., Any]]] = []

    def add(self, signal: Any, slot: Callable[..., Any]) -> None:
        """Connect a signal to a slot."""
        signal.connect(slot)
        self._made.append((signal, slot))

    def drop(self, signal: Any) -> None:
        """Undo the connections of one signal."""
        for made in [m for m in self._made if m[0] is signal]:
            self._made.remove(made)
            _disconnect(*made)

    def close(self) -> None:
        """Undo all of them, the last one first."""
        while self._made:
            _disconnect(*self._made.pop())


def _disconnect(signal: Any, slot: Callable[..., Any]) -> None:
    try:
        signal.disconnect(slot)
    except (RuntimeError, TypeError, ValueError, KeyError):
        return  # the sender was deleted, or took the connection with it
