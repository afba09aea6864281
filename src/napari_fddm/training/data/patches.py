"""Cuts the training samples of one image of a manifest: patches or regions with labels."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import DataError
from napari_fddm.core.geometry import Region, Window
from napari_fddm.core.outside.pictures import open_picture
from napari_fddm.core.tiling import ANALYSIS_MPP, CELLS_PER_TILE, TILE_PX, TileGrid
from napari_fddm.slides import ArraySlide, open_slide
from napari_fddm.slides.mpp import require_mpp
from napari_fddm.training.data.annotations import open_annotation
from napari_fddm.training.data.majority import cell_majority

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from napari_fddm.core.class_names import ClassNames
    from napari_fddm.core.protocols import Slide
    from napari_fddm.training.data.manifest import Source

    Labels = npt.NDArray[np.uint8]

BACKGROUND = OSTEOSARCOMA["BG"].value
MIN_CELL_TISSUE = 0.1
"""A cell of a labeled tile gets the label of the tile if at least this share is stained."""
TISSUE_DENSITY = 0.15
"""Optical density above which a pixel is stained: the threshold of Macenko 2009."""
LITTLE_LABELED = "labeled in too small a part (--min-labeled)"
LITTLE_TISSUE = "with too little stained (--min-tissue)"
STAINED_BACKGROUND = "of stained background (--min-tissue)"
BEYOND_MOST = "beyond --max"
"""Why samples are left out, in words that stand behind their number."""
_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class PatchSettings:
    """Size of patches, and which of them are kept.

    Attributes
    ----------
    mpp : float
        µm per pixel of a patch.
    min_labeled : float
        Share of a patch of a slide that must have a label.
    min_tissue : float
        A patch of background is kept if it has a smaller share of stained pixels, a patch
        of another class if it has not: annotations are drawn coarsely.
    max_per_class : int
        Patches of one class from one slide, spread over it; 0 for all.
    """

    mpp: float = ANALYSIS_MPP
    min_labeled: float = 0.5
    min_tissue: float = 0.05
    max_per_class: int = 0

    def __post_init__(self) -> None:
        """Refuse shares outside 0 to 1."""
        for name in ("min_labeled", "min_tissue"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"--{name.replace('_', '-')} must be from 0 to 1.")


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """Size of regions, and which of them are kept.

    Attributes
    ----------
    k : int
        A region spans 256 · 2^k px at 1 µm/px, as in FDDM (k = 3: 2048 px).
    mpp : float
        µm per stored pixel; coarser than 1 makes the files smaller.
    min_labeled : float
        Share of a region that must have a label.
    max_per_slide : int
        Regions from one slide, spread over it; 0 for all.
    """

    k: int = 3
    mpp: float = 2.0
    min_labeled: float = 0.5
    max_per_slide: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that give no whole number of pixels."""
        if not 0 <= self.k <= 5 or self.px < 32 or abs(self.um / self.mpp - self.px) > _EPSILON:
            raise DataError(
                f"regions of {self.um:g} µm cannot be stored at {self.mpp:g} µm per px.",
                hint="k is 0 to 5; choose 1, 2, 4 or 8 for --mpp.",
            )
        if not 0 <= self.min_labeled <= 1:
            raise DataError("--min-labeled must be from 0 to 1.")

    @property
    def um(self) -> float:
        """Edge of a region, µm."""
        return float(TILE_PX * ANALYSIS_MPP * 2**self.k)

    @property
    def px(self) -> int:
        """Edge of a region, stored px."""
        return round(self.um / self.mpp)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One patch or region.

    Attributes
    ----------
    pixels : array of uint8, shape (s, s, 3)
        RGB.
    truth : array of uint8
        Label values, 0 unknown: (8, 8) of a patch's cells, (s, s) of a region.
    value : int
        The dominant label value.
    place : tuple of float
        (y, x) of its upper left corner, level-0 px.
    """

    pixels: Labels
    truth: Labels
    value: int
    place: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The samples of one image, and what was left out of them.

    Attributes
    ----------
    identity : str
        A digest that changes when the annotation does.
    samples : iterator of Sample
        Cuts them, one after the other.
    notes : tuple of str
        What is left out of the annotation, see `annotations.Annotation`.
    left_out : Counter of str
        Samples that were not kept, by the reason; complete once all samples are cut.
    """

    identity: str
    samples: Iterator[Sample]
    notes: tuple[str, ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)


