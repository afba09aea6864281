"""What is left out of a file of outlines: by QuPath's marks, without a class, without an area."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from napari_fddm.core.class_names import IGNORED, REGION
from napari_fddm.core.outside.text import quoted, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_fddm.interop.geojson import Outline, OutlineFile


def hides(name: str) -> bool:
    """Whether outlines of this class remove what lies under them."""
    return name.strip().endswith(IGNORED) and not is_region(name)


def is_region(name: str) -> bool:
    """Whether outlines of this class only surround others."""
    return name.strip() == REGION


def marked_notes(hiding: Iterable[Outline], regions: Iterable[Outline]) -> list[str]:
    """Return a note on each class of outlines that is left out, with their number."""
    under = Counter(o.name for o in hiding)
    around = Counter(o.name for o in regions)
    notes = [f"{_outlines(n)} {quoted(name)} left out, with all under" for name, n in under.items()]
    notes = [f"{note} {'it' if note.startswith('1 ') else 'them'}" for note in notes]
    return notes + [f"{_outlines(n)} {quoted(name)} left out" for name, n in around.items()]


def without_area_notes(file: OutlineFile) -> list[str]:
    """Return a note on each kind of geometry without an area, with their number."""
    return [
        f"{n} feature{'' if n == 1 else 's'} without an area ({visible(kind)}) left out"
        for kind, n in file.without_area.items()
    ]


def _outlines(count: int) -> str:
    return f"{count} outline{'' if count == 1 else 's'}"
