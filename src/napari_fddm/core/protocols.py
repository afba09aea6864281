"""The `Slide` protocol: what every slide offers, whatever file format it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from napari_fddm.core.geometry import LevelInfo, Mpp, Region

    RgbImage = npt.NDArray[np.uint8]


@runtime_checkable
class Slide(Protocol):
    """An open slide: metadata at once, pixels on demand, from several threads.

    Attributes
    ----------
    name : str
        Name for messages and reports; not a path.
    backend : str
        "tiff", "openslide", "synthetic" …
    levels : sequence of LevelInfo
        Finest first; ``levels[0].shape`` is the slide's size in level-0 px.
    mpp : Mpp
        Micrometers per level-0 pixel and where that was found.
    fingerprint : str
        Stable identity of the content, so that a moved file is recognized.
    warnings : sequence of str
        What a user should know about this file.
    properties : mapping of str to str
        What the scanner wrote about it; may name a patient.
    associated : sequence of str
        Names of the images beside the pyramid; those may show a patient's name.
    """

    @property
    def name(self) -> str:
        """See the attributes of the class."""
        ...

    @property
    def backend(self) -> str:
        """See the attributes of the class."""
        ...

    @property
    def levels(self) -> Sequence[LevelInfo]:
        """See the attributes of the class."""
        ...

    @property
    def mpp(self) -> Mpp:
        """See the attributes of the class."""
        ...

    @property
    def fingerprint(self) -> str:
        """See the attributes of the class."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """See the attributes of the class."""
        ...

    @property
    def properties(self) -> Mapping[str, str]:
        """See the attributes of the class."""
        ...

    @property
    def associated(self) -> Sequence[str]:
        """See the attributes of the class."""
        ...

    def read_associated(self, name: str) -> RgbImage:
        """Read one of the images beside the pyramid, (h, w, 3) uint8.

        Raises
        ------
        SlideError
            If there is no such image or it cannot be decoded.
        """
        ...

    def read_region(self, region: Region, mpp: float) -> RgbImage:
        """Read a region at a resolution, area-averaged from the nearest finer level.

        Parameters
        ----------
        region : Region
            Level-0 px; parts outside the slide come back white.
        mpp : float
            Micrometers per pixel of the result.

        Returns
        -------
        array of uint8, shape (h, w, 3)
            ``h = round(region.height * slide_mpp / mpp)``, at least 1; same for w.

        Raises
        ------
        MppError
            If the slide's own mpp is unknown.
        SlideError
            If pixels in the region cannot be decoded.
        """
        ...

    def as_dask(self) -> list[Any]:
        """Return one lazy uint8 dask array (h, w, 3) per level, for viewing."""
        ...

    def close(self) -> None:
        """Release file handles; reading afterwards raises SlideError."""
        ...

    def __enter__(self) -> Self:
        """Return the slide itself."""
        ...

    def __exit__(self, *exception: Any) -> None:
        """Close the slide."""
        ...
