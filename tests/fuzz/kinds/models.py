"""Model folders: cards, and safetensors of both stages."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import numpy as np

from tests.fuzz.bytes_changes import change_bytes
from tests.fuzz.cases import Kind, Mutation, Outcome
from tests.fuzz.file_changes import files_of, replace_file
from tests.fuzz.json_changes import change_json, same_structure

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

CARD = "card.json"


class Models(Kind):
    """A tiny model; its weights are watched by the checksums in its card."""

    name = "models"
    tolerance = 1e-5

    def build(self, folder: Path) -> None:
        from tests.support.models import write_tiny_model

        for seed in ("model", "checksums-fit"):
            write_tiny_model(folder / seed / "tiny")

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        folder = work / "tiny"
        files = files_of(folder)
        path = rng.choice([*files, folder / CARD, folder / CARD])
        if rng.random() < 0.06:
            return replace_file(path, rng, others=files)
        if path.name == CARD:
            return _changed_card(path, rng)
        data = path.read_bytes()
        if seed == "checksums-fit":
            changed, words = _changed_header(data, rng)
        else:
            altered = change_bytes(data, rng)
            changed, words = altered.data, altered.words
        path.write_bytes(changed)
        if seed == "checksums-fit":
            _renew_checksum(folder, path)
        return Mutation(f"{path.name}: {words}", judged=seed != "checksums-fit")

    def read(self, work: Path, seed: str) -> Outcome:
        import torch

        from napari_fddm.models import load_model

        model = load_model(str(work / "tiny"), "cpu")
        tiles = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), np.uint8)
        tile, cells = model.classify(tiles)
        numbers = {"tile": tile, "cells": cells, "classes": model.card.classes,
                   "mpp": model.card.analysis_mpp}  # fmt: skip
        if model.can_refine:
            card = model.card.refiner
            assert card is not None
            denoiser = model.load_denoiser([1.0] * (card.num_train_timesteps + 1))
            generator = torch.Generator().manual_seed(1)
            sample = torch.rand(1, card.denoiser.classes, 16, 16, generator=generator)
            channels = card.denoiser.classes + card.denoiser.tissue_features
            condition = torch.rand(1, channels, 16, 16, generator=generator)
            with torch.inference_mode():
                numbers["refined"] = denoiser(sample, torch.tensor([1]), condition).numpy()
        return Outcome(numbers)


def _changed_card(path: Path, rng: Random) -> Mutation:
    before = path.read_text()
    if rng.random() < 0.7:
        changed = change_json(before, rng)
        path.write_text(changed.text, errors="surrogatepass")
        return Mutation(f"{path.name}: {changed.words}", judged=False)
    altered = change_bytes(before.encode(), rng)
    path.write_bytes(altered.data)
    after = altered.data.decode(errors="replace")
    judged = not same_structure(before, after) and altered.words.startswith("cut")
    return Mutation(f"{path.name}: {altered.words}", judged)


def _changed_header(data: bytes, rng: Random) -> tuple[bytes, str]:
    """Change what a safetensors file says of its tensors, and keep the tensors."""
    length = struct.unpack_from("<Q", data)[0]
    way = rng.random()
    if way < 0.2:
        said = rng.choice((0, 1, length - 1, length + 1, len(data), 1 << 40, (1 << 64) - 1))
        return struct.pack("<Q", said) + data[8:], f"header of {said} bytes"
    if way < 0.4:
        altered = change_bytes(data, rng, within=(0, 8 + length))
        return altered.data, altered.words
    changed = change_json(data[8 : 8 + length].decode(), rng)
    text = changed.text.encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + length :], changed.words


def _renew_checksum(folder: Path, path: Path) -> None:
    import hashlib

    card = json.loads((folder / CARD).read_text())
    card["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / CARD).write_text(json.dumps(card))
