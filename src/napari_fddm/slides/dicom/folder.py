"""Opens a folder of DICOM files: the series that is the slide, through OpenSlide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible
from napari_fddm.slides.choosing import SlideImage, choose_image
from napari_fddm.slides.dicom.instances import Instance, instances_in, is_dicom

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fddm.slides.openslide import OpenSlideSlide

_LAST = 10**13
"""Place of a series without a SeriesNumber (an IS of PS3.5 has up to 12 digits)."""


def open_dicom_folder(
    path: Path, *, mpp: float | None = None, series: int | None = None
) -> OpenSlideSlide:
    """Open the slide of a folder with one or several DICOM series.

    Parameters
    ----------
    path : Path
        The folder.
    mpp : float, optional
        Micrometers per level-0 pixel; overrides the file.
    series : int, optional
        Which series, counted from 0 in the order of their SeriesNumber; by default
        `choose_image` chooses.

    Raises
    ------
    SlideError
        If there is no slide, or there are slides of several specimen containers and no
        series is given.
    """
    from napari_fddm.slides.openslide import OpenSlideSlide

    name = visible(path.absolute().name or str(path))
    with reading("a folder", name, error=SlideError):
        files = [file for file in sorted(path.iterdir()) if is_dicom(file)]
    if not files:
        raise SlideError(
            f"{name} is a folder without a DICOM slide or OME-Zarr image.",
            hint="Choose the slide file itself; for MRXS the .mrxs file beside the folder.",
        )
    instances, errors = instances_in(files)
    if not instances:
        raise errors[0] if errors else SlideError(f"{name} holds no DICOM slide.")
    groups = _by_series(instances)
    images = [_image(number, group) for number, group in enumerate(groups)]
    if series is None:
        _refuse_other_glasses(groups, images, name)
    chosen, note = choose_image(images, name, series)
    levels = [one for one in groups[chosen.series] if one.is_level] or groups[chosen.series]
    first = max(levels, key=lambda one: one.shape[0] * one.shape[1])
    listed = tuple(images) if len(images) > 1 else ()
    slide = OpenSlideSlide(
        first.path, mpp=mpp, folder=path, images=listed, series=chosen.series if listed else None
    )
    if note:
        slide.add_warning(note)
    if errors:
        slide.add_warning(
            f"{len(errors)} of {len(files)} DICOM files cannot be read: {errors[0].message}"
        )
    return slide


def _by_series(instances: Sequence[Instance]) -> list[list[Instance]]:
    found: dict[str, list[Instance]] = {}
    for instance in instances:
        found.setdefault(instance.series, []).append(instance)
    return sorted(found.values(), key=_place)


def _place(group: Sequence[Instance]) -> tuple[int, str]:
    number = group[0].number
    counted = int(number) if number.isascii() and number.isdigit() and len(number) < 13 else _LAST
    return counted, group[0].series


def _image(number: int, group: Sequence[Instance]) -> SlideImage:
    levels = [one for one in group if one.is_level]
    largest = max(levels or group, key=lambda one: one.shape[0] * one.shape[1])
    kind = "" if levels else largest.flavor.lower()
    name = " ".join(part for part in (kind, largest.description) if part)
    refusal = ""
    if largest.samples != 3:
        refusal = f"has {largest.samples} samples per pixel ({largest.photometric}), not 3"
    elif largest.bits != 8:
        refusal = f"has {largest.bits}-bit samples, not 8-bit"
    return SlideImage(number, largest.shape, name, refusal)


def _refuse_other_glasses(
    groups: Sequence[Sequence[Instance]], images: Sequence[SlideImage], name: str
) -> None:
    slides = [group for group, image in zip(groups, images, strict=True) if image.is_slide]
    containers = {group[0].container for group in slides} - {""}
    if len(containers) > 1:
        listed = "; ".join(str(image) for image in images if image.is_slide)
        raise SlideError(
            f"the folder {name} holds slides of {len(containers)} specimen containers: {listed}.",
            hint="Choose one with --series, or a file of the slide you want.",
        )
