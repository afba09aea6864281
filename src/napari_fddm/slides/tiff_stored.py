"""Which tiles of a TIFF were stored, told from its directories, whoever reads the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.files import open_file
from napari_fddm.core.outside.text import visible
from napari_fddm.core.outside.tiff_files import open_tiff
from napari_fddm.slides.tiff_level import NotBrightfieldError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
"""First bytes of TIFF and BigTIFF, in both byte orders."""


class Tiles(Protocol):
    """A level that knows which of its tiles were stored."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""

    @property
    def tile_shape(self) -> tuple[int, int]:
        """Height and width of a tile, px."""

    @property
    def stored(self) -> npt.NDArray[np.bool_]:
        """Which tiles have bytes, shape (rows, columns)."""


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The tiles of one page of a TIFF; see `Tiles`."""

    shape: tuple[int, int]
    tile_shape: tuple[int, int]
    stored: npt.NDArray[np.bool_]


def sparse_note(stored: npt.NDArray[np.bool_]) -> str:
    """Return a sentence on tiles of the finest level that were never stored; "" if all were."""
    sparse = stored.size - int(np.count_nonzero(stored))
    if not sparse:
        return ""
    return (
        f"{sparse} of {stored.size} tiles of the finest level were never stored: the file is "
        "incomplete, or its scanner left out empty glass. They are shown white and are not "
        "analyzed."
    )


def refuse_empty(stored: npt.NDArray[np.bool_], name: str) -> None:
    """Refuse a finest level of which no tile was stored; no other reader should try.

    Raises
    ------
    NotBrightfieldError
        If none was.
    """
    if stored.any():
        return
    raise NotBrightfieldError(
        f"{visible(name)} is incomplete: none of its {stored.size} tiles was ever stored.",
        hint="Its writer was interrupted; export or copy it again.",
    )


def lacks(level: Tiles, finest: Tiles) -> bool:
    """Return whether a level has no tile somewhere where the finest one has some."""
    fine = finest.stored  # once: of a `TiffLevel` it is gathered from all of its tiles
    for row, col in np.argwhere(~level.stored):
        there = [
            slice(
                int(at * tile * finest.shape[axis] / level.shape[axis]) // fine_tile,
                -(-int((at + 1) * tile * finest.shape[axis] / level.shape[axis]) // fine_tile),
            )
            for axis, (at, tile, fine_tile) in enumerate(
                zip((row, col), level.tile_shape, finest.tile_shape, strict=True)
            )
        ]
        if fine[there[0], there[1]].any():
            return True
    return False


def incomplete_note(number: int, shape: tuple[int, int]) -> str:
    """Return a sentence on a coarser level that is not used because it `lacks` tiles."""
    return (
        f"level {number} ({shape[1]}×{shape[0]} px) is incomplete: tiles are missing that the "
        "finest level has. It is not used."
    )


def tiles_of_levels(
    path: Path, shapes: Sequence[tuple[int, int]]
) -> tuple[list[TileGrid | None], str]:
    """Return the tiles of each level of a TIFF that another library reads.

    Parameters
    ----------
    path : Path
        A file; one that is no TIFF has no tiles here.
    shapes : sequence of (int, int)
        Height and width of the levels, as that library gives them.

    Returns
    -------
    list of TileGrid or None
        One for each level: the tiled page of just this size, None where there is none (levels
        that are laid together of several pages, or have no tiles).
    str
        A warning if the directories cannot be read, or if tiles were not stored of which
        it is not known where they lie; else "".
    """
    nothing: list[TileGrid | None] = [None] * len(shapes)
    if not _is_tiff(path):
        return nothing, ""
    try:
        with open_tiff(path, error=SlideError, shown=path.name) as file:
            # The tiles of NDPI are no tiles of TIFF, and its directories are its own.
            pages = [] if file.is_ndpi else [p for p in file.pages if p.keyframe.is_tiled]
            grids = [grid for page in pages if (grid := _grid(page)) is not None]
    except SlideError as error:
        return nothing, f"whether all tiles were stored could not be checked: {error.message}"
    found = [next((g for g in grids if g.shape == shape), None) for shape in shapes]
    return found, _placeless_note(grids) if found[0] is None else ""


def _placeless_note(grids: Sequence[TileGrid]) -> str:
    total = sum(grid.stored.size for grid in grids)
    sparse = total - sum(int(np.count_nonzero(grid.stored)) for grid in grids)
    if not sparse:
        return ""
    return (
        f"{sparse} of {total} tiles of the file were never stored: it is incomplete, or its "
        "scanner left out empty glass. They are shown white."
    )


def _is_tiff(path: Path) -> bool:
    with open_file(path, "a slide", error=SlideError) as file:
        return file.read(4) in TIFF_MAGIC


def _grid(page: Any) -> TileGrid | None:
    """Return the tiles of a page; those that its tags list no place for were not stored."""
    head = page.keyframe
    shape = (int(head.imagelength), int(head.imagewidth))
    tile = (int(head.tilelength), int(head.tilewidth))
    if min(*shape, *tile) < 1:
        return None
    rows, cols = (-(-size // side) for size, side in zip(shape, tile, strict=True))
    stored = np.zeros(rows * cols, bool)
    listed = zip(page.dataoffsets, page.databytecounts, strict=False)
    has_bytes = np.array([offset != 0 and count != 0 for offset, count in listed], bool)
    stored[: has_bytes.size] = has_bytes[: stored.size]
    return TileGrid(shape, tile, stored.reshape(rows, cols))
