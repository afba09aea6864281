"""The necrosis rate: definitions, class areas, Huvos cut-offs and grade, slides of a case pooled.

Sources: the paper's rate (FDDM section 3.1.2, ``docs/algorithm.md#necrosis-rate``),
what we do about empty and tiny tumor beds (``docs/algorithm.md#no-rate``), and why
several definitions stand side by side (``docs/definitions.md``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable
from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

MIN_BED_MM2 = 0.01
"""A tumor bed below this (about ten bridge cells) gives no rate."""
GOOD_RESPONSE = 0.9
"""Rate from which on a response counts as good: Huvos grades III and IV."""
MAX_NON_TUMOR = 0.99
"""With this share of non-tumor among tissue the rate is not applicable."""
_MOST_DIGITS = 12
_COUNT_BLOCK = 1 << 20
"""Cells counted at once, so that a block stays in the processor's cache."""


def beside(value: float, *limits: float, digits: int, per: int = 1) -> str:
    """Return a number with as many digits as it takes to see on which side of a limit it lies.

    0.00996 beside 0.01 is "0.00996" with four digits wanted, not "0.0100".

    Parameters
    ----------
    value : float
        The number.
    *limits : float
        What it is compared with.
    digits : int
        Digits behind the point that it has at least.
    per : int
        100 for percent.
    """
    for count in range(digits, _MOST_DIGITS):
        text = f"{value * per:.{count}f}"
        shown = float(text) / per
        if all((shown < e) == (value < e) and (shown > e) == (value > e) for e in limits):
            return text
    return f"{value * per:.{digits}f}"


@dataclass(frozen=True, slots=True)
class NecrosisDefinition:
    """Which classes count, and where the grades lie.

    Attributes
    ----------
    name, title : str
        Key in reports and what a user reads.
    numerator, denominator : tuple of str
        Class abbreviations; the numerator is part of the denominator.
    source : str
        Where the definition comes from.
    cutoffs : tuple of float
        Lower ends of Huvos grade II and III.
    epsilon : float
        Grade IV needs a viable share at or below this: a model that labels pixels
        never finds exactly 100 %.
    """

    name: str
    title: str
    numerator: tuple[str, ...]
    denominator: tuple[str, ...]
    source: str
    cutoffs: tuple[float, float] = (0.5, 0.9)
    epsilon: float = 0.001

    def __post_init__(self) -> None:
        """Refuse a numerator that is not part of the denominator."""
        stray = set(self.numerator) - set(self.denominator)
        if stray or not self.numerator:
            raise ConfigError(
                f"definition {self.name!r}: the numerator must be part of the denominator, "
                f"{sorted(stray)} is not."
            )

    @property
    def formula(self) -> str:
        """The ratio of areas in class abbreviations: "NC / (VT + NC)"."""
        above, below = (" + ".join(part) for part in (self.numerator, self.denominator))
        return f"({above}) / ({below})" if len(self.numerator) > 1 else f"{above} / ({below})"

    def percent(self, rate: float, *further: float) -> str:
        """Return a rate in percent, with the digits that it needs beside the cut-offs.

        Parameters
        ----------
        rate : float
            In [0, 1].
        *further : float
            Other limits that are shown beside it.
        """
        return beside(rate, *self.cutoffs, 1.0 - self.epsilon, *further, digits=1, per=100)

    def huvos(self, rate: float) -> str:
        """Return the Huvos grade of a rate in [0, 1]: "I" … "IV"."""
        if rate >= 1.0 - self.epsilon:
            return "IV"
        if rate >= self.cutoffs[1]:
            return "III"
        return "II" if rate >= self.cutoffs[0] else "I"


FDDM = NecrosisDefinition(
    "fddm",
    "FDDM: all but viable tumor",
    ("NC", "FH", "HC", "IF"),
    ("VT", "NC", "FH", "HC", "IF"),
    "Nguyen et al., ISBI 2025, section 3.1.2",
)
STRICT = NecrosisDefinition(
    "strict",
    "strict: necrosis against viable tumor",
    ("NC",),
    ("VT", "NC"),
    "necrotic to overall tumor, without fibrosis, hemorrhage and inflammation",
)
DEFINITIONS: dict[str, NecrosisDefinition] = {d.name: d for d in (FDDM, STRICT)}


def find_definition(name: str, further: Sequence[NecrosisDefinition] = ()) -> NecrosisDefinition:
    """Return the definition of this name.

    Parameters
    ----------
    name : str
        "fddm", "strict" or one of the further ones.
    further : sequence of NecrosisDefinition
        The user's own.

    Raises
    ------
    ConfigError
        If there is none.
    """
    known = DEFINITIONS | {d.name: d for d in further}
    try:
        return known[name]
    except KeyError:
        raise ConfigError(
            f"there is no necrosis definition {name!r}.", hint=f"Known are {', '.join(known)}."
        ) from None


