"""Compare the prediction and the truth of one slide, on the grid of the truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.necrosis import ClassAreas
from napari_fddm.evaluation import grids
from napari_fddm.evaluation.boundary import TOLERANCE_UM, BoundaryCounts, count_boundaries
from napari_fddm.evaluation.calibration import (
    CalibrationSums,
    check_probabilities,
    sum_calibration,
)
from napari_fddm.evaluation.confusion import BACKGROUND, Area, Confusion
from napari_fddm.evaluation.metrics import DEFAULT, MetricSettings
from napari_fddm.evaluation.outlines import read_outline_input
from napari_fddm.evaluation.reading import (
    LabelInput,
    ReadingSettings,
    is_outlines,
    read_label_input,
    read_probabilities,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.evaluation.pairs import Pair

    Labels = npt.NDArray[np.uint8]
    Cells = npt.NDArray[np.bool_]

_COVERED = 0.99
"""Below this the cells that the prediction leaves out are worth a note."""


@dataclass(frozen=True, slots=True)
class SlideSettings:
    """Settings of the comparison of a slide.

    Attributes
    ----------
    metrics : MetricSettings
        Its mask is used here.
    pred, truth : ReadingSettings
        How the two are read.
    tolerance_um : float or None
        Of the boundary F-score, µm; None: none is computed.
    calibration : bool
        Whether probabilities are compared with the truth.
    """

    metrics: MetricSettings = DEFAULT
    pred: ReadingSettings = field(default_factory=ReadingSettings)
    truth: ReadingSettings = field(default_factory=ReadingSettings)
    tolerance_um: float | None = TOLERANCE_UM
    calibration: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class SlideResult:
    """Results of one slide.

    Attributes
    ----------
    slide, case : str
        Their names.
    confusion : Confusion
        Of the evaluated cells, on the truth's grid.
    cell_um : float or None
        Edge of a cell, µm, where it is known.
    covered, covered_tissue : float
        Share of the truth's labeled cells that the prediction labels too: of all, and
        of all but background.
    boundary : BoundaryCounts or None
        None where there is no cell size, or none is wanted.
    calibration : CalibrationSums or None
        None where there are no probabilities.
    no_calibration : str
        Why there are none.
    readers : dict of str to ClassAreas
        Areas of further raters on the evaluated cells that they label.
    inputs : dict
        What identifies the maps, for the report.
    notes : tuple of str
        Notes for the reader of the scores.
    """

    slide: str
    case: str
    confusion: Confusion
    cell_um: float | None
    covered: float
    covered_tissue: float
    boundary: BoundaryCounts | None
    calibration: CalibrationSums | None
    no_calibration: str
    readers: dict[str, ClassAreas]
    inputs: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def cell_mm2(self) -> float:
        """Area of a cell, mm²; 1 where it is not known: areas are then counts of cells."""
        return 1.0 if self.cell_um is None else (self.cell_um / 1000) ** 2


def evaluate_slide(pair: Pair, settings: SlideSettings) -> SlideResult:
    """Compare a prediction with the truth.

    Parameters
    ----------
    pair : Pair
        The slide.
    settings : SlideSettings
        How.

    Raises
    ------
    FddmError
        If a map cannot be read, they are of two slides, or nothing can be compared.
    """
    truth, prediction = _read_both(pair, settings)
    if prediction.source == truth.source:
        raise ConfigError(
            f"{pair.slide}: prediction and truth are the same label map, {truth.name}.",
            hint="Of one analysis, name two label maps with --pred-label and --truth-label.",
        )
    notes = [*truth.notes, *prediction.notes]
    predicted, index, more = _on_truth(prediction, truth)
    notes += more
    area = _area(pair, settings.metrics, truth)
    confusion = Confusion.from_labels(truth.labels, predicted, area=area, table=truth.table)
    scored = area.scored(truth.labels, predicted, truth.table)
    covered, of_tissue = _covered(truth, predicted)
    if not scored.any():
        raise ConfigError(
            f"{pair.slide}: {_why_nothing(truth, predicted, area)}.",
            hint="Check that both maps are of this slide and are not empty.",
        )
    if of_tissue < _COVERED:  # glass that a tissue mask left out is no loss
        notes.append(
            f"the prediction leaves out {1 - covered:.1%} of what the truth labels and "
            f"{1 - of_tissue:.1%} of its tissue: that is in no score"
        )
    notes += left_notes(truth, prediction, predicted)
    notes += _provenance_notes(truth, prediction)
    if np.array_equal(truth.labels, predicted) and confusion.counts.any(axis=1).sum() > 1:
        notes.append("prediction and truth are alike in every cell: is one a copy of the other?")
    cell_um = grids.truth_cell_um(truth.grid, prediction.grid)
    boundary = None
    if settings.tolerance_um is not None and cell_um is not None:
        boundary = count_boundaries(
            truth.labels,
            predicted,
            scored,
            cell_um=cell_um,
            tolerance_um=settings.tolerance_um,
            table=truth.table,
        )
    sums, why = _calibration(prediction, truth, scored, settings)
    readers, reader_inputs, more = _readers(pair, settings, truth, scored, cell_um)
    inputs = {
        "truth": truth.to_json(),
        "prediction": prediction.to_json(),
        "readers": reader_inputs,
    }
    inputs["prediction"]["rows_and_columns"] = index
    return SlideResult(
        pair.slide,
        pair.case,
        confusion,
        cell_um,
        covered,
        of_tissue,
        boundary,
        sums,
        why,
        readers,
        inputs,
        tuple(notes + more),
    )


def _read_both(pair: Pair, settings: SlideSettings) -> tuple[LabelInput, LabelInput]:
    """Read truth and prediction; outlines get the grid of the other one."""
    given = {
        "truth": (pair.truth, _with_mpp(settings.truth, pair.mpp)),
        "pred": (pair.pred, _with_mpp(settings.pred, pair.mpp)),
    }
    drawn = [side for side, (source, _) in given.items() if is_outlines(source)]
    if len(drawn) == 2:
        raise ConfigError(
            f"{pair.slide}: prediction and truth are both outlines, without cells to compare.",
            hint="Compare outlines with an analysis.",
        )
    if not drawn:
        return read_label_input(*given["truth"]), read_label_input(*given["pred"])
    other = read_label_input(*given["pred" if drawn == ["truth"] else "truth"])
    outlines = read_outline_input(*given[drawn[0]], other)
    return (outlines, other) if drawn == ["truth"] else (other, outlines)


def _with_mpp(settings: ReadingSettings, mpp: float | None) -> ReadingSettings:
    return settings if mpp is None else replace(settings, mpp=mpp)


def _on_truth(given: LabelInput, truth: LabelInput) -> tuple[Labels, str, list[str]]:
    """Return a map on the truth's grid, and how it was resampled."""
    if given.table != truth.table:
        raise ConfigError(
            f"{given.name} and {truth.name} have other classes.",
            hint="Compare maps of the same classes.",
        )
    prints = (given.fingerprint, truth.fingerprint)
    if None not in prints and prints[0] != prints[1]:
        raise ConfigError(
            f"{given.name} and {truth.name} are of two slides, by their fingerprints.",
            hint="Give two maps of one slide.",
        )
    grids.check_same_slide(truth.grid, given.grid, (truth.name, given.name))
    if grids.same_place(truth.grid, given.grid):
        return given.labels, "the truth's", []
    rows, cols = grids.nearest_index(truth.grid, given.grid)
    how = (
        f"{given.name} ({given.grid.in_words()}) was brought onto the truth's grid "
        f"({truth.grid.in_words()}) by nearest neighbor"
    )
    return grids.resample(given.labels, rows, cols), "nearest neighbor", [how]


