"""The necrosis rate of a label map of your own, by every definition.

    python examples/rate_of_labels.py [LABELS.npy MPP]

The map holds one class per cell: 0 not analyzed, 1 background, 2 viable tumor, 3 necrosis,
4 fibrosis, 5 hemorrhage, 6 inflammatory, 7 non-tumor tissue. MPP is a cell's edge in µm.
"""

from __future__ import annotations

import sys

import numpy as np

import napari_fddm


def drawn() -> np.ndarray:
    """Return a map of viable tumor and necrosis, with some fibrosis between them."""
    labels = np.full((500, 500), 2, np.uint8)
    labels[:, 200:] = 3
    labels[:, 200:250] = 4
    return labels


def main(path: str | None = None, mpp: str = "4") -> None:
    """Print rate, grade and formula of each definition."""
    labels = drawn() if path is None else np.load(path)
    report = napari_fddm.necrosis_report(labels, mpp=float(mpp))
    for name, result in report.to_json()["definitions"].items():
        if result["rate"] is None:
            print(f"{name}: no rate, {result['reason']}")
        else:
            print(f"{name}: {result['rate']:.1%}, Huvos {result['huvos']}: {result['formula']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
