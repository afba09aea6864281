"""Counts of samples by class and split, as a table, and checks that they can be learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable
from napari_fddm.core.errors import DataError
from napari_fddm.training.data.manifest import SPLITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class ClassCounts:
    """Number of samples of each class in each split.

    Attributes
    ----------
    counts : array of int64, shape (classes, 3)
        One column for each of `SPLITS`.
    table : ClassTable
        The classes.
    unit : str
        What is counted, in words: tiles, patches or regions.
    """

    counts: npt.NDArray[np.int64]
    table: ClassTable = OSTEOSARCOMA
    unit: str = "tiles"

    @classmethod
    def of(
        cls,
        values: npt.NDArray[np.integer],
        splits: Sequence[str],
        *,
        table: ClassTable = OSTEOSARCOMA,
        unit: str = "tiles",
    ) -> ClassCounts:
        """Count samples, given the label value and the split of each."""
        counts = np.zeros((len(table), len(SPLITS)), np.int64)
        columns = np.array([SPLITS.index(s) for s in splits], np.int64)
        np.add.at(counts, (np.asarray(values, np.int64) - 1, columns), 1)
        return cls(counts, table, unit)

    @property
    def present(self) -> tuple[str, ...]:
        """Abbreviations of the classes that occur."""
        return tuple(t.short for t in self.table if self.counts[t.channel].any())

    def of_split(self, split: str) -> npt.NDArray[np.int64]:
        """Return the counts by class of one split."""
        return self.counts[:, SPLITS.index(split)]

    def check(self, *, allow_missing: bool = False) -> None:
        """Raise an error if a model cannot learn from these samples.

        Raises
        ------
        DataError
            If the training data are empty, hold one class only, or lack a class that other
            splits have.
        """
        train = self.of_split("train")
        if not train.any():
            raise DataError(
                f"the split train is empty: there are no {self.unit} to learn from.",
                hint="Check the column split, or lower --val-share and --test-share.",
            )
        if (train > 0).sum() < 2:
            only = self.table.shorts[int(train.argmax())]
            raise DataError(
                f"the split train holds one class only, {only}: there is nothing to tell apart.",
                hint="Add images of another class.",
            )
        missing = [t for t in self.present if not train[self.table[t].channel]]
        if missing and not allow_missing:
            raise DataError(
                f"the split train has no {self.unit} of {', '.join(missing)}, which other splits "
                "have: that cannot be learned.",
                hint="Move a case, choose another --seed, or give --allow-missing.",
            )

    def to_text(self) -> str:
        """Return the table as text, with a row for each class and totals of rows and columns."""
        head = ("class", *SPLITS, "total")
        rows = [
            (f"{t.short}  {t.name}", *self.counts[t.channel], self.counts[t.channel].sum())
            for t in self.table
        ]
        rows.append(("total", *self.counts.sum(axis=0), self.counts.sum()))
        cells = [[str(head[0]), *head[1:]]] + [
            [str(r[0]), *(f"{int(n):,}" for n in r[1:])] for r in rows
        ]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        lines = ["  ".join(_padded(row, widths)) for row in cells]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def to_json(self) -> dict[str, dict[str, int]]:
        """Return class → split → count."""
        return {
            t.short: {s: int(n) for s, n in zip(SPLITS, self.counts[t.channel], strict=True)}
            for t in self.table
        }


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Pad the cells of a row to their columns: text left-aligned, numbers right-aligned."""
    numbers = [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
    return [row[0].ljust(widths[0]), *numbers]