@dataclass(frozen=True, slots=True)
class ClassAreas:
    """How many cells each class has, and how large a cell is.

    Attributes
    ----------
    counts : tuple of int
        Cells by label value; index 0 counts the cells not analyzed.
    cell_mm2 : float
        Area of a cell, mm².
    table : ClassTable
        The classes behind the values 1…n.
    """

    counts: tuple[int, ...]
    cell_mm2: float
    table: ClassTable = OSTEOSARCOMA

    def __post_init__(self) -> None:
        """Refuse counts that do not fit the table and cells without an area."""
        if len(self.counts) != len(self.table) + 1 or min(self.counts) < 0:
            raise ConfigError(
                f"areas need {len(self.table) + 1} counts of 0 or more, got {self.counts}."
            )
        if not (math.isfinite(self.cell_mm2) and self.cell_mm2 > 0):
            raise ConfigError(f"a cell needs an area above 0 mm², got {self.cell_mm2}.")

    @classmethod
    def from_counts(
        cls, counts: Sequence[int] | npt.NDArray[np.int64], cell_mm2: float
    ) -> ClassAreas:
        """Build from counts by label value, index 0 included."""
        return cls(tuple(int(n) for n in counts), cell_mm2)

    @classmethod
    def from_labels(
        cls,
        labels: npt.NDArray[np.uint8],
        cell_mm2: float,
        table: ClassTable = OSTEOSARCOMA,
    ) -> ClassAreas:
        """Count a label map of shape (H, W)."""
        return cls(tuple(count_labels(labels, len(table)).tolist()), cell_mm2, table)

    def cells(self, *shorts: str) -> int:
        """Return how many cells have one of these classes."""
        return sum(self.counts[self.table[short].value] for short in shorts)

    def mm2(self, *shorts: str) -> float:
        """Return the area of these classes, mm²."""
        return self.cells(*shorts) * self.cell_mm2

    @property
    def analyzed_mm2(self) -> float:
        """Area with any class, mm²."""
        return sum(self.counts[1:]) * self.cell_mm2

    def by_short(self) -> dict[str, float]:
        """Return the area of every class, mm²."""
        return {c.short: self.mm2(c.short) for c in self.table}


def count_labels(values: npt.NDArray[np.uint8], n_classes: int) -> npt.NDArray[np.int64]:
    """Count the cells of each value 0…n_classes, int64 of shape (n_classes + 1,).

    Parameters
    ----------
    values : array of uint8, any shape
        Label values.
    n_classes : int
        The highest value allowed.

    Raises
    ------
    ConfigError
        If a value beyond the classes occurs.
    """
    counts = np.zeros(n_classes + 1, np.int64)
    flat = values.reshape(-1)
    for start in range(0, flat.size, _COUNT_BLOCK):
        block = flat[start : start + _COUNT_BLOCK]
        counts += [np.count_nonzero(block == value) for value in range(n_classes + 1)]
    if counts.sum() != flat.size:
        strange = np.unique(flat[flat > n_classes]).tolist()
        raise ConfigError(
            f"the label map holds the values {strange}, but the classes end at {n_classes}.",
            hint="Paint with the classes of the table only.",
        )
    return counts


@dataclass(frozen=True, slots=True)
class RateResult:
    """One definition applied to one set of areas.

    Attributes
    ----------
    definition : NecrosisDefinition
        What was computed.
    rate : float or None
        In [0, 1]; None where there is no answer.
    reason : str
        Why the rate is None; empty otherwise.
    numerator_mm2, denominator_mm2 : float
        The two areas.
    huvos : str or None
        Grade that belongs to this definition.
    """

    definition: NecrosisDefinition
    rate: float | None
    reason: str
    numerator_mm2: float
    denominator_mm2: float
    huvos: str | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "rate": self.rate,
            "reason": self.reason,
            "numerator_mm2": self.numerator_mm2,
            "denominator_mm2": self.denominator_mm2,
            "huvos": self.huvos,
            "title": self.definition.title,
            "formula": self.definition.formula,
            "huvos_cutoffs": list(self.definition.cutoffs),
            "huvos_epsilon": self.definition.epsilon,
            "source": self.definition.source,
        }


def compute_rate(
    areas: ClassAreas, definition: NecrosisDefinition, *, min_bed_mm2: float = MIN_BED_MM2
) -> RateResult:
    """Apply a definition to areas; where there is no rate, say why.

    See ``docs/algorithm.md#necrosis-rate``.
    """
    numerator, denominator = areas.mm2(*definition.numerator), areas.mm2(*definition.denominator)
    reason = _why_no_rate(areas, definition, denominator, min_bed_mm2)
    if reason:
        return RateResult(definition, None, reason, numerator, denominator, None)
    # From whole cells, so that it neither leaves [0, 1] nor depends on their size.
    rate = areas.cells(*definition.numerator) / areas.cells(*definition.denominator)
    return RateResult(definition, rate, "", numerator, denominator, definition.huvos(rate))


