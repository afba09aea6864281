from __future__ import annotations

import json
from dataclasses import replace

import pytest

from napari_fddm.core.config import AnalysisConfig
from napari_fddm.core.provenance import Provenance

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
    ("part", "key", "value", "words"),
    [
        ("slide", "fingerprint", "g", "the slide is another one or its content changed"),
        ("slide", "shape", [10, 21], "the slide is another one or its content changed"),
        ("slide", "mpp", 0.5, "--mpp 0.25 → 0.5"),
        ("model", "id", "n", "--model m → n"),
        ("model", "files", {"heads": "124"}, "the weights of the model m are others"),
        ("model", "analysis_mpp", 2.0, "the weights of the model m are others"),
        ("config", "seed", 1, "--seed 0 → 1"),
        ("config", "steps", 3, "--steps 1 → 3"),
        ("config", "eta", 0.0, "--eta 1.0 → 0.0"),
        ("config", "label_mpp", 2.0, "--label-mpp 4.0 → 2.0"),
        ("config", "tissue", "all", "--tissue auto → all"),
        ("config", "new_setting", 5, "--new-setting unset → 5"),
    ],
)
def test_what_decides_the_result_is_named(part: str, key: str, value: object, words: str):
    found = changed(part, key, value).differences(STORED)
    assert len(found) == 1
    assert found[0].startswith(words)


def test_masks_are_told_apart_by_what_they_hold_and_not_by_their_path():
    def masked(path: str, digest: str) -> Provenance:
        run = changed("config", "tissue", path)
        name = path.split("/")[-1]
        return replace(run, tissue={"method": "mask", "name": name, "sha256": digest})

    stored = json.loads(json.dumps(masked("a/m.png", "1" * 64).to_json()))
    assert masked("b/n.png", "1" * 64).differences(stored) == []
    (other,) = masked("a/m.png", "2" * 64).differences(stored)
    assert other == "--tissue m.png (sha256 11111111…) → m.png (sha256 22222222…)"
    (none,) = RUN.differences(stored)
    assert none == "--tissue m.png (sha256 11111111…) → auto"


def test_a_pixel_size_given_by_hand_continues_the_same_one_from_the_file():
    assert changed("slide", "mpp_source", "user").differences(STORED) == []


@pytest.mark.parametrize(
    ("part", "key"),
    [("slide", "name"), ("slide", "backend"), ("config", "device"), ("config", "stage")],
)
def test_what_only_shifts_the_last_bits_may_differ(part: str, key: str):
    assert changed(part, key, "else").differences(STORED) == []


def test_device_threads_and_versions_may_differ():
    elsewhere = replace(RUN, device="GPU", dtype="bfloat16", threads=9, batch_size=4, versions={})
    assert elsewhere.differences(STORED) == []


def test_a_store_without_a_record_differs_in_everything():
    found = RUN.differences({})
    assert found[0].startswith("the slide")
    assert any(d.startswith("--model") for d in found)
    assert any(d.startswith("--seed") for d in found)


def test_a_setting_that_is_gone_is_a_difference():
    stored = json.loads(json.dumps(STORED))
    stored["config"]["old_setting"] = 1
    assert RUN.differences(stored) == ["--old-setting 1 → unset"]
