"""Cross-validation by site: whether retrained heads are better on sites they have not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.events import Progressed
from napari_fddm.training.adapt.events import STAGE_JUDGE, Verdict
from napari_fddm.training.adapt.guidance import LEAST_SITES_PER_CLASS
from napari_fddm.training.adapt.heads import cell_inputs, fit_heads, predict, tile_inputs

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.training.adapt.head_fitting import HeadFitting
    from napari_fddm.training.adapt.heads import Features, Heads
    from napari_fddm.training.adapt.samples import PaintedSamples, Samples
    from napari_fddm.training.adapt.unpainted import Unpainted

    Predicted = npt.NDArray[np.int64]

MOST_FOLDS = 5


def assign_folds(samples: PaintedSamples) -> dict[int, int]:
    """Return the fold of each site; the sites of a class go to the folds in turn.

    So no fold holds out all sites of a class that has two or more.
    """
    sites = np.unique(samples.cells.site)
    folds = min(MOST_FOLDS, len(sites))
    main = {int(s): _main_class(samples.cells, int(s)) for s in sites}
    order = sorted(main, key=lambda s: (main[s], s))
    return {site: number % folds for number, site in enumerate(order)}


def held_out_events(
    heads: Heads,
    samples: PaintedSamples,
    features: Features,
    unpainted: Unpainted,
    settings: HeadFitting,
) -> Generator[Progressed, None, tuple[Predicted, Predicted]]:
    """Predict every site with heads that were retrained without it.

    Yields
    ------
    Progressed
        After each fold.

    Returns
    -------
    tiles, cells : arrays of int64
        Class values of the painted tiles and cells, in the order of the samples.
    """
    fold_of = assign_folds(samples)
    folds = max(fold_of.values()) + 1
    tiles = np.zeros(len(samples.tiles), np.int64)
    cells = np.zeros(len(samples.cells), np.int64)
    for fold in range(folds):
        tile_out, cell_out = (
            np.array([fold_of[int(s)] == fold for s in part.site], bool)
            for part in (samples.tiles, samples.cells)
        )
        kept = type(samples)(samples.cells.part(~cell_out), samples.tiles.part(~tile_out))
        new = fit_heads(heads, kept, features, unpainted, settings)
        if tile_out.any():
            part = samples.tiles.part(tile_out)
            tiles[tile_out] = predict(new.tile, tile_inputs(part, features))
        if cell_out.any():
            part = samples.cells.part(cell_out)
            cells[cell_out] = predict(new.cell, cell_inputs(part, features))
        yield Progressed(STAGE_JUDGE, fold + 1, folds)
    return tiles, cells


def judge(
    heads: Heads,
    samples: PaintedSamples,
    features: Features,
    held_out: tuple[Predicted, Predicted],
    table: ClassTable,
) -> Verdict:
    """Compare the old heads with what retrained ones predicted on held-out sites.

    Parameters
    ----------
    heads : Heads
        The old heads.
    samples : PaintedSamples
        What was painted.
    features : mapping
        Inputs of the heads for every painted tile.
    held_out : tuple of array of int64
        Predictions of tiles and of cells, from `held_out_events`.
    table : ClassTable
        The classes.
    """
    judged = [v for v, n in samples.sites_of().items() if n >= LEAST_SITES_PER_CLASS]
    tiles_before = held_out[0]  # without painted tiles: an empty array, too
    if len(samples.tiles):
        tiles_before = predict(heads.tile, tile_inputs(samples.tiles, features))
    cells_before = predict(heads.cell, cell_inputs(samples.cells, features))
    sites = len(np.unique(samples.cells.site[np.isin(samples.cells.label, judged)]))
    return Verdict(
        balanced_accuracy(samples.tiles, tiles_before, judged),
        balanced_accuracy(samples.tiles, held_out[0], judged),
        balanced_accuracy(samples.cells, cells_before, judged),
        balanced_accuracy(samples.cells, held_out[1], judged),
        sites,
        tuple(table.shorts[v - 1] for v in judged),
    )


def changed_share(old: Heads, new: Heads, unpainted: Unpainted) -> float:
    """Return the share of unpainted tiles to which new heads give another class."""
    if not len(unpainted.tiles):
        return 0.0
    before, after = (predict(heads.tile, unpainted.tiles) for heads in (old, new))
    return float((before != after).mean())


def balanced_accuracy(
    samples: Samples, predicted: Predicted, classes: Sequence[int]
) -> float | None:
    """Return the mean, over classes, of the share of painted samples that are right.

    Within a class every site counts the same. None if there is no sample of the classes.
    """
    judged = np.isin(samples.label, classes)
    if not judged.any():
        return None
    weights = samples.part(judged).weights()
    right = predicted[judged] == samples.label[judged]
    return float((weights * right).sum() / weights.sum())


def _main_class(cells: Samples, site: int) -> int:
    here = cells.site == site
    return int(np.bincount(cells.label[here], weights=cells.cover[here]).argmax())