def _why_no_rate(
    areas: ClassAreas, definition: NecrosisDefinition, denominator_mm2: float, min_bed_mm2: float
) -> str:
    if areas.analyzed_mm2 == 0:
        return "nothing was analyzed"
    if denominator_mm2 == 0:
        bed = [c.short for c in areas.table.tumor_bed]
        names = " or ".join(areas.table[short].name for short in definition.denominator)
        return "no tumor bed was found" if areas.mm2(*bed) == 0 else f"no {names} was found"
    tissue = areas.analyzed_mm2 - areas.mm2("BG")
    if areas.mm2("NT") >= MAX_NON_TUMOR * tissue:
        return f"non-tumor tissue is {MAX_NON_TUMOR:.0%} or more of the tissue"
    if denominator_mm2 < min_bed_mm2:
        shorts = " + ".join(definition.denominator)
        area = beside(denominator_mm2, min_bed_mm2, 0.0, digits=4)
        return f"{shorts} has {area} mm², too little (below {min_bed_mm2:g} mm²)"
    return ""


@dataclass(frozen=True, slots=True)
class NecrosisReport:
    """Every definition on one label map, with what the numbers rest on.

    Attributes
    ----------
    areas : ClassAreas
        Cells and mm² per class.
    results : tuple of RateResult
        One for each definition; the first is the main one, shown in large type.
    coverage : float or None
        Share of the slide's tissue that was analyzed, in [0, 1].
    edited : float
        Share of the analyzed cells that differ from the model's.
    """

    areas: ClassAreas
    results: tuple[RateResult, ...]
    coverage: float | None = None
    edited: float = 0.0

    @property
    def main(self) -> RateResult:
        """The result of the chosen definition, shown in large type."""
        return self.results[0]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, in the layout of ``rate --json``."""
        return {
            "definition": self.main.definition.name,
            "rate": self.main.rate,
            "reason": self.main.reason,
            "huvos": self.main.huvos,
            "definitions": {r.definition.name: r.to_json() for r in self.results},
            "areas_mm2": self.areas.by_short(),
            "coverage": self.coverage,
            "edited": self.edited,
        }


def necrosis_report(
    labels: ClassAreas | npt.NDArray[np.uint8],
    *,
    mpp: float | None = None,
    definition: str = "fddm",
    definitions: Sequence[NecrosisDefinition] = (),
    coverage: float | None = None,
    edited: float = 0.0,
) -> NecrosisReport:
    """Apply every known definition; the named one comes first.

    Parameters
    ----------
    labels : ClassAreas or array of uint8, shape (H, W)
        Cells per class, or a label map: 0 not analyzed, 1…7 the classes.
    mpp : float
        Micrometers per cell of a label map; needed with one, and only with one.
    definition : str
        The one that comes first, the main result.
    definitions : sequence of NecrosisDefinition
        The user's own, beside the built-in ones.
    coverage, edited : float
        As in `NecrosisReport`.

    Raises
    ------
    ConfigError
        If the definition is unknown, or the labels are not a label map.
    """
    areas = labels if isinstance(labels, ClassAreas) else _areas_of_map(labels, mpp)
    chosen = find_definition(definition, definitions)
    others = [d for d in (*DEFINITIONS.values(), *definitions) if d is not chosen]
    results = tuple(compute_rate(areas, d) for d in (chosen, *others))
    return NecrosisReport(areas, results, coverage, edited)


def _areas_of_map(labels: npt.NDArray[np.uint8], mpp: float | None) -> ClassAreas:
    values = np.asarray(labels)
    if values.ndim != 2 or values.dtype != np.uint8:
        raise ConfigError(
            f"a label map is a two-dimensional array of uint8, got {values.dtype} of shape "
            f"{values.shape}.",
            hint="Give 0 for what was not analyzed and the class values 1 to 7.",
        )
    if mpp is None:
        raise ConfigError(
            "a label map needs the size of its cells.", hint="Give mpp, micrometers per cell."
        )
    return ClassAreas.from_labels(values, (mpp / 1000.0) ** 2)


def pool_areas(slides: Sequence[ClassAreas]) -> ClassAreas:
    """Add up the areas of several slides, e.g. of a case: each mm² counts alike.

    See ``docs/algorithm.md#cases``.

    Raises
    ------
    ConfigError
        If there is no slide, or cell sizes or classes differ.
    """
    first = slides[0] if slides else None
    if first is None or any(
        s.table != first.table or not math.isclose(s.cell_mm2, first.cell_mm2, rel_tol=1e-6)
        for s in slides
    ):
        raise ConfigError(
            "areas can be pooled only over slides with the same classes and cell size.",
            hint="Analyze them with the same label resolution.",
        )
    columns = zip(*(s.counts for s in slides), strict=True)
    return ClassAreas(tuple(sum(column) for column in columns), first.cell_mm2, first.table)


def mean_rate(slides: Sequence[ClassAreas], definition: NecrosisDefinition) -> float | None:
    """Average the rates of slides, each slide counting alike, as the paper does.

    Slides without a rate are left out; None if no slide has one.
    """
    rates = [compute_rate(areas, definition).rate for areas in slides]
    known = [rate for rate in rates if rate is not None]
    return sum(known) / len(known) if known else None
