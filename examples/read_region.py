"""Open a slide and read a region of it, at any resolution.

    python examples/read_region.py [SLIDE]

SLIDE is any file that napari-fddm opens, or a synthetic slide such as the one taken without it.
"""

from __future__ import annotations

import sys

import napari_fddm
from napari_fddm.core.geometry import Region

SYNTHETIC = "synthetic:1500x1800?seed=3&mpp=0.5"


def main(source: str = SYNTHETIC) -> None:
    """Print what is known of a slide, and the mean color of its middle."""
    with napari_fddm.open_slide(source) as slide:
        height, width = slide.levels[0].shape
        print(f"{slide.name}: {height} × {width} px, {len(slide.levels)} levels")
        if slide.mpp.value is None:
            sys.exit("The file does not say how large a pixel is: open_slide(source, mpp=0.5)")
        print(f"{slide.mpp.value:g} µm per px, says {slide.mpp.source}")
        # Places are pixels of level 0; the resolution is asked for in µm per pixel.
        middle = Region(height / 4, width / 4, height / 2, width / 2)
        pixels = slide.read_region(middle, mpp=2.0)  # uint8, (rows, columns, RGB)
        print(f"the middle at 2 µm per px: {pixels.shape}")
        print("its mean color:", pixels.mean(axis=(0, 1)).round().astype(int))


if __name__ == "__main__":
    main(*sys.argv[1:])
