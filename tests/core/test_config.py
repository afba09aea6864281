from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from napari_fddm.core.config import AnalysisConfig, StageName, load_config
from napari_fddm.core.errors import ConfigError


def test_the_defaults_are_allowed_and_reach_json():
    config = load_config()
    assert config == AnalysisConfig()
    assert config.stage is StageName.REFINED
    assert load_config(**config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stage", "refine"),
        ("label_mpp", 0.5),
        ("label_mpp", 17),
        ("label_mpp", math.nan),
        ("steps", -1),
        ("steps", 2.5),
        ("eta", -0.1),
        ("eta", 1.1),
        ("eta", math.nan),
        ("samples", 0),
        ("seed", -1),
        ("seed", 2**63),
        ("batch_size", 0),
        ("tissue", ""),
        ("tissue", "auto\n"),
        ("device", "gpu"),
        ("device", "cuda:"),
        ("device", "cuda:x"),
        ("device", ""),
    ],
)
def test_impossible_values_are_named_in_one_line(name: str, value: object):
    option = "--" + name.replace("_", "-")
    with pytest.raises(ConfigError, match=f"{option} cannot be") as caught:
        load_config(**{name: value})
    assert "\n" not in str(caught.value)
    assert repr(value) in str(caught.value)
    assert "it must be " in str(caught.value)


def test_every_setting_says_what_it_allows():
    for name, field in AnalysisConfig.model_fields.items():
        assert field.description, name


def test_unknown_settings_are_refused():
    with pytest.raises(ConfigError, match="'label_size'"):
        load_config(label_size=4.0)


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:12"])
def test_devices_are_written_as_torch_writes_them(device: str):
    assert load_config(device=device).device == device


def test_settings_do_not_change_during_a_run():
    with pytest.raises(ValidationError, match="frozen"):
        AnalysisConfig().steps = 5