def _area(pair: Pair, metrics: MetricSettings, truth: LabelInput) -> Area:
    if metrics.mask == "tissue":
        if pair.tissue is None:
            raise ConfigError(
                f"{pair.slide}: --mask tissue needs a tissue mask.",
                hint="Give --tissue MASK, or a column tissue in the manifest.",
            )
        return Area("tissue", tissue=_mask(pair.tissue, truth))
    if metrics.mask == "annotation":
        drawn = None if pair.annotation is None else _mask(pair.annotation, truth)
        return Area("annotation", annotation=drawn)
    return Area()


def _mask(path: str, truth: LabelInput) -> Cells:
    """Return a mask picture on the truth's grid."""
    from napari_fddm.pipeline.tissue import read_user_mask
    from napari_fddm.pipeline.tissue.outline_mask import OutlineMask

    if not Path(path).exists():
        raise ConfigError(f"the mask {path} does not exist.", hint="Check the path.")
    mask = read_user_mask(path)
    if mask is None:
        raise ConfigError(f"{path} is no mask.", hint="Give a picture, non-zero inside.")
    geometry = truth.grid.geometry
    if isinstance(mask, OutlineMask):
        if geometry is None or not truth.level0:
            raise ConfigError(
                f"the outlines of {mask.name} are in pixels of the slide's full resolution, but "
                f"{truth.name} does not say where it lies in those.",
                hint="Give the mask as a picture.",
            )
        cells = mask.cells(geometry)
    else:
        shape = (mask.image.shape[0], mask.image.shape[1])
        place = mask.place
        if mask.cell is not None and geometry is not None:  # a mask of our own
            place = MapGeometry(shape, mask.cell, geometry.mpp)
        grid = grids.Grid(shape, place, placed=mask.begins)
        grids.check_same_slide(truth.grid, grid, (truth.name, mask.name))
        rows, cols = grids.nearest_index(truth.grid, grid)
        cells = np.asarray(grids.resample(mask.image, rows, cols), np.bool_)
    if not cells.any():
        raise ConfigError(
            f"the mask {mask.name} is empty where the truth lies.",
            hint="It must be non-zero inside.",
        )
    return cells


