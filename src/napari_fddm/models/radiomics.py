"""Radiomics of gray tiles, for a whole batch at once (``docs/algorithm.md#radiomics``).

18 first-order features as PyRadiomics defines them (bins of 5 gray values, spacing 1)
and 12 of the gray-level co-occurrence matrix (distance 1, four directions averaged,
symmetric). The mask is the whole tile. All are computed from counts of whole numbers,
in float64, so that they are the same in every batch.
"""

from __future__ import annotations

import math

import torch

LEVELS = 256
BIN_WIDTH = 5
BINS = LEVELS // BIN_WIDTH + 1
FIRST_ORDER = (
    "Energy",
    "TotalEnergy",
    "Entropy",
    "Minimum",
    "10Percentile",
    "90Percentile",
    "Maximum",
    "Mean",
    "Median",
    "InterquartileRange",
    "Range",
    "MeanAbsoluteDeviation",
    "RobustMeanAbsoluteDeviation",
    "RootMeanSquared",
    "Skewness",
    "Kurtosis",
    "Variance",
    "Uniformity",
)
GLCM = (
    "Autocorrelation",
    "ClusterProminence",
    "ClusterShade",
    "ClusterTendency",
    "Contrast",
    "Correlation",
    "DifferenceAverage",
    "Id",
    "Idm",
    "JointEnergy",
    "JointEntropy",
    "MaximumProbability",
)
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))
FEATURE_SETS = {"first_order": FIRST_ORDER, "glcm": GLCM}


