"""A slide over arrays, in memory or lazy: napari layers, OME-Zarr levels, test images."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.guard import reason
from napari_fddm.core.outside.urls import without_access
from napari_fddm.slides.base import PyramidSlide, SlideInfo
from napari_fddm.slides.closing import closed_error
from napari_fddm.slides.mpp import MppClaim, resolve_mpp
from napari_fddm.slides.planes import as_image, guess_axes, refuse_other_than_image
from napari_fddm.slides.scales import level_scales
from napari_fddm.slides.tiff_level import onto_white

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from napari_fddm.core.geometry import Mpp
    from napari_fddm.core.protocols import RgbImage
    from napari_fddm.slides.choosing import SlideImage
    from napari_fddm.slides.ngff.stored import StoredChunks


class ArraySlide(PyramidSlide):
    """A slide over one array or a list of arrays that form a pyramid.

    Parameters
    ----------
    data : array or sequence of arrays, uint8
        numpy, dask, zarr or anything that slices like them, finest first, of shape
        (h, w), (h, w, c) or (c, h, w) with 3 or 4 channels. Gray is repeated; a
        fourth channel is straight alpha over white.
    mpp : float or Mpp, optional
        Micrometers per level-0 pixel; a number counts as given by the user.
    name : str
        Name of the slide, for messages and reports.
    uri : str
        Path or URL with which `open_slide` opens it again; empty if there is none.
    backend : str
        Name of the reader.
    axes : tuple of str, optional
        Name of each axis; by default derived from the shape, see `guess_axes`.
    order : tuple of int, optional
        Which channels are red, green and blue; a fourth is alpha. By default the first three.
    lost : callable, optional
        Returns the levels of which chunks were never stored, and a warning about each.
    images : tuple of SlideImage
        All images of the file, if there are several.
    series : int
        Which of them this is.

    Attributes
    ----------
    address : str
        The URL with the query, user and password that its server needs; `uri` is without.

    Raises
    ------
    SlideError
        If an array is no 8-bit gray, RGB or RGBA image or the levels are not ordered.
    MppError
        If `mpp` is not believable.
    """

    def __init__(
        self,
        data: Any,
        *,
        mpp: float | Mpp | None = None,
        name: str = "array",
        uri: str = "",
        backend: str = "array",
        axes: tuple[str, ...] | None = None,
        order: tuple[int, int, int] | None = None,
        lost: Callable[[], tuple[Sequence[StoredChunks], Sequence[str]]] | None = None,
        images: tuple[SlideImage, ...] = (),
        series: int = 0,
    ) -> None:
        # A napari layer's levels are a Sequence of their own, no list.
        arrays = list(data) if isinstance(data, Sequence) else [data]
        if not arrays:
            raise SlideError(f"{name} has no pixels.", hint="Give one array per level.")
        axes = axes or guess_axes(arrays[0], name)
        refuse_other_than_image(arrays, axes, name)
        arrays = [as_image(array, axes) for array in arrays]
        shapes = [(int(a.shape[0]), int(a.shape[1])) for a in arrays]
        level_scales(shapes)  # refuses what is empty before pixels are looked at
        resolved, notes = _resolve(mpp, name)
        identity = _fingerprint(arrays)
        info = SlideInfo(name, backend, uri, resolved, identity, notes, images, series)
        super().__init__(info, shapes)
        self.address = uri
        self._arrays = arrays
        self._order = None if order is None else [*order, *({0, 1, 2, 3} - set(order))]
        self._lost = lost
        self._gaps: Sequence[StoredChunks] = ()
        self._looking = threading.Lock()
        self._measure_scales()

    def close(self) -> None:
        """Forget the arrays; reading afterwards raises SlideError."""
        super().close()
        self._arrays = []

    def look_for_lost(self) -> None:
        """Find out, once, which chunks were never stored, and warn of them.

        At a web server, which lists nothing, that takes a request for each chunk.

        Raises
        ------
        SlideError
            If they cannot be counted.
        """
        with self._looking:
            if self._lost is None:
                return
            self._gaps, notes = self._lost()
            self._lost = None
        for note in notes:
            self.add_warning(note)

    def stored_mask(self, shape: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
        """Return where pixels are stored, at the resolution of `shape`; None if everywhere.

        Levels are read at different magnifications, so a place counts if all have it.
        """
        self.look_for_lost()
        if not self._gaps:
            return None
        masks = [level.mask(shape) for level in self._gaps]
        whole: npt.NDArray[np.bool_] = np.logical_and.reduce(masks)
        return whole

    def _read_level(self, level: int, y: int, x: int, height: int, width: int) -> RgbImage:
        arrays = self._arrays
        if not arrays:
            raise closed_error(self.name)
        try:
            window = np.asarray(arrays[level][y : y + height, x : x + width])
        except Exception as error:  # each codec and each network library has errors of its own
            raise SlideError(
                f"{self.name} cannot be read at level {level}, row {y}, column {x}: "
                f"{without_access(reason(error))}.",
                hint="Its data is damaged or out of reach: check the disk and the network.",
            ) from error
        if self._order is not None and window.ndim == 3:
            window = window[..., self._order[: window.shape[2]]]
        return _to_rgb(window)


def _to_rgb(window: npt.NDArray[np.uint8]) -> RgbImage:
    if window.ndim == 2:
        return np.repeat(window[..., None], 3, axis=2)
    if window.shape[2] == 4:
        return onto_white(window[..., :3], window[..., 3], premultiplied=False)
    return np.array(window)  # a copy, because the caller may write to it


def _resolve(mpp: float | Mpp | None, name: str) -> tuple[Mpp, tuple[str, ...]]:
    if mpp is None or isinstance(mpp, int | float):
        return resolve_mpp((), name=name, user=mpp)
    if mpp.value is None:
        return mpp, ()
    claim = MppClaim(mpp.value, mpp.value, mpp.source)
    return resolve_mpp((claim,), name=name)


def _fingerprint(arrays: Sequence[Any]) -> str:
    """Return a hash of sizes and pixels: all of numpy arrays, samples of lazy ones."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        if isinstance(array, np.ndarray):
            digest.update(np.ascontiguousarray(array).data)
    if not isinstance(arrays[-1], np.ndarray):
        for window in _samples(arrays[-1]):
            digest.update(np.ascontiguousarray(window).data)
    return digest.hexdigest()


def _samples(array: Any) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield 8 × 8 windows of 64 px, spread over an array; of damaged ones nothing."""
    corners = [np.linspace(0, max(0, n - 64), 8).astype(int).tolist() for n in array.shape[:2]]
    for y, x in product(*corners):
        try:
            yield np.asarray(array[y : y + 64, x : x + 64])
        except OSError:
            raise  # a disk or network that fails now may answer later, with another identity
        except Exception:  # noqa: BLE001  # each codec has errors of its own; they are reported when the place is read
            yield np.zeros(0, np.uint8)
