"""``python -m napari_fddm``: the command line."""

from __future__ import annotations

from napari_fddm.cli.main import main

if __name__ == "__main__":
    main()
