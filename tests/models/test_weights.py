"""A model's files are complete, unchanged and understood, or refused in one line."""

from __future__ import annotations

import hashlib
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_fddm.core.cards import CARD_NAME, read_card, write_card
from napari_fddm.core.errors import StoreError, WeightsError
from napari_fddm.models.registry import DEFAULT_MODEL, find_model
from napari_fddm.models.tensor_files import save_tensors
from napari_fddm.models.weights import check_files, load_tensors, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    EditCard = Callable[[Callable[[dict[str, Any]], None]], Path]

HEADS = "heads.safetensors"


def refusal(read: Callable[[], object]) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        read()
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_card_survives_writing(tiny_model: Path, tmp_path: Path):
    card = read_card(tiny_model)
    write_card(card, tmp_path)
    assert read_card(tmp_path) == card
    assert (tmp_path / CARD_NAME).read_bytes() == (tiny_model / CARD_NAME).read_bytes()


def test_the_tensors_are_those_of_the_file(tiny_model: Path):
    found = load_tensors(tiny_model, HEADS, read_card(tiny_model))
    expected = load_file(tiny_model / HEADS)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[k], expected[k]) for k in expected)


def test_written_tensors_have_the_rights_of_the_users_files(tmp_path: Path):
    whole = torch.arange(6.0)
    path, plain = tmp_path / "x.safetensors", tmp_path / "plain"
    plain.touch()
    save_tensors({"a": whole[:2], "b": whole.reshape(2, 3).T}, path)
    read = load_file(path)
    assert torch.equal(read["a"], whole[:2])
    assert torch.equal(read["b"], whole.reshape(2, 3).T)
    assert path.stat().st_mode == plain.stat().st_mode
    with pytest.raises(StoreError, match="missing"):
        save_tensors({"a": whole}, tmp_path / "missing" / "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plain", "x.safetensors"]


def test_sha256_is_that_of_the_bytes(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 3_000_000)
    assert sha256_of(path) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.update(colour="red"), "'colour'"),
        (lambda c: c["classifier"]["lora"].update(dropout=0.1), "'classifier.lora.dropout'"),
        (lambda c: c["refiner"]["denoiser"].update(depth=3), "'refiner.denoiser.depth'"),
        (lambda c: c.pop("files"), "'files'"),
        (lambda c: c.update(analysis_mpp="fine"), "'analysis_mpp'"),
        (lambda c: c.update(analysis_mpp=0), "'analysis_mpp'"),
        (lambda c: c["classifier"].update(input_px=0), "'classifier.input_px'"),
        (lambda c: c.update(format_version=2), "'format_version'"),
    ],
)
def test_a_card_that_is_not_understood_names_the_key(
    edit_card: EditCard, change: Callable[[dict[str, Any]], None], named: str
):
    folder = edit_card(change)
    error = refusal(lambda: read_card(folder))
    assert named in error.message
    assert str(folder / CARD_NAME) in error.message
    assert error.hint


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"PK\x03\x04"])
def test_a_file_that_is_no_card_is_refused(model_folder: Path, content: bytes):
    (model_folder / CARD_NAME).write_bytes(content)
    assert "a model card" in refusal(lambda: read_card(model_folder)).message


def test_a_folder_without_a_card_is_no_model(tmp_path: Path):
    assert "no card.json" in refusal(lambda: read_card(tmp_path)).message
    assert "no card.json" in refusal(lambda: read_card(tmp_path / "nowhere")).message
    (tmp_path / CARD_NAME).mkdir()
    assert "is a folder" in refusal(lambda: read_card(tmp_path)).message


def test_a_missing_file_is_named(model_folder: Path):
    card = read_card(model_folder)
    (model_folder / HEADS).unlink()
    error = refusal(lambda: load_tensors(model_folder, HEADS, card))
    assert HEADS in error.message
    assert "missing" in error.message
    assert "--model" in error.hint


@pytest.mark.parametrize("damage", ["bit", "cut", "longer", "empty"])
def test_a_damaged_file_is_found_by_its_sha256(model_folder: Path, damage: str):
    card, path = read_card(model_folder), model_folder / HEADS
    data = bytearray(path.read_bytes())
    if damage == "bit":
        data[-3] ^= 1
    path.write_bytes(
        {"bit": bytes(data), "cut": bytes(data[:-1]), "longer": bytes(data) + b"x", "empty": b""}[
            damage
        ]
    )
    error = refusal(lambda: load_tensors(model_folder, HEADS, card))
    assert "sha256" in error.message
    assert str(path) in error.message


def test_a_file_that_the_card_does_not_list_is_not_read(model_folder: Path):
    save_file({"x": torch.zeros(1)}, model_folder / "more.safetensors")
    error = refusal(lambda: load_tensors(model_folder, "more.safetensors", read_card(model_folder)))
    assert "does not list more.safetensors" in error.message


class Explosive:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a weights file was unpickled",))


def test_pickles_are_never_loaded_even_with_the_right_sha256(
    model_folder: Path, edit_card: EditCard
):
    (model_folder / HEADS).write_bytes(pickle.dumps(Explosive()))
    edit_card(lambda card: card["files"].update({HEADS: sha256_of(model_folder / HEADS)}))
    error = refusal(lambda: load_tensors(model_folder, HEADS, read_card(model_folder)))
    assert "cannot be read" in error.message


def test_the_state_of_every_file_can_be_listed(model_folder: Path):
    assert set(check_files(model_folder).values()) == {"ok"}
    (model_folder / HEADS).unlink()
    path = model_folder / "backbone.safetensors"
    path.write_bytes(path.read_bytes() + b"x")
    states = check_files(model_folder)
    assert (states[HEADS], states["backbone.safetensors"]) == ("missing", "damaged")
    assert states["adapter.safetensors"] == "ok"


def test_the_bundled_model_is_small_and_whole():
    folder = find_model(DEFAULT_MODEL)
    files = [p for p in folder.iterdir() if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 60_000_000
    assert not {p.suffix for p in files} & {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
    assert set(check_files(folder).values()) == {"ok"}
    refiner = load_tensors(folder, "refiner.safetensors", read_card(folder))
    assert 0 < sum(tensor.numel() for tensor in refiner.values()) < 4_000_000
