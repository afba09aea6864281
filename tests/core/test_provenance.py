from __future__ import annotations

import json
from dataclasses import replace

import pytest

from napari_fddm.core.config import AnalysisConfig
from napari_fddm.core.provenance import IRRELEVANT, Provenance

RUN = Provenance(
    slide={"name": "a.svs", "fingerprint": "f", "shape": [10, 20], "mpp": 0.25, "backend": "tiff"},
    model={"id": "m", "files": {"heads": "123"}, "analysis_mpp": 1.0},
    config=AnalysisConfig().model_dump(mode="json"),
    device="CPU, float32, 2 threads",
    dtype="float32",
    threads=2,
    batch_size=8,
    versions={"torch": "2"},
)
STORED = json.loads(json.dumps(RUN.to_json()))


def changed(part: str, key: str, value: object) -> Provenance:
    return replace(RUN, **{part: {**getattr(RUN, part), key: value}})


def test_a_run_continues_itself():
    assert RUN.differences(STORED) == []


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("slide", "fingerprint", "g"),
        ("slide", "mpp", 0.5),
        ("slide", "shape", [10, 21]),
        ("model", "files", {"heads": "124"}),
        ("config", "seed", 1),
        ("config", "steps", 3),
        ("config", "eta", 0.0),
        ("config", "label_mpp", 2.0),
        ("config", "tissue", "all"),
        ("config", "new_setting", 5),
    ],
)
def test_what_decides_the_result_is_named(part: str, key: str, value: object):
    found = changed(part, key, value).differences(STORED)
    assert len(found) == 1
    assert found[0].startswith(f"{part}.{key}: ")
    assert repr(value) in found[0]


@pytest.mark.parametrize(
    ("part", "key"),
    [("slide", "name"), ("slide", "backend"), ("config", "device"), ("config", "stage")],
)
def test_what_only_shifts_the_last_bits_may_differ(part: str, key: str):
    assert key in IRRELEVANT
    assert changed(part, key, "else").differences(STORED) == []


def test_device_threads_and_versions_may_differ():
    elsewhere = replace(RUN, device="GPU", dtype="bfloat16", threads=9, batch_size=4, versions={})
    assert elsewhere.differences(STORED) == []


def test_a_store_without_a_record_differs_in_everything():
    assert {d.split(".")[0] for d in RUN.differences({})} == {"slide", "model", "config"}


def test_a_setting_that_is_gone_is_a_difference():
    stored = json.loads(json.dumps(STORED))
    stored["config"]["old_setting"] = 1
    assert RUN.differences(stored) == ["config.old_setting: 1 → None"]
