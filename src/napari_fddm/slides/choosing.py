"""`choose_image`: the one rule for which of several images in a file is the slide."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.text import visible, visible_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_LISTED = 6
_NO_SLIDE = re.compile(r"\b(label|barcode|macro|overview|thumbnail|preview|map)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SlideImage:
    """One image (series, scene) of a file.

    Attributes
    ----------
    series : int
        Its number in the file, from 0, as readers of its format count.
    shape : tuple of int
        Height and width of its finest level, px; zeros if it has no pixels.
    name : str
        What the file calls it; may be empty.
    refusal : str
        Why it cannot be analyzed, as the end of a sentence ("has 4 channels"); empty if
        it can.
    """

    series: int
    shape: tuple[int, int]
    name: str = ""
    refusal: str = ""

    @property
    def is_slide(self) -> bool:
        """Whether it can be analyzed, and is not named as a label, a macro or a thumbnail."""
        return not self.refusal and min(self.shape) > 0 and not is_no_slide(self.name)

    def __str__(self) -> str:
        """Return its number, name and size for a sentence."""
        named = f" {visible_line(self.name)!r}" if self.name.strip() else ""
        return f"series {self.series}{named} ({self.shape[1]} × {self.shape[0]} px)"


def is_no_slide(name: str) -> bool:
    """Whether an image has the name of a label, an overview of the glass or a thumbnail."""
    return bool(_NO_SLIDE.search(name.replace("_", " ")))


def choose_image(
    images: Sequence[SlideImage], place: str, wanted: int | None = None
) -> tuple[SlideImage, str]:
    """Choose the image of a file that is the slide.

    Without a wish it is the largest that is brightfield and no label, macro or thumbnail;
    of equal ones the first. Only size, names and content count, never the place in the file.

    Parameters
    ----------
    images : sequence of SlideImage
        All of the file, small ones and those that cannot be analyzed, too.
    place : str
        The file's name, for messages.
    wanted : int, optional
        Number of the series that the user asks for.

    Returns
    -------
    image : SlideImage
        The one to open.
    note : str
        A sentence that says which was opened and what is not analyzed; empty if there is
        only one.

    Raises
    ------
    SlideError
        If there is no such series, or none that can be analyzed.
    """
    if wanted is not None:
        chosen = _wanted(images, place, wanted)
    else:
        largest = _largest(images)
        if largest is None:
            raise SlideError(
                f"{visible(place)} holds no brightfield image of a slide: {_list(images)}.",
                hint="Open the slide itself; --series takes one of these all the same.",
            )
        chosen = largest
    others = [image for image in images if image is not chosen]
    if not others:
        return chosen, ""
    why = "as asked for" if wanted is not None else "the largest that is a slide"
    return chosen, (
        f"{chosen} of {len(images)} images was opened, {why}; "
        f"not analyzed: {_list(others)} (choose another with --series)."
    )


def other_series(images: Sequence[SlideImage], series: int) -> int | None:
    """Return the number of the open image if `choose_image` by itself takes another; else None."""
    own = _largest(images)
    return None if not images or (own is not None and own.series == series) else series


def _largest(images: Sequence[SlideImage]) -> SlideImage | None:
    return max(
        (image for image in images if image.is_slide),
        key=lambda image: (image.shape[0] * image.shape[1], -image.series),
        default=None,
    )


def _wanted(images: Sequence[SlideImage], place: str, wanted: int) -> SlideImage:
    found = next((image for image in images if image.series == wanted), None)
    if found is None:
        raise SlideError(
            f"{visible(place)} has no series {wanted}.", hint=f"It holds {_list(images)}."
        )
    if found.refusal or min(found.shape) < 1:
        reason = found.refusal or "has no pixels"
        raise SlideError(f"{found} of {visible(place)} {reason}.", hint="Choose another series.")
    return found


def _list(images: Sequence[SlideImage]) -> str:
    shown = [
        f"{image}, which {image.refusal}" if image.refusal else str(image)
        for image in images[:_LISTED]
    ]
    more = len(images) - _LISTED
    return "; ".join([*shown, f"{more} more"] if more > 0 else shown) or "nothing"
