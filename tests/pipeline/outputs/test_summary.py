from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.outputs import StoreSummary, summarize_renamed, summarize_store
from tests.support.stores import make


def test_where_there_is_no_store_there_is_nothing_to_tell(tmp_path):
    assert summarize_store(tmp_path / "none.fddm.ome.zarr") is None
    (tmp_path / "other").mkdir()
    assert summarize_store(tmp_path / "other") is None


def test_it_tells_date_coverage_and_edits(tmp_path):
    path = tmp_path / "s.fddm.ome.zarr"
    with make(path) as store:
        for value in (2, 3):
            store.corrections.write(Window(0, 0, 2, 2), np.full((2, 2), value, np.uint8))
        store.log.append("note", text="no edit")
        store.update_provenance({"coverage": 0.25})
        store.finish()
    found = summarize_store(path)
    assert (found.edits, found.coverage, found.complete) == (2, 0.25, True)
    assert abs(datetime.now().astimezone() - found.when) < timedelta(minutes=5)
    assert "25% of the tissue, 2 edits" in found.text


def test_a_damaged_store_is_said(tmp_path):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    (path / "fddm" / "provenance.json").write_text("{")
    with pytest.raises(StoreError, match="provenance"):
        summarize_store(path)


def test_what_is_not_known_is_left_out(tmp_path):
    finished = StoreSummary(tmp_path, None, None, True, 0)
    assert finished.text == "This slide has an analysis (no edits)."
    unfinished = StoreSummary(tmp_path, None, None, False, 1)
    assert "(not complete, 1 edit)" in unfinished.text


def test_the_analysis_of_the_same_pixels_under_another_name_is_found(tmp_path):
    for name, fingerprint in (("old.svs", "abc"), ("other.svs", "xyz"), ("new.svs", "abc")):
        info = {"name": name, "fingerprint": fingerprint}
        make(tmp_path / f"{name}.fddm.ome.zarr", slide_info=info).close()
    (tmp_path / "broken.svs.fddm.ome.zarr" / "fddm").mkdir(parents=True)
    (tmp_path / "broken.svs.fddm.ome.zarr" / "fddm" / "provenance.json").write_text("[1")
    found = summarize_renamed(tmp_path / "new.svs", "abc")
    assert found is not None
    assert found.path.name == "old.svs.fddm.ome.zarr"
    assert "analysis under another name, old.svs.fddm.ome.zarr (" in found.text
    assert summarize_renamed(tmp_path / "new.svs", "of another slide") is None
    assert summarize_renamed(tmp_path / "gone" / "new.svs", "abc") is None