def left_notes(truth: LabelInput, prediction: LabelInput, predicted: Labels) -> list[str]:
    """Return notes on what the prediction labels and the truth does not.

    Parameters
    ----------
    truth, prediction : LabelInput
        The two maps.
    predicted : array of uint8, shape (H, W)
        The prediction on the truth's grid.
    """
    cell_um = truth.grid.cell_um
    notes = []
    mine, theirs = truth.grid.extent_um, prediction.grid.extent_um
    if mine is not None and theirs is not None and grids.is_crop(truth.grid, prediction.grid):
        areas = [h * w / 1e6 for h, w in (mine, theirs)]
        if areas[0] < _COVERED * areas[1]:
            notes.append(
                f"the truth {truth.name} covers {areas[0]:.3g} of {areas[1]:.3g} mm²: outside of "
                "it nothing is scored"
            )
    without = int(np.count_nonzero((predicted != 0) & (truth.labels == 0)))
    if without:
        size = "" if cell_um is None else f" ({without * (cell_um / 1000) ** 2:.3g} mm²)"
        notes.append(
            f"{without} cells{size} that the prediction labels have no class in the truth: they "
            "are in no score"
        )
    return notes


def _covered(truth: LabelInput, predicted: Labels) -> tuple[float, float]:
    """Return the share of the labeled truth, and of its tissue, that has a prediction."""
    labeled = truth.labels != 0
    tissue = labeled & (truth.labels != truth.table[BACKGROUND].value)
    shares = []
    for cells in (labeled, tissue):
        total = int(np.count_nonzero(cells))
        shares.append(int(np.count_nonzero(predicted[cells])) / total if total else 1.0)
    return shares[0], shares[1]


def _why_nothing(truth: LabelInput, predicted: Labels, area: Area) -> str:
    if not truth.labels.any():
        return f"the truth {truth.name} has no labeled cell"
    if not predicted.any():
        return "the prediction has no labeled cell where the truth lies"
    if area.mode != "none":
        return f"nothing that both maps label lies inside the {area.mode} mask"
    return "the two maps label no cell in common"


def _provenance_notes(truth: LabelInput, prediction: LabelInput) -> list[str]:
    found = []
    if prediction.about.get("edited_cells"):
        found.append(
            f"the prediction {prediction.name} holds corrections by a reader "
            f"({prediction.about['edited_cells']} cells); --pred-label refined is the model alone"
        )
    if truth.store is not None and truth.store == prediction.store:
        found.append(
            "the truth was made by correcting this prediction: what its reader let stand counts "
            "as right, so scores are too high"
        )
    return found


def _calibration(
    prediction: LabelInput, truth: LabelInput, scored: Cells, settings: SlideSettings
) -> tuple[CalibrationSums | None, str]:
    if not settings.calibration:
        return None, "it was not asked for"
    try:
        probabilities, name = read_probabilities(prediction)
    except ConfigError as error:
        return None, error.message
    check_probabilities(probabilities, f"{prediction.name}: {name} probabilities")
    grid = grids.Grid(
        probabilities.geometry.shape, probabilities.geometry, prediction.grid.slide_um
    )
    rows, cols = grids.nearest_index(truth.grid, grid)
    sums = sum_calibration(probabilities, rows, cols, truth.labels, scored)
    return (sums, "") if sums.total else (None, "no evaluated cell has probabilities")


def _readers(
    pair: Pair,
    settings: SlideSettings,
    truth: LabelInput,
    scored: Cells,
    cell_um: float | None,
) -> tuple[dict[str, ClassAreas], dict[str, Any], list[str]]:
    areas, inputs, notes = {}, {}, []
    cell_mm2 = 1.0 if cell_um is None else (cell_um / 1000) ** 2
    for name, source in pair.readers:
        how = _with_mpp(settings.truth, pair.mpp)
        if is_outlines(source):
            given = read_outline_input(source, how, truth)
        else:
            given = read_label_input(source, how)
        labels, _, more = _on_truth(given, truth)
        counted = np.where(scored, labels, 0).astype(np.uint8)
        areas[name] = ClassAreas.from_labels(counted, cell_mm2, truth.table)
        inputs[name] = given.to_json()
        notes += [*given.notes, *more]
    return areas, inputs, notes
