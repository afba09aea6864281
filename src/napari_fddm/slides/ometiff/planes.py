"""Which pages of which files are the planes of each image of an OME-TIFF."""

from __future__ import annotations

import unicodedata
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.core.outside.files import read_bytes
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible, visible_line
from napari_fddm.slides.channels import Channel
from napari_fddm.slides.mpp import claim_from_objective, claim_from_ome
from napari_fddm.slides.ometiff.metadata import OmeMetadata, read_ome
from napari_fddm.slides.tiff_images import TiffImage, color_order, page_name, stack_error
from napari_fddm.slides.tiff_level import NotBrightfieldError, Plane

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_fddm.slides.ometiff.metadata import OmeImage, TiffData

_WHOLE_SET = "Put all files of the set into one folder, under the names that they had."
_LISTED = 6


def images_of_ome(
    file: Any, path: Path, open_file: Callable[[Path], Any]
) -> tuple[tuple[TiffImage, ...], tuple[str, ...]]:
    """Return the images of an OME-TIFF, and sentences on what its set holds besides.

    An image that lies in this file and others is put together from all of them; one that
    lies in other files alone is theirs.

    Parameters
    ----------
    file : tifffile.TiffFile
        Open file whose first page holds OME-XML.
    path : Path
        The file.
    open_file : callable
        Opens another file of the set, which must stay open as long as `file`.

    Raises
    ------
    SlideError
        If its OME-XML is damaged, or it belongs to metadata that are not there.
    """
    metadata = _metadata(file, path)
    ome_set = _OmeSet(file, path, metadata, open_file)
    images = [image for image in map(ome_set.image, metadata.images) if image is not None]
    first = len(metadata.images)
    for number, page in enumerate(ome_set.pages_without_image()):
        name, planes = page_name(page), (Plane(page, path),)
        images.append(TiffImage(first + number, name, _levels(planes)[0]))
    return tuple(images), ome_set.notes()


def _metadata(file: Any, path: Path) -> OmeMetadata:
    found = read_ome(file.pages[0].description, path)
    if found.images or not found.companion:
        return found
    place = path.parent / PurePath(found.companion).name
    if not place.is_file():
        raise NotBrightfieldError(
            f"{visible(path.name)} belongs to an OME-TIFF set whose metadata are not here: "
            f"{visible_line(found.companion)} is missing.",
            hint=_WHOLE_SET,
        )
    whole = read_ome(read_bytes(place, "OME-XML", error=SlideError), place)
    return OmeMetadata(found.uuid, whole.images)


