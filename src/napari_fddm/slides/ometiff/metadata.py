"""OME-XML as values: the images it lists, their sizes, channels, and where their planes lie.

What ties these together is what the schema (OME 2016-06) says: ids, UUIDs, file names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.text import visible
from napari_fddm.core.outside.xml_files import local_name, parse_xml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from xml.etree.ElementTree import Element

SCHEMA_UNIT = "µm"
"""Unit of a physical size that names none, by the schema."""
_OTHER_PIXELS = ("MetadataOnly", "BinData")


@dataclass(frozen=True, slots=True)
class OmeChannel:
    """A channel: its name, its color as (red, green, blue) if it has one, its samples."""

    name: str
    color: tuple[int, int, int] | None
    samples: int | None


@dataclass(frozen=True, slots=True)
class TiffData:
    """A run of planes in the pages of one file.

    Attributes
    ----------
    first : tuple of int
        Channel, focus plane and time point of its first plane.
    ifd : int
        Page of its first plane.
    count : int or None
        How many; None: as many as there are.
    file : str
        Name of the file; empty for the file that holds the XML.
    uuid : str
        Identity of the file; may be empty.
    """

    first: tuple[int, int, int]
    ifd: int
    count: int | None
    file: str
    uuid: str


@dataclass(frozen=True, slots=True)
class OmeImage:
    """One ``Image`` element.

    Attributes
    ----------
    number : int
        Its place among the images, from 0, as Bio-Formats counts series.
    id, name : str
        As it is written.
    shape : tuple of int
        Height and width, px.
    sizes : tuple of int
        Channels, focus planes, time points.
    order : str
        Which of "CZT" runs fastest among planes.
    channels : tuple of OmeChannel
        May be fewer than there are.
    data : tuple of TiffData
        Where its planes lie; empty for an image without pixels.
    pixel : tuple of str
        Physical size along y and x, as text; empty where it is not given.
    units : tuple of str
        Of the physical sizes.
    power : str
        Nominal magnification of its objective; may be empty.
    without_pixels : bool
        Whether it says that its pixels lie in no TIFF.
    """

    number: int
    id: str
    name: str
    shape: tuple[int, int]
    sizes: tuple[int, int, int]
    order: str
    channels: tuple[OmeChannel, ...]
    data: tuple[TiffData, ...]
    pixel: tuple[str, str]
    units: tuple[str, str]
    power: str
    without_pixels: bool = False

    def whole_file(self) -> TiffData:
        """Return where the planes lie if nothing is said: all pages of the file, in order."""
        return TiffData((0, 0, 0), 0, None, "", "")


@dataclass(frozen=True, slots=True)
class OmeMetadata:
    """What OME-XML says.

    Attributes
    ----------
    uuid : str
        Identity of the file that holds it; may be empty.
    images : tuple of OmeImage
        In its order.
    companion : str
        Name of the file that holds the metadata instead; else empty.
    """

    uuid: str
    images: tuple[OmeImage, ...]
    companion: str = ""


def read_ome(xml: str | bytes, place: Path) -> OmeMetadata:
    """Return the values of OME-XML.

    Raises
    ------
    SlideError
        If it is no XML, or a size in it is no number.
    """
    root = parse_xml(xml, place, what="OME-XML", error=SlideError)
    powers = {
        element.get("ID", ""): element.get("NominalMagnification", "")
        for element in root.iter()
        if local_name(element) == "Objective"
    }
    elements = [child for child in root if local_name(child) == "Image"]
    images = tuple(_image(element, n, powers, place) for n, element in enumerate(elements))
    binary = next((child for child in root if local_name(child) == "BinaryOnly"), None)
    companion = "" if binary is None else binary.get("MetadataFile", "")
    uuid = root.get("UUID", "") or ("" if binary is None else binary.get("UUID", ""))
    return OmeMetadata(uuid.strip().lower(), images, companion)


def _image(element: Element, number: int, powers: dict[str, str], place: Path) -> OmeImage:
    pixels = _child(element, "Pixels")
    settings = _child(element, "ObjectiveSettings")
    if settings is not None:
        power = powers.get(settings.get("ID", ""), "")
    else:  # without a reference, the objective is known if there is but one
        power = next(iter(powers.values())) if len(powers) == 1 else ""
    said = pixels.attrib if pixels is not None else {}

    def count(key: str, default: int) -> int:
        return _whole(said.get(key), default, f"{key} of image {number}", place)

    height, width = count("SizeY", 0), count("SizeX", 0)
    return OmeImage(
        number,
        element.get("ID", ""),
        element.get("Name", ""),
        (height, width),
        (count("SizeC", 1), count("SizeZ", 1), count("SizeT", 1)),
        said.get("DimensionOrder", "XYCZT")[2:] or "CZT",
        tuple(_channels(pixels)),
        tuple(_tiff_data(pixels, place)),
        (said.get("PhysicalSizeY", ""), said.get("PhysicalSizeX", "")),
        (
            said.get("PhysicalSizeYUnit", SCHEMA_UNIT),
            said.get("PhysicalSizeXUnit", SCHEMA_UNIT),
        ),
        power,
        pixels is None or any(_child(pixels, name) is not None for name in _OTHER_PIXELS),
    )


def _channels(pixels: Element | None) -> Iterator[OmeChannel]:
    for element in pixels if pixels is not None else ():
        if local_name(element) != "Channel":
            continue
        samples = element.get("SamplesPerPixel", "")
        yield OmeChannel(
            element.get("Name", ""),
            _color(element.get("Color", "")),
            int(samples) if samples.isdecimal() else None,
        )


def _color(text: str) -> tuple[int, int, int] | None:
    """Return the color of a signed 32-bit number of red, green, blue and alpha."""
    try:
        value = int(text) & 0xFFFFFFFF
    except ValueError:
        return None
    return value >> 24, value >> 16 & 255, value >> 8 & 255


def _tiff_data(pixels: Element | None, place: Path) -> Iterator[TiffData]:
    for element in pixels if pixels is not None else ():
        if local_name(element) != "TiffData":
            continue
        uuid = _child(element, "UUID")
        ifd = element.get("IFD")

        def number(key: str, element: Element = element) -> int:
            return _whole(element.get(key), 0, f"{key} of TiffData", place)

        count = element.get("PlaneCount", "1" if ifd is not None else None)
        yield TiffData(
            (number("FirstC"), number("FirstZ"), number("FirstT")),
            number("IFD"),
            None if count is None else _whole(count, 1, "PlaneCount", place),
            "" if uuid is None else uuid.get("FileName", ""),
            "" if uuid is None else (uuid.text or "").strip().lower(),
        )


def _child(element: Element, name: str) -> Element | None:
    return next((child for child in element if local_name(child) == name), None)


def _whole(text: str | None, default: int, what: str, place: Path) -> int:
    if text is None:
        return default
    if not text.strip().isdecimal() or len(text) > 12:
        raise SlideError(
            f"{visible(place.name)} is damaged: in its OME-XML the {what} is {text[:40]!r}.",
            hint="Export it again with the program it came from.",
        )
    return int(text)
