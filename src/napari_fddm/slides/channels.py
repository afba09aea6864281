"""`rgb_order`: the one rule for which channel is red, by what a file says of its channels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fddm.core.outside.text import visible_line
from napari_fddm.slides.tiff_level import NotBrightfieldError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PRIMARIES = {"r": 0, "red": 0, "g": 1, "green": 1, "b": 2, "blue": 2}
_ALPHA = 3
_ALPHA_NAMES = frozenset({"a", "alpha", "opacity"})
_BESIDE_A_COLOR = frozenset({"channel", "ch", "c", "brightfield", "bf", "rgb", "rgba", "color"})
"""Words that stand beside a color in a channel's name and say no other thing."""
_NUMBERED = re.compile(r"(?:(?:channel|ch|c|image)?[\s_:#-]*[\d\s_:.-]*)", re.IGNORECASE)
"""Names that programs give by themselves: "Channel 0", "Channel:0:1", "C2", "1"."""


@dataclass(frozen=True, slots=True)
class Channel:
    """What a file says of one channel.

    Attributes
    ----------
    name : str
        Empty if it says none.
    color : tuple of int, optional
        Red, green and blue in which the channel is shown, 0 to 255.
    """

    name: str
    color: tuple[int, int, int] | None = None

    def __str__(self) -> str:
        """Return its name and color for a sentence."""
        name = repr(visible_line(self.name)) if self.name.strip() else "without a name"
        return name if self.color is None else f"{name} (#{bytes(self.color).hex().upper()})"


def rgb_order(channels: Sequence[Channel], place: str = "the image") -> tuple[int, int, int] | None:
    """Return which of three or four channels are red, green and blue.

    Names count first: "Red", "g", "Channel blue". Where programs numbered the channels or
    gave no names, the colors count, if they are the three primaries. Of four channels the
    fourth must be named alpha.

    Parameters
    ----------
    channels : sequence of Channel
        In the order of the file; three or four.
    place : str
        The file's name, for messages.

    Returns
    -------
    tuple of int, or None
        Positions of red, green and blue; None where nothing is said of three channels.

    Raises
    ------
    NotBrightfieldError
        If they are other channels, one is there twice, or names and colors disagree;
        the message names them.
    """
    if len(channels) not in (3, 4):
        raise _refusal(channels, place, f"there are {len(channels)}")
    said = [_by_name(channel) for channel in channels]
    if all(meaning is None for meaning in said):
        shown = [_by_color(channel) for channel in channels]
        nothing = len(channels) == 3 and all(meaning is None for meaning in shown)
        return None if nothing else _order(shown, channels, place)
    order = _order(said, channels, place)
    for meaning, position in enumerate(order):
        shown_as = _by_color(channels[position])
        if shown_as not in (None, meaning):
            raise _refusal(channels, place, "their names and colors contradict each other")
    return order


def is_numbered(name: str) -> bool:
    """Whether a channel has no name, or one that programs give by themselves."""
    return bool(_NUMBERED.fullmatch(name.strip()))


def _order(
    meanings: Sequence[int | None], channels: Sequence[Channel], place: str
) -> tuple[int, int, int]:
    wanted = set(range(len(channels)))
    if {m for m in meanings if m is not None} == wanted:
        return meanings.index(0), meanings.index(1), meanings.index(2)
    what = "red, green and blue" if len(channels) == 3 else "red, green, blue and alpha"
    raise _refusal(channels, place, f"they are not {what}")


def _by_name(channel: Channel) -> int | None:
    """Return what a name says: 0 to 2 for a color, 3 for alpha, -1 for a stain; None: nothing."""
    if is_numbered(channel.name):
        return None
    words = set(re.split(r"[\W_]+", channel.name.lower())) - _BESIDE_A_COLOR - {""}
    word = words.pop() if len(words) == 1 else ""
    return _ALPHA if word in _ALPHA_NAMES else _PRIMARIES.get(word, -1)


def _by_color(channel: Channel) -> int | None:
    """Return the primary color of a channel, -1 for another color; white and gray say nothing."""
    if channel.color is None or len(set(channel.color)) == 1:
        return None
    strongest = max(channel.color)
    weak = sum(value * 4 <= strongest for value in channel.color)
    return channel.color.index(strongest) if weak == 2 else -1


def _refusal(channels: Sequence[Channel], place: str, reason: str) -> NotBrightfieldError:
    listed = ", ".join(str(channel) for channel in channels)
    return NotBrightfieldError(
        f"{visible_line(place)} is no brightfield slide by its channels {listed}: {reason}.",
        hint="Export it as RGB, or name its channels Red, Green and Blue if they are.",
    )