def feature_names(sets: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the features of some sets, in their order."""
    return tuple(f"{name}.{feature}" for name in sets for feature in FEATURE_SETS[name])


def compute_radiomics(tiles_nhwc: torch.Tensor, sets: tuple[str, ...]) -> torch.Tensor:
    """Return the features of uint8 RGB tiles, float32 of shape (n, features)."""
    device = tiles_nhwc.device
    # Apple's GPUs have no float64.
    gray = gray_levels(tiles_nhwc.cpu() if device.type == "mps" else tiles_nhwc)
    parts = {"first_order": first_order_features, "glcm": glcm_features}
    return torch.cat([parts[name](gray) for name in sets], dim=1).float().to(device)


def gray_levels(tiles_nhwc: torch.Tensor) -> torch.Tensor:
    """Return the luminance (ITU-R 601-2) of uint8 RGB tiles, int64 of shape (n, h, w).

    In whole numbers, with the rounding of Pillow's mode "L".
    """
    weights = torch.tensor([19595, 38470, 7471], device=tiles_nhwc.device)
    return ((tiles_nhwc.long() * weights).sum(dim=-1) + 0x8000) >> 16


def first_order_features(gray: torch.Tensor) -> torch.Tensor:
    """Return the 18 first-order features, float64 of shape (n, 18), as in `FIRST_ORDER`.

    Parameters
    ----------
    gray : tensor of int64, shape (n, h, w)
        Values from 0 to 255. Everything follows from their histogram.
    """
    flat = gray.flatten(1)
    count = flat.shape[1]
    counts = _histogram(flat, LEVELS)  # (n, 256)
    share = counts / count
    x = torch.arange(LEVELS, device=gray.device, dtype=torch.float64)
    mean = (share * x).sum(1)
    centered = x - mean[:, None]  # (n, 256)
    variance = (share * centered**2).sum(1)
    low, q25, median, q75, high = (_percentile(counts, q) for q in (10, 25, 50, 75, 90))
    inside = counts * ((x >= low[:, None]) & (x <= high[:, None]))
    inner_count = inside.sum(1).clamp(min=1)
    inner_mean = (inside * x).sum(1) / inner_count
    robust = (inside * (x - inner_mean[:, None]).abs()).sum(1) / inner_count
    binned = _histogram(flat // BIN_WIDTH, BINS) / count
    energy = (counts * x**2).sum(1)
    minimum, maximum = flat.min(1).values.double(), flat.max(1).values.double()
    flatness = variance > 0
    safe = torch.where(flatness, variance, torch.ones_like(variance))
    skewness = torch.where(flatness, (share * centered**3).sum(1) / safe**1.5, 0.0)
    kurtosis = torch.where(flatness, (share * centered**4).sum(1) / safe**2, 0.0)
    return torch.stack(
        [
            energy,
            energy,  # times the volume of a pixel, which is 1
            _entropy(binned),
            minimum,
            low,
            high,
            maximum,
            mean,
            median,
            q75 - q25,
            maximum - minimum,
            (share * centered.abs()).sum(1),
            robust,
            (energy / count).sqrt(),
            skewness,
            kurtosis,
            variance,
            (binned**2).sum(1),
        ],
        dim=1,
    )


def glcm_features(gray: torch.Tensor) -> torch.Tensor:
    """Return 12 co-occurrence features, float64 of shape (n, 12), as in `GLCM`.

    Gray levels are bins of 5, numbered from 1; features are averaged over directions.

    Parameters
    ----------
    gray : tensor of int64, shape (n, h, w)
        Values from 0 to 255.
    """
    bins = gray // BIN_WIDTH
    height, width = gray.shape[1:]
    total = torch.zeros((len(gray), len(GLCM)), dtype=torch.float64, device=gray.device)
    for dy, dx in DIRECTIONS:
        left, right = max(0, -dx), width - max(0, dx)
        first = bins[:, : height - dy, left:right]
        second = bins[:, dy:, left + dx : right + dx]
        pairs = (first * BINS + second).flatten(1)
        matrix = _histogram(pairs, BINS * BINS).view(-1, BINS, BINS)
        matrix = matrix + matrix.transpose(1, 2)
        total += _of_matrix(matrix / matrix.sum(dim=(1, 2), keepdim=True))
    return total / len(DIRECTIONS)


def _of_matrix(p: torch.Tensor) -> torch.Tensor:
    """Return the features of symmetric co-occurrence probabilities (n, BINS, BINS)."""
    level = torch.arange(1, BINS + 1, dtype=torch.float64, device=p.device)
    i, j = level[:, None], level[None, :]
    apart = (i - j).abs()
    mean = (p * i).sum(dim=(1, 2))
    variance = (p * (i - mean[:, None, None]) ** 2).sum(dim=(1, 2))
    cluster = i + j - 2 * mean[:, None, None]
    flat = variance <= 0
    safe = torch.where(flat, torch.ones_like(variance), variance)
    joint = (p * i * j).sum(dim=(1, 2))
    # As PyRadiomics: a flat tile is perfectly correlated.
    correlation = torch.where(flat, 1.0, (joint - mean**2) / safe)
    return torch.stack(
        [
            joint,
            (p * cluster**4).sum(dim=(1, 2)),
            (p * cluster**3).sum(dim=(1, 2)),
            (p * cluster**2).sum(dim=(1, 2)),
            (p * apart**2).sum(dim=(1, 2)),
            correlation,
            (p * apart).sum(dim=(1, 2)),
            (p / (1 + apart)).sum(dim=(1, 2)),
            (p / (1 + apart**2)).sum(dim=(1, 2)),
            (p**2).sum(dim=(1, 2)),
            _entropy(p.flatten(1)),
            p.flatten(1).max(dim=1).values,
        ],
        dim=1,
    )


def _histogram(values: torch.Tensor, size: int) -> torch.Tensor:
    """Count whole numbers below ``size`` in each row of (n, m): float64 of shape (n, size)."""
    rows = torch.arange(len(values), device=values.device)[:, None] * size
    counts = torch.bincount((values + rows).flatten(), minlength=len(values) * size)
    return counts.view(len(values), size).double()


def _percentile(counts: torch.Tensor, q: float) -> torch.Tensor:
    """Return the percentile of histograms (n, 256), between the nearest ranks linearly."""
    total = float(counts[0].sum())
    rank = q / 100 * (total - 1)
    below = int(rank)
    cumulative = counts.cumsum(1)
    first = (cumulative <= below).sum(1).double()
    second = (cumulative <= min(below + 1, total - 1)).sum(1).double()
    return first + (rank - below) * (second - first)


def _entropy(p: torch.Tensor) -> torch.Tensor:
    """Return the entropy of rows of probabilities, bits."""
    nats: torch.Tensor = -torch.special.xlogy(p, p).sum(1)
    return nats / math.log(2.0)
