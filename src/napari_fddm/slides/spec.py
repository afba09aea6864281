"""The text that opens a slide: a path or URL, with ``?mpp=<µm>&series=<n>`` behind it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from napari_fddm.core.errors import MppError, SlideError
from napari_fddm.core.outside.text import visible
from napari_fddm.core.outside.urls import public_url
from napari_fddm.slides.ngff.remote import is_url, local_path

SYNTHETIC = "synthetic:"
"""Scheme of slides that are computed instead of read."""

_OURS = re.compile(r"[?&](?P<key>mpp|series)=(?P<value>[0-9.eE+-]+)$")


@dataclass(frozen=True, slots=True)
class SlideSpec:
    """What a text for `open_slide` says.

    Attributes
    ----------
    place : Path or str
        A path, or a URL with the query that its server needs.
    mpp : float, optional
        Micrometers per level-0 pixel, given by the user.
    series : int, optional
        Number of the image in the file; None: the file's own slide.
    """

    place: Path | str
    mpp: float | None = None
    series: int | None = None

    def __str__(self) -> str:
        """Return the text that `parse_spec` reads."""
        given = {"mpp": self.mpp, "series": self.series}
        said = [f"{key}={value!r}" for key, value in given.items() if value is not None]
        place = str(self.place)
        if not said:
            return place
        joint = "&" if is_url(place) and "?" in place else "?"
        return f"{place}{joint}{'&'.join(said)}"


def parse_spec(text: str | Path) -> SlideSpec:
    """Read the text that opens a slide.

    What stands at its end counts, so that a URL keeps the query of its server. A file that
    has such a name is the file.

    Raises
    ------
    MppError, SlideError
        If what stands there is no pixel size or no number of a series.
    """
    place, said = str(text), dict[str, str]()
    while (found := _OURS.search(place)) and not _is_file(place):
        said.setdefault(found["key"], found["value"])
        place = place[: found.start()]
    return SlideSpec(_place(place), _mpp(said.get("mpp")), _series(said.get("series")))


def local_place(text: str) -> Path | None:
    """Return the local file or folder that a text for `open_slide` names, or None.

    Synthetic slides and URLs have none.
    """
    if text.startswith(SYNTHETIC):
        return None
    place = parse_spec(text).place
    return place if isinstance(place, Path) else None


def shown_place(text: str) -> str:
    """Return a text for `open_slide` as it may be shown: a URL without what gives access."""
    return visible(public_url(text) if is_url(text) else text)


def _is_file(text: str) -> bool:
    return not is_url(text) and Path(text).exists()


def _place(text: str) -> Path | str:
    if is_url(text):
        return local_path(text) or text
    # Not Path.expanduser, which raises on "~scan.svs": there is no user of that name.
    return Path(os.path.expanduser(text))


def _mpp(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError as error:
        raise MppError(
            f"{visible(text or '')!r} is no pixel size.",
            hint="Write for instance slide.svs?mpp=0.25.",
        ) from error


def _series(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise SlideError(
            f"{visible(text)!r} is no number of a series.",
            hint="Write for instance slide.ome.zarr?series=1.",
        )
    return int(text)
