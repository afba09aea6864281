"""Open a synthetic slide by a text, ``synthetic:<height>x<width>[?seed=<n>&mpp=<µm>]``."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.slides.synthetic.slide import SyntheticSlide

SCHEME = "synthetic:"
"""How such names begin."""

DEFAULT_MPP = 0.5
_LONGEST = 40
"""Characters of a size; more digits are no number of pixels."""

MOST_PX = 1 << 19
MOST_UM = 5e5
"""Longest side, in pixels and in µm: longer than any glass, and its layout fits into memory."""


class NamedSyntheticSlide(SyntheticSlide):
    """A synthetic slide that knows the text it can be opened with again."""

    def __init__(self, height: int, width: int, *, mpp: float, seed: int) -> None:
        super().__init__(height, width, mpp=mpp, seed=seed)
        self.uri = f"{SCHEME}{height}x{width}?seed={seed}&mpp={mpp!r}"


def open_synthetic(text: str, *, mpp: float | None = None) -> NamedSyntheticSlide:
    """Build the slide a text describes.

    Parameters
    ----------
    text : str
        ``synthetic:4096x4096?seed=3&mpp=0.5``, height first; seed 0 and mpp 0.5 if absent.
    mpp : float, optional
        Micrometers per pixel; overrides the text.

    Raises
    ------
    SlideError
        If the text cannot be understood or its values are out of range.
    """
    size, _, query = text.removeprefix(SCHEME).partition("?")
    found = re.fullmatch(r"(\d+)x(\d+)", size)
    options = dict(parse_qsl(query, keep_blank_values=True))
    try:
        if found is None or not options.keys() <= {"seed", "mpp"}:
            raise ValueError(text)
        value = float(options.get("mpp", DEFAULT_MPP)) if mpp is None else mpp
        seed = int(options.get("seed", "0"))
        if len(size) > _LONGEST or any(
            int(side) > MOST_PX or int(side) * value > MOST_UM for side in found.groups()
        ):
            raise SlideError(f"a side may have at most {MOST_PX} px and {MOST_UM / 1000:.0f} mm")
        return NamedSyntheticSlide(int(found[1]), int(found[2]), mpp=value, seed=seed)
    except (ValueError, FddmError) as error:
        reason = f": {error.message.rstrip('.')}" if isinstance(error, FddmError) else ""
        raise SlideError(
            f"{text!r} does not describe a synthetic slide{reason}.",
            hint="Write for instance synthetic:4096x4096?seed=3&mpp=0.5 (height x width).",
        ) from error
