"""Records that cannot be are refused, each with the name of the field."""

from __future__ import annotations

import math

import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.pipeline.store.record_checks import check_record

TIME = "2026-11-30T23:04:01.711+00:00"
SIGNED = {
    "kind": "sign_off",
    "reader": "A. Bee",
    "definition": "fddm",
    "rates": {"fddm": 0.5, "strict": None},
    "coverage": None,
    "labels_sha256": "0",
}
ESTIMATE = {"kind": "estimate", "layer": "corrected", "rate": 1, "rate_seen": False}
BED = {"kind": "tumor_bed", "layer": "corrected", "polygons": [[[1, 2.5], [3, 4]], []]}
EDIT = {"kind": "edit", "layer": "corrected", "reader": "", "edit": {}}
UNLOCK = {"kind": "unlock", "reader": "A. Bee"}
UNKNOWN = {"kind": "of a later version", "rate": "high"}


@pytest.mark.parametrize(
    "record", [SIGNED, ESTIMATE, BED, EDIT, UNLOCK, UNKNOWN], ids=lambda r: r["kind"]
)
def test_what_is_written_is_accepted(record):
    check_record({"seq": 1, "time": TIME, **record})


@pytest.mark.parametrize(
    ("record", "change"),
    [
        (UNKNOWN, {"kind": []}),
        (UNKNOWN, {"time": "x"}),
        (UNKNOWN, {"time": 5}),
        (UNKNOWN, {"time": "0001-01-01T00:00:00+14:00"}),
        (UNKNOWN, {"reader": {}}),
        (UNKNOWN, {"layer": 1}),
        (EDIT, {"edit": "x"}),
        (EDIT, {"layer": None}),
        (UNLOCK, {"reader": None}),
        (UNLOCK | {"kind": "begun_from_map"}, {"maps": []}),
        (SIGNED, {"reader": 1}),
        (SIGNED, {"rates": [0.5]}),
        (SIGNED, {"rates": {"fddm": "0.5"}}),
        (SIGNED, {"coverage": math.inf}),
        (SIGNED, {"labels_sha256": None}),
        (ESTIMATE, {"rate": True}),
        (ESTIMATE, {"rate": 10**400}),
        (ESTIMATE, {"rate": -0.1}),
        (ESTIMATE, {"rate_seen": 1}),
        (BED, {"polygons": None}),
        (BED, {"polygons": [[[1, 2, 3]]]}),
        (BED, {"polygons": [[["a", 1]]]}),
        (BED, {"polygons": [[[1, math.nan]]]}),
        (BED, {"polygons": ["xy"]}),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_the_name_of_its_field(record, change):
    (key,) = change
    name = "outline" if change.get("polygons") else key
    with pytest.raises(StoreError, match=name):
        check_record({"seq": 1, "time": TIME, **record, **change})
