"""Slides through OpenSlide: MRXS, NDPI, SCN, BIF, DICOM and its other formats.

OpenSlide's coordinates are (x, y) in level-0 pixels of its own canvas; this file converts
them to (y, x) in level pixels. The canvas may be larger than the scan (MRXS, SCN):
its bounds become the slide, so (0, 0) is the scan's corner.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.files import require_regular
from napari_fddm.core.outside.guard import reading, reason
from napari_fddm.core.outside.text import visible
from napari_fddm.slides.base import COPY_AGAIN, DASK_CHUNK, PyramidSlide, SlideInfo
from napari_fddm.slides.bins import cells_on_stored
from napari_fddm.slides.choosing import SlideImage, choose_image
from napari_fddm.slides.closing import closed_error
from napari_fddm.slides.dicom.colors import levels_in_ycbcr, rgb_of_ycbcr
from napari_fddm.slides.dicom.instances import instances_in, is_dicom
from napari_fddm.slides.identity import fingerprint_file
from napari_fddm.slides.isolated.handle import IsolatedError, IsolatedOpenSlide
from napari_fddm.slides.mpp import MppClaim, claim_from_objective, claim_from_text, resolve_mpp
from napari_fddm.slides.tiff_level import onto_white
from napari_fddm.slides.tiff_stored import (
    incomplete_note,
    lacks,
    refuse_empty,
    sparse_note,
    tiles_of_levels,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_fddm.core.protocols import RgbImage
    from napari_fddm.slides.tiff_stored import TileGrid

_GENERIC = "generic-tiff"
_MANY_FILES = frozenset({"dicom", "mirax", "hamamatsu-vms"})
_SCANNERS = frozenset({"aperio", "hamamatsu", "leica", "mirax", "ventana"})
_IN_WORDS = {
    "Couldn't get image flavor": "it does not say that it is a level of a slide (ImageType)",
    "Unsupported or missing image file": "it is of no slide format that OpenSlide knows",
}
"""Messages of OpenSlide in plain words."""
_MOST_REGIONS = 256

MAX_TILE = 2048
"""Larger tiles than this, px, do not set the size of viewing chunks."""


class OpenSlideSlide(PyramidSlide):
    """A slide read by OpenSlide.

    Where a level's downsample is no whole number, OpenSlide shifts a window by up to
    half a level-0 pixel, because it takes whole level-0 positions only.

    Parameters
    ----------
    path : Path
        File to open; for a DICOM series any of its files.
    mpp : float, optional
        Micrometers per level-0 pixel; overrides the file.
    folder : Path, optional
        The folder that stands for the whole series in names and when opening again.
    images : tuple of SlideImage
        The slides of the folder, if there are several.
    series : int, optional
        Which of them the file belongs to. Without `images`, the number of a part of the
        file: 0 is all that was scanned, 1 and more its regions where there are several.

    Raises
    ------
    SlideError
        If OpenSlide cannot open the file, it has no such part, or a DICOM file holds other
        colors than it says.
    MppError
        If `mpp` is not believable.
    """

    def __init__(
        self,
        path: Path,
        *,
        mpp: float | None = None,
        folder: Path | None = None,
        images: tuple[SlideImage, ...] = (),
        series: int | None = None,
    ) -> None:
        path = path.absolute()
        shown = path if folder is None else folder.absolute()
        require_regular(path, "a slide", error=SlideError)
        handle = _open(path)
        properties = handle.properties
        name = visible(shown.name)
        resolved, notes = resolve_mpp(_claims(properties), name=name, user=mpp)
        self._origin_xy, shapes = _bounds(handle, properties)
        if not images:
            images, place, note = _regions(handle, properties, series, name)
            notes = (*notes, *note)
            if place is not None:
                self._origin_xy, shapes = place
        self._ycbcr: frozenset[int] = frozenset()
        if properties.get("openslide.vendor") == "dicom":
            self._ycbcr, contradiction = _dicom_colors(path, shapes, name)
            notes = (*notes, *((contradiction,) if contradiction else ()))
        self._tiles, self._numbers, said = _complete_levels(path, self._origin_xy, shapes)
        notes = (*notes, *said)
        shapes = [shapes[number] for number in self._numbers]
        identity = _identity(path, properties)
        info = SlideInfo(
            name, "openslide", str(shown), resolved, identity, notes, images, series or 0
        )
        binned = properties.get("openslide.vendor") in _SCANNERS
        super().__init__(info, shapes, tile=_tile(properties), binned=binned)
        self._downsamples = tuple(handle.level_downsamples[number] for number in self._numbers)
        self._properties = properties
        self._associated = tuple(sorted(handle.associated))
        # A reader keeps its own reference: the processes end with the last of them,
        # so closing never pulls them from under a read in another thread.
        self._handle: IsolatedOpenSlide | None = handle
        self._measure_scales()

    def close(self) -> None:
        """Release the file; reading afterwards raises SlideError."""
        super().close()
        self._handle = None

    @property
    def properties(self) -> Mapping[str, str]:
        """OpenSlide's properties; vendor ones may name a patient."""
        return self._properties

    @property
    def associated(self) -> Sequence[str]:
        """OpenSlide's associated images."""
        return self._associated

    def read_associated(self, name: str) -> RgbImage:
        """Read one of the associated images; see the base class."""
        handle = self._handle
        if handle is None or name not in self._associated:
            self._refuse_if_closed()
            return super().read_associated(name)
        try:
            rgba = handle.read_associated(name)
        except IsolatedError as error:
            raise SlideError(
                f"the {visible(name)} image of {self.name} cannot be decoded: {reason(error)}.",
                hint=COPY_AGAIN,
            ) from error
        return onto_white(rgba[..., :3], rgba[..., 3], premultiplied=False)

    def stored_mask(self, shape: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
        """Return where the finest level of a TIFF has bytes; see the base class."""
        if self._tiles is None or self._tiles.stored.all():
            return None
        tiles = self._tiles
        return cells_on_stored(tiles.stored, tiles.tile_shape, shape, tiles.shape)

    @property
    def leaves_out_glass(self) -> bool:
        """Whether a scanner wrote the file: some of them store no tiles of empty glass."""
        return self._properties.get("openslide.vendor") != _GENERIC

    def _read_level(self, level: int, y: int, x: int, height: int, width: int) -> RgbImage:
        handle = self._handle
        if handle is None:
            raise closed_error(self.name)
        scale = self._downsamples[level]
        location_xy = (self._origin_xy[0] + round(x * scale), self._origin_xy[1] + round(y * scale))
        try:
            rgba = handle.read_region(location_xy, self._numbers[level], (width, height))
        except IsolatedError as error:
            raise SlideError(
                f"{self.name} cannot be decoded at level {level}, row {y}, column {x}: "
                f"{reason(error)}.",
                hint=COPY_AGAIN,
            ) from error
        # openslide-python has undone the premultiplication of the C library.
        color = rgb_of_ycbcr(rgba[..., :3]) if level in self._ycbcr else rgba[..., :3]
        return onto_white(color, rgba[..., 3], premultiplied=False)


def detect_vendor(path: Path) -> str | None:
    """Return OpenSlide's name for the format of a file, None if it knows none.

    Raises
    ------
    SlideError
        If OpenSlide is not installed.
    """
    vendor: str | None = _library().OpenSlide.detect_format(path)
    return vendor


def _library() -> Any:
    try:
        import openslide
    except (ImportError, OSError) as error:
        raise SlideError(
            f"OpenSlide is not installed: {error}.",
            hint="Install it with `pip install openslide-python openslide-bin`.",
        ) from error
    return openslide


def _open(path: Path) -> IsolatedOpenSlide:
    _library()
    try:
        return IsolatedOpenSlide(path)
    except (IsolatedError, OSError) as error:
        said = " ".join(str(error).replace(f"{path.parent}{os.sep}", "").split()).rstrip(".")
        said = said.removeprefix(f"Reading {path.name}: ")
        said = visible(_IN_WORDS.get(said, said))
        raise SlideError(
            f"{visible(path.name)} cannot be opened by OpenSlide: {said}.",
            hint="Check that the file is complete and of a supported slide format.",
        ) from error


def _identity(path: Path, properties: Mapping[str, str]) -> str:
    """Return OpenSlide's own hash where a slide is many files, else the file's."""
    quickhash = properties.get("openslide.quickhash-1")
    if quickhash and properties.get("openslide.vendor") in _MANY_FILES:
        return quickhash
    return fingerprint_file(path)


def _claims(properties: Mapping[str, str]) -> tuple[MppClaim | None, ...]:
    # OpenSlide fills openslide.mpp-* from the TIFF resolution tags for generic files.
    generic = properties.get("openslide.vendor") == _GENERIC
    return (
        claim_from_text(
            properties.get("openslide.mpp-y"),
            properties.get("openslide.mpp-x"),
            "tiff-resolution" if generic else "vendor",
        ),
        claim_from_objective(properties.get("openslide.objective-power")),
    )


def _dicom_colors(
    path: Path, shapes: Sequence[tuple[int, int]], name: str
) -> tuple[frozenset[int], str]:
    """Return the levels of a DICOM slide that hold YCbCr although it says RGB, and a warning."""
    with reading("DICOM", name, error=SlideError):
        files = [file for file in path.parent.iterdir() if is_dicom(file)]
    instances, _ = instances_in(files)
    own = next((one.series for one in instances if one.path == path), None)
    return levels_in_ycbcr((one for one in instances if one.series == own), shapes, name)


def _regions(
    handle: IsolatedOpenSlide, properties: Mapping[str, str], series: int | None, name: str
) -> tuple[tuple[SlideImage, ...], tuple[tuple[int, int], list[tuple[int, int]]] | None, list[str]]:
    """Return the parts of a scan, and place and level shapes of the one that is asked for.

    All regions lie on one canvas, so the whole of it is the slide and nothing is left out.
    """
    boxes: list[tuple[int, int, int, int]] = []
    while len(boxes) < _MOST_REGIONS:
        keys = [f"openslide.region[{len(boxes)}].{side}" for side in ("x", "y", "width", "height")]
        texts = [properties.get(key, "") for key in keys]
        if not all(text.isascii() and text.isdigit() for text in texts):
            break
        x, y, width, height = (int(text) for text in texts)
        boxes.append((x, y, width, height))
    if len(boxes) < 2:
        if series:
            raise SlideError(f"{name} has no series {series}.", hint="It holds one image.")
        return (), None, []
    _, whole = _bounds(handle, properties)
    images = (
        SlideImage(0, whole[0], "all regions"),
        *(
            SlideImage(number, (box[3], box[2]), f"region {number}")
            for number, box in enumerate(boxes, 1)
        ),
    )
    if not series:
        note = f"{len(boxes)} scanned regions are analyzed together; --series takes one of them."
        return images, None, [note]
    chosen, note = choose_image(images, name, series)
    x, y, width, height = boxes[chosen.series - 1]
    return images, ((x, y), _scaled(handle, width, height)), [note]


def _complete_levels(
    path: Path, origin_xy: tuple[int, int], shapes: Sequence[tuple[int, int]]
) -> tuple[TileGrid | None, list[int], list[str]]:
    """Return the tiles of a TIFF's finest level, the numbers of usable levels, and warnings.

    OpenSlide draws a tile that was never stored as if it were empty glass. A level without
    tiles that the finest one has is left out, as in `napari_fddm.slides.tiff_file`.
    """
    # A part of the canvas has other tiles than its pages.
    grids, fault = tiles_of_levels(path, shapes if origin_xy == (0, 0) else [(0, 0)] * len(shapes))
    numbers, notes = [0], [fault] if fault else []
    finest = grids[0]
    for number, grid in enumerate(grids[1:], 1):
        if finest is not None and grid is not None and lacks(grid, finest):
            notes.append(incomplete_note(number, grid.shape))
        else:
            numbers.append(number)
    if finest is not None:
        refuse_empty(finest.stored, path.name)
        if note := sparse_note(finest.stored):
            notes.append(note)
    return finest, numbers, notes


def _scaled(handle: IsolatedOpenSlide, width: int, height: int) -> list[tuple[int, int]]:
    return [
        (max(1, int(height / scale)), max(1, int(width / scale)))
        for scale in handle.level_downsamples
    ]


def _bounds(
    handle: IsolatedOpenSlide, properties: Mapping[str, str]
) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Return the scan's corner (x, y) on the canvas and the level shapes (height, width)."""
    full_w, full_h = handle.dimensions
    keys = ("bounds-x", "bounds-y", "bounds-width", "bounds-height")
    texts = [properties.get(f"openslide.{key}") for key in keys]
    if None in texts:
        return (0, 0), [(h, w) for w, h in handle.level_dimensions]
    left, top, width, height = (int(text) for text in texts if text is not None)
    left, top = min(max(left, 0), full_w - 1), min(max(top, 0), full_h - 1)
    width, height = min(width, full_w - left), min(height, full_h - top)
    return (left, top), _scaled(handle, width, height)


def _tile(properties: Mapping[str, str]) -> int:
    """Return the edge of the file's square tiles, or the default where they are none."""
    height = int(properties.get("openslide.level[0].tile-height", 0))
    width = int(properties.get("openslide.level[0].tile-width", 0))
    return height if height == width and 0 < height <= MAX_TILE else DASK_CHUNK
