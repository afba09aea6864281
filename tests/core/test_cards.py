"""A card from outside is understood, or one sentence says what is wrong with it."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from napari_fddm.core.cards import CARD_NAME, read_card, write_card
from napari_fddm.core.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[dict[str, Any]], object]

BUNDLED = Path(str(files("napari_fddm"))) / "weights" / "fddm-small" / CARD_NAME


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": [value]}
    return value


@pytest.fixture
def card() -> dict[str, Any]:
    """What the card of the bundled model says."""
    values: dict[str, Any] = json.loads(BUNDLED.read_text(encoding="utf-8"))
    return values


def put(folder: Path, text: str) -> Path:
    (folder / CARD_NAME).write_text(text, encoding="utf-8")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_card(folder)
    assert str(folder / CARD_NAME) in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.update(files=[]), "files"),
        (lambda c: c["files"].update({"../../x.safetensors": "0"}), "name of a file"),
        (lambda c: c["files"].update({"/x.safetensors": "0"}), "name of a file"),
        (lambda c: c.update(files={f"{i}.safetensors": "0" for i in range(100)}), "files"),
        (lambda c: c.update(classes=[]), "classes"),
        (lambda c: c.update(classes=["BG", "BG"], real_classes=None), "twice"),
        (lambda c: c.update(classes={"BG": 1}), "classes"),
        (lambda c: c.update(analysis_mpp=0.0001), "analysis_mpp"),
        (lambda c: c.update(analysis_mpp=[1]), "analysis_mpp"),
        (lambda c: c["classifier"].update(input_px=10**9), "input_px"),
        (lambda c: c["classifier"].update(std=[0.2, 0.2, 0.0]), "std"),
        (lambda c: c["classifier"].update(mean=[0.2, 0.2, 1e999]), "mean"),
        (lambda c: c["classifier"].update(backbone="hf-hub:a/b"), "backbone"),
        (lambda c: c["classifier"].update(backbone="../x"), "backbone"),
        (lambda c: c["classifier"].update(segmenter="hf:a/b"), "segmenter"),
        (lambda c: c["classifier"]["lora"].update(r=10**9), "lora.r"),
        (lambda c: c["classifier"]["lora"].update(target_modules="(a+)+$"), "complicated"),
        (lambda c: c["classifier"]["lora"].update(target_modules=".*" * 50), "complicated"),
        (lambda c: c["classifier"]["lora"].update(target_modules="(("), "regular expression"),
        (lambda c: c["refiner"]["denoiser"].update(widths=[10**9]), "widths"),
        (lambda c: c["refiner"]["denoiser"].update(widths=[]), "widths"),
        (lambda c: c["refiner"]["denoiser"].update(layers=10**9), "layers"),
        (lambda c: c["refiner"]["denoiser"].update(tissue_features=7), "tissue_features"),
        (lambda c: c["refiner"].update(num_train_timesteps=10**12), "num_train_timesteps"),
        (lambda c: c["refiner"].update(max_variance=0), "max_variance"),
        (lambda c: c["refiner"]["input_moments"].update(covariance=-3), "covariance"),
        (lambda c: c.update(training=deep(60)), "nested too deeply"),
        (lambda c: c.update(metrics={"a": [1e999]}), "not finite"),
        (lambda c: c.update(base="fddm-small"), "base"),
        (lambda c: c.update({"a\x1b[2J": 1}), r"\x1b"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    tmp_path: Path, card: dict[str, Any], change: Change, named: str
):
    change(card)
    assert named in refusal(put(tmp_path, json.dumps(card).replace("Infinity", "1e999")))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"embed_dim": 10**9}, "embed_dim"),
        ({"depth": 10**5}, "depth"),
        ({"depths": [3, 3, 10**5]}, "depths"),
        ({"mlp_ratio": 1e300}, "mlp_ratio"),
        ({"img_size": [224] * 1000}, "img_size"),
        ({"pretrained": True}, "pretrained"),
        ({"checkpoint_path": "x.pth"}, "checkpoint_path"),
        ({"pretrained_cfg": {"url": "http://a"}}, "pretrained_cfg"),
        ({"in_chans": 4}, "in_chans"),
        ({"norm_kwargs": {"a": 1}}, "norm_kwargs"),
    ],
)
def test_an_option_that_is_no_networks_own_is_named(
    tmp_path: Path, card: dict[str, Any], options: dict[str, Any], named: str
):
    card["classifier"]["backbone_options"] = options
    assert named in refusal(put(tmp_path, json.dumps(card)))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{" * 100_000, '{"a":' * 5000, '{"id": NaN}', "\0", '"x"', " " * (17 << 20)],
    ids=["empty", "list", "open", "nested", "NaN", "null byte", "text", "large"],
)
def test_what_is_no_card_is_refused(tmp_path: Path, text: str):
    refusal(put(tmp_path, text))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are no files here")
def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / CARD_NAME)
    assert "a pipe or device" in refusal(tmp_path)


def test_a_card_means_the_same_after_it_was_written(tmp_path: Path, card: dict[str, Any]):
    card["classifier"]["backbone_options"] = {
        "img_size": [256, 256], "depth": 24, "init_values": 1e-5, "act_layer": "silu",
        "dynamic_img_size": True, "global_pool": None,
    }  # fmt: skip
    card["limits"] = "a \x1b \ud800 b"
    read = read_card(put(tmp_path, json.dumps(card)))
    other = tmp_path / "other"
    other.mkdir()
    write_card(read, other)
    assert read_card(other) == read
