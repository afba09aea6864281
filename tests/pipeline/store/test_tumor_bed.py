"""The outline of the tumor bed in the event log: the last one counts, for each map."""

from __future__ import annotations

import numpy as np

from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.tumor_bed import read_tumor_bed, tumor_bed_record
from tests.support.stores import make

TRIANGLE = np.array([[0.0, 0.0], [10.126, 0.0], [0.0, 7.5]])


def test_the_last_outline_counts_and_none_takes_it_back(path):
    make(path).close()
    with AnalysisStore.open(path, "r+") as store:
        assert read_tumor_bed(store) == ()
        store.records.append(tumor_bed_record([TRIANGLE, TRIANGLE + 50]))
        store.records.append(tumor_bed_record([TRIANGLE * 2]))
        (polygon,) = read_tumor_bed(store)
        assert polygon.tolist() == [[0.0, 0.0], [20.25, 0.0], [0.0, 15.0]]
        store.records.append(tumor_bed_record([]))
        assert read_tumor_bed(store) == ()


def test_each_readers_map_has_its_own(path):
    make(path).close()
    with AnalysisStore.open(path, "r+") as store:
        store.records.append(tumor_bed_record([TRIANGLE], layer="reader-ab"))
        assert read_tumor_bed(store) == ()
        assert len(read_tumor_bed(store, layer="reader-ab")) == 1
