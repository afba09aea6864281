"""Radiomics against tiles whose features are known, and against slow references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from napari_fddm.models.fusion import GatedFusion
from napari_fddm.models.radiomics import (
    BIN_WIDTH,
    FIRST_ORDER,
    GLCM,
    compute_radiomics,
    feature_names,
    first_order_features,
    glcm_features,
    gray_levels,
)

RNG = np.random.default_rng(0)


def features(gray: np.ndarray, compute=first_order_features, names=FIRST_ORDER) -> dict[str, float]:
    values = compute(torch.from_numpy(gray.astype(np.int64))[None])[0]
    assert values.dtype == torch.float64
    return dict(zip(names, values.tolist(), strict=True))


def test_p34_a_constant_tile():
    found = features(np.full((16, 16), 100))
    expected = {
        "Energy": 256 * 100**2,
        "TotalEnergy": 256 * 100**2,
        "Entropy": 0,
        "Minimum": 100,
        "10Percentile": 100,
        "90Percentile": 100,
        "Maximum": 100,
        "Mean": 100,
        "Median": 100,
        "InterquartileRange": 0,
        "Range": 0,
        "MeanAbsoluteDeviation": 0,
        "RobustMeanAbsoluteDeviation": 0,
        "RootMeanSquared": 100,
        "Skewness": 0,
        "Kurtosis": 0,
        "Variance": 0,
        "Uniformity": 1,
    }
    assert found == pytest.approx(expected)
    assert len(expected) == 18


def test_p34_a_ramp_of_all_gray_values():
    found = features(np.arange(256).reshape(16, 16))
    bins = np.array([5] * 51 + [1]) / 256
    assert found == pytest.approx(
        {
            "Energy": sum(i * i for i in range(256)),
            "TotalEnergy": sum(i * i for i in range(256)),
            "Entropy": -(bins * np.log2(bins)).sum(),
            "Minimum": 0,
            "10Percentile": 25.5,
            "90Percentile": 229.5,
            "Maximum": 255,
            "Mean": 127.5,
            "Median": 127.5,
            "InterquartileRange": 127.5,
            "Range": 255,
            "MeanAbsoluteDeviation": 64,
            "RobustMeanAbsoluteDeviation": 51,
            "RootMeanSquared": np.sqrt(127.5**2 + (256**2 - 1) / 12),
            "Skewness": 0,
            "Kurtosis": 1.8 - 12 / (5 * (256**2 - 1)),
            "Variance": (256**2 - 1) / 12,
            "Uniformity": (bins**2).sum(),
        },
        abs=1e-9,
    )


def test_p34_two_levels():
    """A quarter at 200, the rest at 40."""
    gray = np.full((16, 16), 40)
    gray[:4] = 200
    found = features(gray)
    p, step = 0.25, 160
    variance = p * (1 - p) * step**2
    assert found == pytest.approx(
        {
            "Energy": 64 * 200**2 + 192 * 40**2,
            "TotalEnergy": 64 * 200**2 + 192 * 40**2,
            "Entropy": -(p * np.log2(p) + (1 - p) * np.log2(1 - p)),
            "Minimum": 40,
            "10Percentile": 40,
            "90Percentile": 200,
            "Maximum": 200,
            "Mean": 80,
            "Median": 40,
            # rank 191.25 lies a quarter of the way from the last 40 to the first 200
            "InterquartileRange": 0.25 * step,
            "Range": step,
            "MeanAbsoluteDeviation": 2 * p * (1 - p) * step,
            "RobustMeanAbsoluteDeviation": 2 * p * (1 - p) * step,
            "RootMeanSquared": np.sqrt(p * 200**2 + (1 - p) * 40**2),
            "Skewness": (1 - 2 * p) / np.sqrt(p * (1 - p)),
            "Kurtosis": (1 - 3 * p * (1 - p)) / (p * (1 - p)),
            "Variance": variance,
            "Uniformity": p**2 + (1 - p) ** 2,
        }
    )


@pytest.mark.parametrize("seed", range(4))
def test_first_order_features_follow_their_definitions(seed):
    rng = np.random.default_rng(seed)
    gray = np.clip(rng.normal(120, 50, (37, 23)), 0, 255).astype(np.int64)
    x = gray.ravel().astype(np.float64)
    low, high = np.percentile(x, [10, 90])
    inner = x[(x >= low) & (x <= high)]
    found = features(gray)
    assert found["Skewness"] == pytest.approx(stats.skew(x))
    assert found["Kurtosis"] == pytest.approx(stats.kurtosis(x, fisher=False))
    assert found["RobustMeanAbsoluteDeviation"] == pytest.approx(
        np.abs(inner - inner.mean()).mean()
    )
    assert found["InterquartileRange"] == pytest.approx(np.subtract(*np.percentile(x, [75, 25])))
    assert (found["10Percentile"], found["90Percentile"]) == pytest.approx((low, high))
    assert found["Median"] == np.median(x)
    share = np.unique(gray // BIN_WIDTH, return_counts=True)[1] / x.size
    assert found["Entropy"] == pytest.approx(stats.entropy(share, base=2))


def test_co_occurrence_is_that_of_scikit_image():
    graycomatrix = pytest.importorskip("skimage.feature").graycomatrix
    graycoprops = pytest.importorskip("skimage.feature").graycoprops
    gray = np.clip(RNG.normal(120, 40, (40, 30)), 0, 255).astype(np.uint8)
    matrix = graycomatrix(
        gray // BIN_WIDTH,
        [1],
        [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4],
        levels=52,
        symmetric=True,
        normed=True,
    )
    found = features(gray, glcm_features, GLCM)
    for ours, theirs in (
        ("Contrast", "contrast"),
        ("DifferenceAverage", "dissimilarity"),
        ("Idm", "homogeneity"),
        ("JointEnergy", "ASM"),
        ("Correlation", "correlation"),
        ("JointEntropy", "entropy"),
    ):
        expected = graycoprops(matrix, theirs).mean()
        if ours == "JointEntropy":
            p = matrix[:, :, 0]
            logs = np.log2(p, out=np.zeros_like(p), where=p > 0)
            expected = -(p * logs).sum(axis=(0, 1)).mean()
        assert found[ours] == pytest.approx(expected, rel=1e-3), ours


def test_a_flat_tile_has_finite_co_occurrence():
    found = features(np.full((8, 8), 77), glcm_features, GLCM)
    assert all(np.isfinite(v) for v in found.values())
    assert (found["Contrast"], found["JointEnergy"], found["Correlation"]) == (0, 1, 1)


def test_gray_is_pillows():
    tiles = RNG.integers(0, 256, (2, 20, 20, 3), np.uint8)
    expected = np.stack([np.asarray(Image.fromarray(t).convert("L")) for t in tiles])
    assert np.array_equal(gray_levels(torch.from_numpy(tiles)).numpy(), expected)


def test_a_tile_is_measured_alone():
    tiles = torch.from_numpy(RNG.integers(0, 256, (5, 64, 64, 3), np.uint8))
    sets = ("first_order", "glcm")
    together = compute_radiomics(tiles, sets)
    assert together.shape == (5, len(feature_names(sets))) == (5, 30)
    assert torch.equal(together[3:4], compute_radiomics(tiles[3:4], sets))


def test_p38_the_gates_weights_add_up_to_1():
    torch.manual_seed(0)
    fusion = GatedFusion(32, 18)
    measured = 1000 * torch.randn(40, 18)
    fusion.standardize_by(measured)
    for mode in (True, False):
        fused = fusion.train(mode)(torch.randn(40, 32), measured)
        torch.testing.assert_close(fused.weights.sum(1), torch.ones(40))
        assert (fused.weights > 0).all()
        assert fused.features.shape == (40, 256)


def test_z_scores_leave_a_constant_feature_alone():
    fusion = GatedFusion(8, 2)
    fusion.standardize_by(torch.tensor([[1.0, 7.0], [3.0, 7.0]]))
    assert fusion.mean.tolist() == [2, 7]
    assert fusion.std.tolist() == [1, 1]
