"""Read an export, or a working store, with zarr alone: napari-fddm need not be installed.

    python examples/read_export.py EXPORT.ome.zarr [MAP]

MAP is "corrected" (the default), "refined", "patch" or "reader-NAME".
"""

from __future__ import annotations

import sys

import numpy as np
import zarr


def main(path: str, name: str = "corrected") -> None:
    """Print the size of the overview, and the area of each class of a label map."""
    export = zarr.open_group(path, mode="r")
    print("overview:", export["0"].shape, "as RGB, height, width")
    print("label maps:", ", ".join(export["labels"].attrs["ome"]["labels"]))
    group = export[f"labels/{name}"]
    ome = group.attrs["ome"]
    finest = ome["multiscales"][0]["datasets"][0]
    labels = group[finest["path"]][...]
    height, width = next(  # µm per cell
        change["scale"]
        for change in finest["coordinateTransformations"]
        if change["type"] == "scale"
    )
    counts = np.bincount(labels.ravel(), minlength=256)
    for entry in ome["image-label"]["properties"]:
        area = counts[entry["label-value"]] * height * width / 1e6
        print(f"{entry['name']}: {area:.3f} mm²")


if __name__ == "__main__":
    main(*sys.argv[1:])
