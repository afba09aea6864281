"""From annotated slides to stage 2's regions: right cells, and never a case stage 1 has seen."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.class_names import ClassNames
from napari_fddm.core.errors import DataError
from napari_fddm.training.data import build_dataset, open_dataset, read_manifest
from napari_fddm.training.data.patches import PatchSettings, RegionSettings
from napari_fddm.training.regions import read_regions
from napari_fddm.training.regions.annotated_slides import build_from_dataset


class Grays:
    """Calls dark tiles and cells class 0 and bright ones class 1."""

    def classify(self, tiles):
        cells = tiles.reshape(len(tiles), 8, 32, 8, 32, 3).mean(axis=(2, 4, 5)) / 255
        probs = np.zeros((len(tiles), 7, 8, 8), np.float32)
        probs[:, 0], probs[:, 1] = 1 - cells, cells
        return probs.mean(axis=(2, 3)), probs


def cut(tmp_path, settings):
    rows = ["slide,mask,case,split,mpp"]
    for split, seed in (("train", 1), ("val", 2), ("test", 3)):
        name = f"synthetic:1024x1024?seed={seed}&mpp=1.0"
        rows.append(f"{name},truth,case-{seed},{split},")
    (tmp_path / "m.csv").write_text("\n".join(rows))
    manifest = read_manifest(tmp_path / "m.csv", ClassNames())
    for _ in build_dataset(manifest, tmp_path / "cut", settings, ClassNames()):
        pass
    return open_dataset(tmp_path / "cut")


def test_regions_of_unseen_cases_carry_their_truth(tmp_path):
    dataset = cut(tmp_path, RegionSettings(k=1, mpp=1.0))
    names = list(
        build_from_dataset(dataset, tmp_path / "out", Grays(), analysis_mpp=1.0, stage1="grays")
    )
    _, slides = read_regions(tmp_path / "out")
    assert sorted(s.meta.slide for s in slides) == sorted(names)
    assert {s.meta.case for s in slides} == {"case-2", "case-3"}
    assert {s.meta.stage1_cases for s in slides} == {("case-1",)}
    for slide in slides:
        index = int(slide.meta.slide.rsplit("-", 1)[1])
        truth, pixels = dataset.truth[index], dataset.read([index])[0]
        assert slide.truth.shape == slide.coarse.shape == (16, 16)
        for row, col in ((0, 0), (7, 11), (15, 3)):
            where = np.s_[32 * row : 32 * row + 32, 32 * col : 32 * col + 32]
            counts = np.bincount(truth[where].ravel(), minlength=8)
            assert counts[slide.truth[row, col]] == counts.max()
            gray = pixels[where].mean() / 255
            assert slide.coarse.cells[1, row, col] == pytest.approx(gray, abs=2e-3)


@pytest.mark.parametrize(
    ("settings", "splits", "said"),
    [
        (PatchSettings(), ["val"], "not regions"),
        (RegionSettings(k=1, mpp=2.0), ["val"], "--mpp 1"),
        (RegionSettings(k=1, mpp=1.0), ["train"], "too good"),
        (RegionSettings(k=1, mpp=1.0), ["other"], "no regions"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, settings, splits, said):
    dataset = cut(tmp_path, settings)
    with pytest.raises(DataError, match=said):
        list(
            build_from_dataset(
                dataset, tmp_path / "o", Grays(), analysis_mpp=1.0, stage1="g", splits=splits
            )
        )