def samples_of(source: Source, settings: PatchSettings | RegionSettings, names: ClassNames) -> Cut:
    """Return the samples of an image, none of which is cut yet.

    Raises
    ------
    FddmError
        If the image or its annotation cannot be opened, or does not fit the settings.
    """
    left_out = Counter[str]()
    if source.mask is None:
        if isinstance(settings, RegionSettings):
            raise DataError(
                f"line {source.line}: {source.name} has one label for the whole tile; regions "
                "need a mask."
            )
        samples = _of_tile(source, settings, left_out)
        return Cut(f"tissue of tile {source.value}", samples, left_out=left_out)
    with opened(source, settings.mpp) as slide:
        annotation = open_annotation(source.mask, slide, names)
    if isinstance(settings, RegionSettings):
        samples = _regions_of_slide(source, settings, names, left_out)
    else:
        samples = _patches_of_slide(source, settings, names, left_out)
    return Cut(annotation.identity, samples, annotation.notes, left_out)


@contextmanager
def opened(source: Source, mpp: float) -> Iterator[Slide]:
    """Open the image of a row as a slide; a tile without a pixel size gets ``mpp``."""
    if source.mask is not None:
        with open_slide(source.image, mpp=source.mpp) as slide:
            require_mpp(slide)
            yield slide
        return
    with open_picture(Path(source.image), "a tile") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    with ArraySlide(pixels, mpp=source.mpp or mpp, name=source.name) as slide:
        yield slide


def tissue_share(pixels: npt.NDArray[np.uint8]) -> float:
    """Return the share of stained pixels of an image (h, w, 3)."""
    return float(_stained(pixels).mean())


