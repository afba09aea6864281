from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_fddm.core.errors import ConfigError
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.estimates import estimate_record, read_estimate
from tests.support.stores import make

if TYPE_CHECKING:
    from pathlib import Path


def test_the_first_estimate_counts_and_survives_reopening(tmp_path: Path):
    with make(tmp_path / "s") as store:
        assert read_estimate(store) is None
        store.records.append(estimate_record(0.85, definition="fddm", reader="a"))
        store.records.append(estimate_record(0.9, definition="fddm", reader="a"))
    with AnalysisStore.open(tmp_path / "s") as store:
        assert read_estimate(store) == 0.85
        assert read_estimate(store, layer="reader-b") is None


@pytest.mark.parametrize("rate", [-0.01, 1.01, float("nan")])
def test_what_is_no_share_is_refused(rate: float):
    with pytest.raises(ConfigError):
        estimate_record(rate, definition="fddm")
