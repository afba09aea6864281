"""Region datasets of annotated images, with stage-1 heads fitted on other folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.geometry import Window
from napari_fddm.core.resample import WHITE
from napari_fddm.core.tiling import TILE_PX, TileGrid
from napari_fddm.slides import ArraySlide
from napari_fddm.training.data.majority import cell_majority
from napari_fddm.training.regions.files import (
    RegionMeta,
    RegionSlide,
    read_region_slide,
    slide_path,
    write_region_slide,
)
from napari_fddm.training.regions.fold_heads import Embeds, FoldHeads, embed_window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    AnnotatedImage = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
    """RGB (h, w, 3) at the analysis resolution, and label values (h, w), 0 unknown."""


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An annotated image that is opened only when it is needed.

    Attributes
    ----------
    name, case, fold : str
        Name of the image, its patient, and the fold of that patient.
    open : callable
        Returns pixels and label values.
    """

    name: str
    case: str
    fold: str
    open: Callable[[], AnnotatedImage]


def embedded_images(
    folder: Path,
    sources: Sequence[ImageSource],
    model: Embeds,
    width: int,
    classes: int,
    *,
    shifted: bool = False,
) -> Iterator[tuple[ImageSource, RegionSlide]]:
    """Yield the embedding of each image by a backbone, kept in a folder.

    Parameters
    ----------
    folder : Path
        Folder of the embeddings; an image that is there is not opened again.
    sources : sequence of ImageSource
        The images.
    model : Embeds
        The backbone.
    width : int
        Channels of its embeddings.
    classes : int
        Number of classes of the truth.
    shifted : bool
        Also embed tiles that overlap by half.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        path = slide_path(folder, source.name)
        if not path.exists():
            image, truth = source.open()
            slide, labels = _on_whole_tiles(image, truth)
            grid = TileGrid(labels.shape, 1.0, 1.0)
            maps = embed_window(
                ArraySlide(slide, mpp=1.0, name=source.name),
                grid,
                Window(0, 0, *grid.shape),
                model,
                width,
                shifted=shifted,
            )
            meta = RegionMeta(slide=source.name, case=source.case)
            write_region_slide(folder, RegionSlide(meta, maps, cell_majority(labels, classes)))
        yield source, read_region_slide(path)


def out_of_fold(
    embedded: Sequence[tuple[ImageSource, RegionSlide]],
    fold: str,
    trained_on: Sequence[str],
    classes: int,
    stage1: str,
) -> Iterator[RegionSlide]:
    """Yield the images of a fold with the maps of heads that were fitted on other folds.

    Parameters
    ----------
    embedded : sequence of (ImageSource, RegionSlide)
        All of them, from `embedded_images`.
    fold : str
        The fold to yield.
    trained_on : sequence of str
        The folds on which heads are fitted; ``fold`` itself is left out.
    classes : int
        Number of classes.
    stage1 : str
        Description of the backbone.
    """
    seen = [(s, slide) for s, slide in embedded if s.fold in trained_on and s.fold != fold]
    heads = FoldHeads.fitted([(slide.coarse, slide.truth) for _, slide in seen], classes)
    cases = tuple(sorted({source.case for source, _ in seen}))
    for source, slide in embedded:
        if source.fold == fold:
            meta = RegionMeta(
                slide=source.name, case=source.case, stage1=stage1, stage1_cases=cases
            )
            yield RegionSlide(meta, heads.apply(slide.coarse), slide.truth)


def _on_whole_tiles(
    image: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Pad an image with white, and its truth with unknown, to whole tiles."""
    height, width = (-(-n // TILE_PX) * TILE_PX for n in truth.shape)
    pixels = np.full((height, width, 3), WHITE, np.uint8)
    labels = np.zeros((height, width), np.uint8)
    pixels[: image.shape[0], : image.shape[1]] = image
    labels[: truth.shape[0], : truth.shape[1]] = truth
    return pixels, labels
