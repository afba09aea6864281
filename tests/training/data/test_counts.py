"""The table of classes and splits adds up, and says what cannot be learned from."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.errors import DataError
from napari_fddm.training.data.counts import ClassCounts


def test_the_table_of_counts_adds_up():
    rng = np.random.default_rng(0)
    values, splits = rng.integers(1, 8, 500), rng.choice(["train", "val", "test"], 500)
    made = ClassCounts.of(values, list(splits))
    lines = made.to_text().splitlines()
    numbers = [[int(c.replace(",", "")) for c in line.split()[-4:]] for line in lines[2:9]]
    total = [int(c.replace(",", "")) for c in lines[-1].split()[-4:]]
    for number, row in enumerate(numbers, start=1):
        assert row[3] == sum(row[:3]) == (values == number).sum()
    assert total == [sum(column) for column in zip(*numbers, strict=True)]
    assert total[3] == 500


def test_data_that_cannot_be_learned_from_are_refused():
    def of(*pairs):
        return ClassCounts.of(np.array([p[0] for p in pairs]), [p[1] for p in pairs])

    for made, words in (
        (of((2, "val"), (3, "val")), "train is empty"),
        (of((2, "train"), (2, "val")), "one class only, VT"),
        (of((2, "train"), (3, "train"), (7, "val")), "no tiles of NT"),
    ):
        with pytest.raises(DataError, match=words):
            made.check()
    of((2, "train"), (3, "train"), (7, "val")).check(allow_missing=True)
