"""What the bundled model is trained and judged on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_fddm.core.class_names import ClassNames
from napari_fddm.training import default
from napari_fddm.training.data import read_manifest, split_manifest
from napari_fddm.training.data.manifest import write_manifest
from napari_fddm.training.data.textures import Texture
from napari_fddm.training.stage1 import held_out
from napari_fddm.training.stage1.scores import scores_of

TILES = [
    Texture(Path(f"{case}-{slide}-{n}.png"), value, case, f"{case}/{slide}")
    for case, value in (("A", 2), ("B", 3), ("C", 7))
    for slide in ("s1", "s2")
    for n in (1, 2)
]


def test_every_tile_is_left_out_once():
    groups = held_out.held_out_groups(TILES)
    assert set(groups) == {"patient", "slide"}
    for parts in groups.values():
        assert sorted(map(str, (t.path for part in parts for t in part))) == sorted(
            str(t.path) for t in TILES
        )
    assert [len({t.case for t in part}) for part in groups["patient"]] == [1, 1, 1]
    slides = [{t.slide for t in part} for part in groups["slide"]]
    assert sum(map(len, slides)) == len(set().union(*slides)) == 6


def test_what_is_left_out_is_no_case_of_the_training(tmp_path):
    for number, tile in enumerate(TILES):
        (tmp_path / tile.path).write_bytes(bytes([number]))
    here = [Texture(tmp_path / t.path, t.value, t.case, t.slide) for t in TILES]
    columns = ("slide", "mask", "tile", "label", "case", "split")
    for by, parts in held_out.held_out_groups(here).items():
        for part in parts:
            rows = [
                *default.synthetic_rows(range(3)),
                *held_out.real_rows(here, test=part, by=by),
            ]
            write_manifest(tmp_path / "m.csv", rows, columns)
            manifest = split_manifest(read_manifest(tmp_path / "m.csv", ClassNames()))
            tested = {s.image for s in manifest.sources if s.split == "test"}
            assert tested == {str(t.path) for t in part}
            values = [s.value for s in manifest.sources if s.value is not None]
            assert values == [t.value for t in here]


def test_folds_are_pooled_by_their_counts():
    rng = np.random.default_rng(0)
    matrices = rng.integers(0, 9, (3, 7, 7))
    folds = [
        {"model": {"confusion": m.tolist()}, "color alone": {"confusion": m.T.tolist()}}
        for m in matrices
    ]
    found = held_out.pooled(folds)
    total = matrices.sum(axis=0)
    assert found["model"] == scores_of(total, held_out.OSTEOSARCOMA.shorts)
    assert found["model"]["tiles"] == total.sum()
    assert found["color alone"]["recall"]["VT"] == round(total[1, 1] / total[:, 1].sum(), 4)
