"""What the names of QuPath's classes say about outlines that are no class of tissue."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_fddm.interop.geojson import Outline

_IGNORED = "*"
"""At the end of a name it marks a class that QuPath leaves out, such as ``Ignore*``."""
_REGION = "Region*"
"""QuPath's class for an outline around others: it is no tissue, and hides nothing."""


def hides(name: str) -> bool:
    """Whether outlines of this class remove what lies under them."""
    return name.strip().endswith(_IGNORED) and not is_region(name)


def is_region(name: str) -> bool:
    """Whether outlines of this class only surround others."""
    return name.strip() == _REGION


def counted_notes(outlines: Iterable[Outline], file_name: str) -> list[str]:
    """Return a note on each class of outlines that is left out, with their number."""
    counts = Counter(o.name for o in outlines if hides(o.name) or is_region(o.name))
    return [
        f"{n} outline{'' if n == 1 else 's'} {name!r} of {file_name} left out"
        f"{', with all under it' if hides(name) else ''}"
        for name, n in counts.items()
    ]
