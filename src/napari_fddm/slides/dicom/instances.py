"""The DICOM files of a slide: to which series each belongs, and what it says of its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.dicom_files import TRANSFER_SYNTAX, read_header
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_IMAGE_TYPE, _SOP_CLASS = 0x00080008, 0x00080016
_DESCRIPTION, _SERIES, _NUMBER, _CONTAINER = 0x0008103E, 0x0020000E, 0x00200011, 0x00400512
_SAMPLES, _PHOTOMETRIC, _BITS = 0x00280002, 0x00280004, 0x00280100
_COLUMNS, _ROWS = 0x00480006, 0x00480007
_SLIDE_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""VL Whole Slide Microscopy Image Storage (PS3.4, B.5)."""
_PYRAMID = ("VOLUME", "THUMBNAIL")
"""Third values of ImageType whose images are levels of the slide (PS3.3, C.8.12.4.1.1)."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One file of a whole-slide image.

    Attributes
    ----------
    path : Path
        The file.
    series, number, description, container : str
        SeriesInstanceUID, SeriesNumber, SeriesDescription and ContainerIdentifier.
    flavor : str
        "VOLUME", "LABEL", "OVERVIEW" or "THUMBNAIL".
    shape : tuple of int
        Height and width of the whole level, px.
    samples, bits : int
        Per pixel, and per sample.
    photometric : str
        PhotometricInterpretation.
    syntax : str
        Transfer syntax: how frames are compressed.
    frame : bytes
        Begin of the first frame.
    """

    path: Path
    series: str
    number: str
    description: str
    container: str
    flavor: str
    shape: tuple[int, int]
    samples: int
    bits: int
    photometric: str
    syntax: str
    frame: bytes

    @property
    def is_level(self) -> bool:
        """Whether it is a level of the slide."""
        return self.flavor in _PYRAMID


def is_dicom(path: Path) -> bool:
    """Whether a regular file has the preamble of a DICOM file."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_instance(path: Path) -> Instance | None:
    """Return what a DICOM file says of its image; None if it is no whole-slide image.

    Raises
    ------
    SlideError
        If it is damaged.
    """
    tags = (
        _IMAGE_TYPE, _SOP_CLASS, _DESCRIPTION, _SERIES, _NUMBER, _CONTAINER, _SAMPLES,
        _PHOTOMETRIC, _BITS, _COLUMNS, _ROWS,
    )  # fmt: skip
    header = read_header(path, tags, error=SlideError)
    if header.text(_SOP_CLASS) != _SLIDE_CLASS:
        return None
    if not header.has_pixels:
        raise SlideError(
            f"{visible(path.name)} is cut off: it holds no pixels.", hint="Copy it again."
        )
    kinds = header.text(_IMAGE_TYPE).split("\\")
    return Instance(
        path,
        header.text(_SERIES),
        header.text(_NUMBER),
        header.text(_DESCRIPTION),
        header.text(_CONTAINER),
        kinds[2].strip().upper() if len(kinds) > 2 else "",
        (header.whole(_ROWS), header.whole(_COLUMNS)),
        header.whole(_SAMPLES),
        header.whole(_BITS),
        header.text(_PHOTOMETRIC),
        header.text(TRANSFER_SYNTAX),
        header.frame,
    )


def instances_in(files: Iterable[Path]) -> tuple[list[Instance], list[SlideError]]:
    """Return the whole-slide images among files, and the errors of damaged ones."""
    found, errors = [], []
    for path in files:
        try:
            instance = read_instance(path)
        except SlideError as error:
            errors.append(error)
            continue
        if instance is not None:
            found.append(instance)
    return found, errors
