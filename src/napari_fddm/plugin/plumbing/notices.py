"""napari's notifications, which show a text as it is written (see `napari_text`)."""

from __future__ import annotations

from napari.utils import notifications

from napari_fddm.plugin.plumbing.napari_text import unmarked


def show_info(text: str) -> None:
    """Notify of something that the user may want to know."""
    notifications.show_info(unmarked(text))


def show_warning(text: str) -> None:
    """Notify of something that the user should look at."""
    notifications.show_warning(unmarked(text))


def show_error(text: str) -> None:
    """Notify of something that did not work."""
    notifications.show_error(unmarked(text))