def stained_cells(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return which bridge cells (8, 8) of a tile (256, 256, 3) are stained enough."""
    step = TILE_PX // CELLS_PER_TILE
    blocks = _stained(pixels).reshape(CELLS_PER_TILE, step, CELLS_PER_TILE, step)
    return np.asarray(blocks.mean(axis=(1, 3)) >= MIN_CELL_TISSUE)


def _stained(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    darkest = 256.0 * np.exp(-TISSUE_DENSITY) - 1.0
    return np.asarray(pixels.min(axis=2) < darkest)


def dominant(labels: Labels, n_classes: int) -> tuple[int, float]:
    """Return the most frequent label value and the labeled share; ties go to the lowest value.

    The value is 0 where nothing is labeled.
    """
    counts = np.bincount(labels.ravel(), minlength=n_classes + 1)
    labeled = int(counts[1:].sum())
    return (int(counts[1:].argmax()) + 1 if labeled else 0), labeled / labels.size


def _of_tile(source: Source, settings: PatchSettings, left_out: Counter[str]) -> Iterator[Sample]:
    """Cut a labeled tile. Its label is that of its tissue, so cells of glass have no label."""
    value = source.value or 0
    with opened(source, settings.mpp) as slide:
        found = False
        for region in _whole_tiles(slide, settings.mpp):
            found = True
            pixels = slide.read_region(region, settings.mpp)[:TILE_PX, :TILE_PX]
            if _keeps(value, pixels, settings, left_out):
                cells = np.where(stained_cells(pixels) != (value == BACKGROUND), value, 0)
                yield Sample(pixels, cells.astype(np.uint8), value, (region.y, region.x))
        if not found:
            raise DataError(
                f"{source.image} is smaller than one patch: {TILE_PX} px of {settings.mpp:g} µm.",
                hint="Is the column mpp right?",
            )


def _patches_of_slide(
    source: Source, settings: PatchSettings, names: ClassNames, left_out: Counter[str]
) -> Iterator[Sample]:
    with opened(source, settings.mpp) as slide:
        annotation = open_annotation(source.mask or "", slide, names)
        n = len(names.table)
        found = []
        for region in _whole_tiles(slide, settings.mpp):
            labels = annotation.labels(region, TILE_PX)
            value, labeled = dominant(labels, n)
            if value and _labels_enough(labeled, settings, left_out):
                found.append((value, region))
        kept = dict.fromkeys(names.table.values, 0)
        for value, region in _spread(found):
            if settings.max_per_class and kept[value] >= settings.max_per_class:
                left_out[BEYOND_MOST] += 1
                continue
            pixels = slide.read_region(region, settings.mpp)[:TILE_PX, :TILE_PX]
            if _keeps(value, pixels, settings, left_out):
                kept[value] += 1
                cells = cell_majority(annotation.labels(region, TILE_PX), n)
                yield Sample(pixels, cells, value, (region.y, region.x))


def _regions_of_slide(
    source: Source, settings: RegionSettings, names: ClassNames, left_out: Counter[str]
) -> Iterator[Sample]:
    with opened(source, settings.mpp) as slide:
        annotation = open_annotation(source.mask or "", slide, names)
        edge = settings.um / require_mpp(slide)
        height, width = slide.levels[0].shape
        # Half a region of overlap: a border lies inside another region.
        corners = [(y, x) for y in _starts(height, edge) for x in _starts(width, edge)]
        found: list[tuple[int, Region]] = []
        for y, x in corners:
            region = Region(y, x, edge, edge)
            value, labeled = dominant(annotation.labels(region, TILE_PX), len(names.table))
            if value and _labels_enough(labeled, settings, left_out):
                found.append((value, region))
        chosen = _spread(found)
        if settings.max_per_slide:
            left_out[BEYOND_MOST] += max(0, len(chosen) - settings.max_per_slide)
            chosen = chosen[: settings.max_per_slide]
        for value, region in chosen:
            pixels = slide.read_region(region, settings.mpp)[: settings.px, : settings.px]
            truth = annotation.labels(region, settings.px)
            yield Sample(pixels, truth, value, (region.y, region.x))


def _starts(length: int, edge: float) -> list[float]:
    """Return where regions begin along an axis: every half edge, at least one region."""
    count = max(1, int(np.floor((length - edge) / (edge / 2) + _EPSILON)) + 1)
    return [i * edge / 2 for i in range(count)]


def _labels_enough(
    labeled: float, settings: PatchSettings | RegionSettings, left_out: Counter[str]
) -> bool:
    enough = labeled >= settings.min_labeled
    left_out[LITTLE_LABELED] += not enough
    return enough


def _keeps(value: int, pixels: Labels, settings: PatchSettings, left_out: Counter[str]) -> bool:
    """Say whether image and label can both be right (``docs/algorithm.md#loss-of-stage-1``)."""
    stained = tissue_share(pixels) >= settings.min_tissue
    keeps = stained != (value == BACKGROUND)
    if not keeps:
        left_out[STAINED_BACKGROUND if stained else LITTLE_TISSUE] += 1
    return keeps


def _whole_tiles(slide: Slide, mpp: float) -> Iterator[Region]:
    """Yield the tiles of the slide's grid that lie completely on the slide."""
    grid = TileGrid(slide.levels[0].shape, require_mpp(slide), mpp)
    height, width = grid.slide_shape
    for row, col in np.ndindex(*grid.shape):
        region = grid.geometry.region_of(Window(int(row), int(col), 1, 1))
        if region.y_end <= height + _EPSILON and region.x_end <= width + _EPSILON:
            yield region


def _spread(found: Sequence[tuple[int, Region]]) -> list[tuple[int, Region]]:
    """Shuffle, so that the first samples of any number are spread over the slide."""
    order = np.random.default_rng(0).permutation(len(found))
    return [found[i] for i in order]


def settings_record(settings: PatchSettings | RegionSettings) -> dict[str, object]:
    """Return settings as JSON values, with "kind": "patches" or "regions"."""
    kind = "regions" if isinstance(settings, RegionSettings) else "patches"
    return {"kind": kind, **asdict(settings)}
