"""Remove the pictures of docs/images that no page shows.

`make screenshots` makes one at every step of the window's tests that is worth looking
at; only those that the documentation shows are kept.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
LARGEST_BYTES = 300_000
"""What a picture may take in the repository."""


def shown_pictures() -> set[Path]:
    """Return the pictures that README and the pages of docs/ show."""
    return {
        (page.parent / name).resolve()
        for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
        for name in re.findall(r"\]\(([^)\s]+\.png)\)", page.read_text(encoding="utf-8"))
    }


def main() -> None:
    """Remove the others and name them."""
    for path in sorted(set(IMAGES.glob("*.png")) - shown_pictures()):
        path.unlink()
        print(f"no page shows {path.name}: removed")


if __name__ == "__main__":
    main()
