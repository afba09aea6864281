"""Region datasets of annotated slides: stage 1 classifies regions of ``dataset build``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import DataError
from napari_fddm.core.geometry import Window
from napari_fddm.core.tiling import CELL_PX, CELLS_PER_TILE, TileGrid
from napari_fddm.slides import ArraySlide
from napari_fddm.training.data.majority import cell_majority
from napari_fddm.training.regions.coarse import classify_window
from napari_fddm.training.regions.files import (
    RegionMeta,
    RegionSet,
    RegionSlide,
    slide_path,
    write_region_set,
    write_region_slide,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_fddm.pipeline.stage1.classify import Classifies
    from napari_fddm.training.data import Dataset

TRAINED_ON = "train"
"""The split whose cases stage 1 was trained on."""


def build_from_dataset(
    dataset: Dataset,
    folder: Path,
    model: Classifies,
    *,
    analysis_mpp: float,
    stage1: str,
    splits: Sequence[str] = ("val", "test"),
) -> Iterator[str]:
    """Run stage 1 on regions that it was not trained on, and yield the name of each.

    Parameters
    ----------
    dataset : Dataset
        Made by ``dataset build --kind regions``, with the manifest and splits of stage 1.
    folder : Path
        The region dataset to write; regions that exist are kept.
    model : Classifies
        Stage 1.
    analysis_mpp : float
        µm per pixel of its tiles.
    stage1 : str
        Description of that model.
    splits : sequence of str
        The splits to take; not the one that stage 1 was trained on.

    Raises
    ------
    DataError
        If the dataset holds no regions, they are coarser than the model's tiles or
        smaller than one, or nothing is left to take.
    """
    settings = dataset.settings
    if settings["kind"] != "regions":
        raise DataError(
            f"{dataset.folder} holds {settings['kind']}, not regions.",
            hint="Cut them with `napari-fddm dataset build MANIFEST --kind regions`.",
        )
    mpp = float(settings["mpp"])
    if mpp > analysis_mpp * 1.01:
        raise DataError(
            f"the regions of {dataset.folder} are stored at {mpp:g} µm per px, but the model "
            f"needs {analysis_mpp:g}.",
            hint=f"Cut them with --mpp {analysis_mpp:g}.",
        )
    if TRAINED_ON in splits:
        raise DataError(
            f"stage 1 was trained on the split {TRAINED_ON!r}, so its maps there are too good.",
            hint="Take val, test or both.",
        )
    wanted = [int(i) for split in splits for i in dataset.indices(split)]
    if not wanted:
        raise DataError(f"{dataset.folder} has no regions in {', '.join(splits)}.")
    seen = tuple(sorted({p.case for p in dataset.parts if p.split == TRAINED_ON}))
    about = RegionSet(
        classes=dataset.classes, cell_um=CELL_PX * analysis_mpp, title="regions of annotated slides"
    )
    write_region_set(folder, about)
    for index in wanted:
        part = dataset.parts[int(dataset.part_of[index])]
        meta = RegionMeta(
            slide=f"{part.key}-{index}",
            case=part.case,
            stage1=stage1,
            stage1_cases=seen,
            distinct_cases=dataset.distinct_cases,
        )
        if not slide_path(folder, meta.slide).exists():
            write_region_slide(folder, _classified(dataset, index, meta, model, mpp, analysis_mpp))
        yield meta.slide


def _classified(
    dataset: Dataset,
    index: int,
    meta: RegionMeta,
    model: Classifies,
    mpp: float,
    analysis_mpp: float,
) -> RegionSlide:
    pixels, truth = dataset.read([index])[0], dataset.truth[index]
    grid = TileGrid(truth.shape, mpp, analysis_mpp)
    rows, cols = grid.shape
    cells = rows * CELLS_PER_TILE, cols * CELLS_PER_TILE
    coarse = classify_window(
        ArraySlide(pixels, mpp=mpp, name=meta.slide),
        grid,
        Window(0, 0, rows, cols),
        model,
        len(dataset.classes),
    )
    # Truth at the cells' own resolution: each takes the labels of the px around its center.
    scale = grid.cell_geometry.cell / CELL_PX  # stored px per analysis px
    take = [
        np.minimum(((np.arange(n * CELL_PX) + 0.5) * scale).astype(np.intp), size - 1)
        for n, size in zip(cells, truth.shape, strict=True)
    ]
    return RegionSlide(meta, coarse, cell_majority(truth[np.ix_(*take)], len(dataset.classes)))
