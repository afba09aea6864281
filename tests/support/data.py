"""Where real slides may lie; tests that need them skip where they do not."""

from __future__ import annotations

import os
from pathlib import Path

BESIDE = Path(__file__).parents[3] / "shared" / "data"
DATA = Path(os.environ.get("NAPARI_FDDM_DATA", BESIDE))
WSI = DATA / "wsi"