class _OmeSet:
    """The file that was opened, and the others that its OME-XML names."""

    def __init__(
        self, file: Any, path: Path, metadata: OmeMetadata, open_file: Callable[[Path], Any]
    ) -> None:
        self._path, self._metadata, self._open_file = path, metadata, open_file
        data = [part for image in metadata.images for part in image.data]
        self._uuids = {part.uuid for part in data if part.uuid}
        self._names = {_plain(part.file) for part in data if part.file}
        self._pages = file.pages
        self._files: dict[str, Any | None] = {"": file}
        self._used: set[int] = set()
        self._elsewhere: set[str] = set()

    def image(self, image: OmeImage) -> TiffImage | None:
        """Return one image; None if no plane of it lies in the opened file."""
        data = image.data
        if not data and not image.without_pixels and len(self._metadata.images) == 1:
            data = (image.whole_file(),)
        if not data:
            error = SlideError(f"{visible(self._path.name)} has no pixels of {_named(image)}.")
            return TiffImage(image.number, image.name, (), error=error)
        if not any(self._key(part) == "" for part in data):
            self._elsewhere |= {part.file or part.uuid for part in data}
            return None
        self._claim_pages(data)
        try:
            return self._put_together(image, data)
        except SlideError as error:
            planes = [plane for part in data if (plane := self._plane(part, 0)) is not None]
            return TiffImage(image.number, image.name, (tuple(planes[:1]),), error=error)

    def pages_without_image(self) -> list[Any]:
        """Return the pages of the opened file that no image of the metadata claims."""
        rest = [self._pages[n] for n in range(len(self._pages)) if n not in self._used]
        return [page for page in rest if page.shape and not page.is_reduced]

    def notes(self) -> tuple[str, ...]:
        """Return a sentence on the images that lie in other files."""
        if not self._elsewhere:
            return ()
        return (
            "the other images of this OME-TIFF set lie in other files: "
            f"{_listed(sorted(self._elsewhere))}.",
        )

    def _key(self, part: TiffData) -> str:
        """Return "" for the opened file, else the name of the file that holds planes.

        UUIDs tell files apart, whatever their names became; names where there are none.
        """
        own = self._metadata.uuid
        if part.uuid and own in self._uuids:
            return "" if part.uuid == own else part.file or part.uuid
        if not part.file or _plain(part.file) == _plain(self._path.name):
            return ""
        comparable = bool(part.uuid and own)
        renamed = len(self._names) == 1 and not comparable
        return "" if renamed and not self._beside(part.file).exists() else part.file

    def _beside(self, name: str) -> Path:
        return self._path.parent / PurePath(name.replace("\\", "/")).name

    def _file(self, part: TiffData) -> Any | None:
        """Return the open file that holds planes; None if it is not there."""
        key = self._key(part)
        if key not in self._files:
            self._files[key] = self._other(part)
        return self._files[key]

    def _other(self, part: TiffData) -> Any | None:
        place = self._beside(part.file) if part.file else None
        if place is None or not place.is_file():
            return None
        file = self._open_file(place)
        if not (part.uuid and file.is_ome):
            return file
        try:
            uuid = read_ome(file.pages[0].description, place).uuid
        except FddmError:
            return None
        return file if uuid in ("", part.uuid) else None

    def _plane(self, part: TiffData, step: int) -> Plane | None:
        file = self._file(part)
        number = part.ifd + step
        if file is None or number >= len(file.pages):
            return None
        path = self._beside(part.file) if self._key(part) else self._path
        return Plane(file.pages[number], path)

    def _claim_pages(self, data: tuple[TiffData, ...]) -> None:
        """Mark the pages of the opened file that an image names, whether it can be used or not."""
        for part in data:
            if not self._key(part):
                count = len(self._pages) if part.count is None else part.count
                self._used.update(range(part.ifd, min(len(self._pages), part.ifd + count)))

    def _put_together(self, image: OmeImage, data: tuple[TiffData, ...]) -> TiffImage:
        name = visible(self._path.name)
        missing = sorted({part.file or part.uuid for part in data if self._file(part) is None})
        if missing:
            raise NotBrightfieldError(
                f"{name} is one of several files of {_named(image)}; not here, or another "
                f"file of that name: {_listed(missing)}.",
                hint=_WHOLE_SET,
            )
        samples = next(
            (int(p.page.samplesperpixel) for d in data if (p := self._plane(d, 0)) is not None), 1
        )
        sizes = (max(1, image.sizes[0] // samples), *image.sizes[1:])
        stack = stack_error("CZT", sizes, name)
        if stack is not None:
            raise stack
        planes = self._planes(data, sizes, image.order)
        wanted = [(channel, 0, 0) for channel in range(sizes[0])]
        if any(place not in planes for place in wanted):
            raise NotBrightfieldError(
                f"{name} is incomplete: {len(wanted) - len(planes)} of {len(wanted)} planes of "
                f"{_named(image)} are missing.",
                hint="Export it again with the program it came from.",
            )
        order, notes = _order(image, sizes[0], samples, name)
        levels, broken = _levels(tuple(planes[place] for place in wanted))
        claims, said = _claims(image, levels[0][0].page)
        return TiffImage(
            image.number,
            image.name,
            levels,
            order,
            claims=claims,
            notes=(*notes, *broken),
            unclear=said,
        )

    def _planes(
        self, data: tuple[TiffData, ...], sizes: tuple[int, ...], order: str
    ) -> dict[tuple[int, ...], Plane]:
        """Return the planes of one image by channel, focus plane and time point."""
        found: dict[tuple[int, ...], Plane] = {}
        total = sizes[0] * sizes[1] * sizes[2]
        for part in data:
            place = dict(zip("CZT", part.first, strict=True))
            for step in range(min(total, total if part.count is None else part.count)):
                plane = self._plane(part, step)
                if plane is None:
                    break
                found.setdefault((place["C"], place["Z"], place["T"]), plane)
                for axis in order:  # the first axis runs fastest
                    place[axis] += 1
                    if place[axis] < sizes["CZT".index(axis)]:
                        break
                    place[axis] = 0
        return found


def _levels(
    planes: tuple[Plane, ...],
) -> tuple[tuple[tuple[Plane, ...], ...], tuple[str, ...]]:
    """Return the levels of an image, whose coarser ones are sub-directories of its pages."""
    levels = [planes]
    count = min(len(plane.page.subifds or ()) for plane in planes)
    for k in range(count):
        try:
            with reading("a level of a TIFF", planes[0].path, error=SlideError):
                levels.append(tuple(Plane(plane.page.pages[k], plane.path) for plane in planes))
        except SlideError:
            return tuple(levels), (f"the file is incomplete: its level {k + 1} cannot be read.",)
    return tuple(levels), ()


def _order(
    image: OmeImage, planes: int, samples: int, name: str
) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """Return which channels are red, green and blue, and a note if nothing says so."""
    channels = [Channel(channel.name, channel.color) for channel in image.channels]
    if planes == 3 and samples == 1:
        return color_order(channels if len(channels) == 3 else (), name)
    if planes == 1 and samples == 3 and len(channels) == 3:
        return color_order(channels, name)[0], ()  # its photometric tag says that they are colors
    return (0, 1, 2), ()


def _claims(image: OmeImage, page: Any) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """Return the pixel sizes that an image states; none, and why, if it is of another size."""
    shape = (int(page.imagelength), int(page.imagewidth))
    if image.shape != shape:
        return (), (
            f"the OME-XML says {image.shape[1]} × {image.shape[0]} px of {_named(image)}, but it "
            f"has {shape[1]} × {shape[0]} px: its pixel size was not believed.",
        )
    claim, note = claim_from_ome(image.pixel, image.units)
    return (claim, claim_from_objective(image.power)), ((note,) if note else ())


def _named(image: OmeImage) -> str:
    name = image.name or image.id
    return f"its image {visible_line(name)!r}" if name else f"its image {image.number}"


def _listed(names: list[str]) -> str:
    more = len(names) - _LISTED
    shown = ", ".join(visible_line(name) for name in names[:_LISTED])
    return f"{shown} and {more} more" if more > 0 else shown


def _plain(name: str) -> str:
    """Return a file name as it is compared: macOS writes accents apart."""
    return unicodedata.normalize("NFC", PurePath(name.replace("\\", "/")).name)
