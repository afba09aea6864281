"""Tiles per second of stage 1's backbones by precision, memory layout and batch.

``python benchmarks/precision.py`` prints the table that `models.device`, `models.bundle`
and the default batch rest on. It measures one thread's own CPU time, the best of
several rounds, so that other work on the machine does not count.
"""

from __future__ import annotations

import time

import torch

from napari_fddm.models import TileClassifier, load_model
from napari_fddm.models.classifier import build_backbone

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
ROUNDS = 3
WAYS = [
    ("float32", "NCHW", 32),
    ("float32", "NCHW", 8),
    ("float32", "channels_last", 8),
    ("bfloat16", "NCHW", 8),
    ("bfloat16", "channels_last", 4),
    ("bfloat16", "channels_last", 8),
    ("bfloat16", "channels_last", 16),
]


def seconds_per_tile(network: TileClassifier, dtype: str, layout: str, batch: int) -> float:
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    network.to(memory_format=memory)
    tiles = torch.randint(0, 256, (batch, 256, 256, 3), dtype=torch.uint8)
    prepared = network.preprocess(tiles).contiguous(memory_format=memory)
    network.preprocess = lambda _: prepared
    with (
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"),
    ):
        started = time.thread_time()
        network(tiles)
        took = time.thread_time() - started
    del network.preprocess
    return took / batch


def main() -> None:
    torch.set_num_threads(1)
    mean, std = IMAGENET
    networks = {"fddm-small": load_model("fddm-small", "cpu").classifier}
    for name in ("resnet18", "efficientnet_b0"):
        backbone = build_backbone(name)
        networks[name] = TileClassifier(backbone, 7, input_px=224, mean=mean, std=std).eval()
    for name, network in networks.items():
        for way in WAYS:
            best = min(seconds_per_tile(network, *way) for _ in range(ROUNDS))
            print(f"{name:16}{way[0]:10}{way[1]:14}batch {way[2]:3}{1 / best:8.1f} tiles/s")


if __name__ == "__main__":
    main()
