"""Text for labels of napari's own, which take what looks like HTML for HTML."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_fddm.core.errors import FddmError
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

ZERO_WIDTH = "\u200b"
"""Behind a "<" it ends what Qt takes for a tag, and is not seen."""
_MARKUP = re.compile(r"<(?=\s*[A-Za-z/!?])|&(?=lt;)")


def unmarked(text: str) -> str:
    """Return a text that Qt shows as it is written: layers' names, notifications.

    What would begin a tag gets a character of no width behind it.
    """
    return _MARKUP.sub(rf"\g<0>{ZERO_WIDTH}", visible(text))


@contextmanager
def shown_by_napari() -> Iterator[None]:
    """Make the text of an error that passes, and that napari will show, one for its labels."""
    try:
        yield
    except FddmError as error:
        error.message, error.hint = unmarked(str(error)), ""
        raise
