"""Models and features for `benchmarks.adapt_simulation`, made once and kept in a folder."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from benchmarks.adapt_tiles import load_or_make_tiles
from napari_fddm.core.cards import ModelCard, read_card, write_card
from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.tiling import TileGrid
from napari_fddm.models import LoadedModel, choose_device
from napari_fddm.models.bundle import BACKBONE_FILE, HEADS_FILE
from napari_fddm.models.classifier import build_head
from napari_fddm.models.registry import bundled_folder
from napari_fddm.models.weights import sha256_of
from napari_fddm.slides import open_slide
from napari_fddm.training.adapt.heads import Heads
from napari_fddm.training.adapt.tile_cache import HeadInputs, TileCache, cache_key
from napari_fddm.training.adapt.tile_features import feature_events
from napari_fddm.training.data.textures import LABEL_CLASSES
from napari_fddm.training.stage1.from_rows import drained

BESIDE = Path(__file__).parents[2] / "shared" / "data"
DATA = Path(os.environ.get("NAPARI_FDDM_DATA", BESIDE))
MOSAICS = DATA / "wsi" / "osteosarcoma-mosaics"
PATIENTS = ("Case-3", "Case-48", "P9")
MPP = 1.0  # assumed, as the mosaics' description says
SYNTHETIC_TILES, SYNTHETIC_SEED = 420, 90_000
HEAD_STEPS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Mosaic:
    """A patient's tiles with truth.

    Attributes
    ----------
    grid : TileGrid
        Of the mosaic.
    truth : array of uint8, shape of the tile grid
        Class values; 0 on glass.
    features : dict
        What the backbone sees, by (row, column).
    """

    grid: TileGrid
    truth: np.ndarray
    features: dict[tuple[int, int], HeadInputs]


def plain_model(work: Path) -> LoadedModel:
    """DINOv2-S as it is bundled, without its adapter, and with heads that know nothing."""
    folder = work / "plain"
    bundled = bundled_folder() / "fddm-small"
    card = read_card(bundled)
    if not (folder / "card.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundled / BACKBONE_FILE, folder / BACKBONE_FILE)
        torch.manual_seed(0)
        save_file(Heads(build_head(384, 7), build_head(384, 7)).state(), folder / HEADS_FILE)
        write_card(_card(card, folder, "plain"), folder)
    return LoadedModel(folder, read_card(folder), choose_device("cpu"))


def load_or_train_heads(
    work: Path, left_out: str, mosaics: dict[str, Mosaic], synthetic: tuple[np.ndarray, ...]
) -> Heads:
    """Return heads that never saw one patient, trained on the first call."""
    path = work / f"heads-without-{left_out}.safetensors"
    if not path.exists():
        others = [mosaic for patient, mosaic in mosaics.items() if patient != left_out]
        save_file(trained_heads(others, synthetic).state(), path)
    state = load_file(path)
    heads = Heads(build_head(384, 7), build_head(384, 7))
    for name, head in zip(("tile_head.", "cell_head."), heads, strict=True):
        part = {k.removeprefix(name): v for k, v in state.items() if k.startswith(name)}
        head.load_state_dict(part)
        head.eval()
    return heads


def _card(card: ModelCard, folder: Path, name: str) -> ModelCard:
    files = {n: sha256_of(folder / n) for n in (BACKBONE_FILE, HEADS_FILE)}
    return card.model_copy(update={"id": name, "refiner": None, "files": files, "metrics": {}})


def load_mosaic(work: Path, model: LoadedModel, patient: str) -> Mosaic:
    """Read truth and features of a patient's mosaic."""
    with open_slide(str(MOSAICS / f"{patient}_mosaic.tif"), mpp=MPP) as slide:
        grid = TileGrid(slide.levels[0].shape, MPP, model.card.analysis_mpp)
        truth = np.zeros(grid.shape, np.uint8)
        about = json.loads((MOSAICS / f"{patient}_mosaic.gt.json").read_text(encoding="utf-8"))
        for tile in about["tiles"]:
            y, x, h, w = (tile[k] // 256 for k in ("y", "x", "h", "w"))
            truth[y : y + h, x : x + w] = OSTEOSARCOMA[LABEL_CLASSES[tile["label"]]].value
        key = cache_key({"fingerprint": slide.fingerprint, "mpp": MPP}, model.identity)
        cache = TileCache(work / "features", key)
        index = [(int(r), int(c)) for r, c in np.argwhere(truth)]
        features = drained(feature_events(slide, grid, index, model, cache, batch_size=8))
    return Mosaic(grid, truth, features)


def synthetic_features(work: Path, model: LoadedModel) -> tuple[np.ndarray, ...]:
    """Pooled and cell features of synthetic tiles, and their truth as channels."""
    path = work / "synthetic-features.npz"
    if not path.exists():
        tiles = load_or_make_tiles(
            work / "synthetic-tiles.npz",
            count=SYNTHETIC_TILES,
            first_seed=SYNTHETIC_SEED,
            analysis_mpp=model.card.analysis_mpp,
        )
        parts = [model.embed(tiles.pixels[i : i + 8]) for i in range(0, len(tiles.tile), 8)]
        pooled, cells = (np.concatenate(column) for column in zip(*parts, strict=True))
        np.savez(
            path,
            pooled=pooled.astype(np.float16),
            cells=cells.transpose(0, 2, 3, 1).astype(np.float16),
            tile=tiles.tile,
            cell=tiles.cells,
        )
    with np.load(path) as stored:
        return tuple(stored[name] for name in ("pooled", "cells", "tile", "cell"))


def trained_heads(others: list[Mosaic], synthetic: tuple[np.ndarray, ...], seed: int = 0) -> Heads:
    """Heads of other patients' real tiles, and synthetic ones of the classes they lack."""
    tiles = [(m.features[i], m.truth[i] - 1) for m in others for i in m.features]
    x_tile = [f.pooled for f, _ in tiles]
    x_cell = [f.cells.reshape(-1, f.cells.shape[-1])[::4] for f, _ in tiles]
    y_tile = [c for _, c in tiles]
    y_cell = [np.full(len(x), c) for x, c in zip(x_cell, y_tile, strict=True)]
    pooled, cells, truth, cell_truth = synthetic
    missing = ~np.isin(truth, np.unique(y_tile))
    x_tile += list(pooled[missing])
    y_tile += list(truth[missing])
    x_cell += [c.reshape(-1, c.shape[-1])[::4] for c in cells[missing]]
    y_cell += [c.reshape(-1)[::4] for c in cell_truth[missing]]
    torch.manual_seed(seed)
    return Heads(
        _trained(np.stack(x_tile), np.array(y_tile)),
        _trained(np.concatenate(x_cell), np.concatenate(y_cell)),
    )


def _trained(x: np.ndarray, channels: np.ndarray) -> torch.nn.Module:
    inputs, truth = torch.from_numpy(x).float(), torch.from_numpy(channels.astype(np.int64))
    head = build_head(inputs.shape[1], 7)
    counts = torch.bincount(truth, minlength=7).float()
    weights = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=0.01)
    for _ in range(HEAD_STEPS):
        loss = functional.cross_entropy(head(inputs), truth, weight=weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return head.eval()
