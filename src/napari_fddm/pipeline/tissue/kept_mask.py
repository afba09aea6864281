"""A tissue mask that a person edited: kept beside the slide's store, read by the next run.

It lies outside the store, so that it outlasts starting over::

    <slide>.fddm.tissue/
    ├─ tissue.png           the mask as it was edited last
    └─ tissue-<sha256>.png  the same as a run read it, for going on with that run's mask
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.files import storage_errors, sync_folder, write_atomic
from napari_fddm.pipeline.store.layout import SUFFIX, default_store_path
from napari_fddm.pipeline.tissue.user_mask import CELL, UserMask, read_user_mask

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry

MASK_SUFFIX = ".fddm.tissue"
CURRENT = "tissue.png"
FINGERPRINT, ADDED, REMOVED = (
    f"napari-fddm {word}" for word in ("slide", "added mm2", "removed mm2")
)
"""PNG texts."""
HASH_LETTERS = 12


@dataclass(frozen=True, slots=True)
class KeptMask:
    """A mask that a person made of the one that was found.

    Attributes
    ----------
    mask : array of bool, shape of the tissue grid
        True on tissue.
    added_mm2, removed_mm2 : float
        How it differs from the mask that was found.
    """

    mask: npt.NDArray[np.bool_]
    added_mm2: float
    removed_mm2: float

    @classmethod
    def of(
        cls, mask: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_], cell_mm2: float
    ) -> KeptMask:
        """Compare a mask with the one that was found."""
        added, removed = (
            int(np.count_nonzero(part)) * cell_mm2 for part in (mask & ~found, found & ~mask)
        )
        return cls(mask, added, removed)

    @property
    def edited(self) -> bool:
        """Whether it differs from what was found."""
        return bool(self.added_mm2 or self.removed_mm2)


def mask_folder(slide_path: Path | None, fingerprint: str) -> Path:
    """Return the folder for the masks of a slide: beside its store."""
    store = default_store_path(slide_path, fingerprint)
    return store.with_name(f"{store.name.removesuffix(SUFFIX)}{MASK_SUFFIX}")


def write_kept_mask(folder: Path, kept: KeptMask, geometry: MapGeometry, fingerprint: str) -> Path:
    """Keep a mask in the place of the one before.

    Parameters
    ----------
    folder : Path
        `mask_folder`; made if it is not there.
    kept : KeptMask
        The mask.
    geometry : MapGeometry
        The tissue grid.
    fingerprint : str
        Of the slide.

    Raises
    ------
    StoreError
        If it cannot be written; the one before is then as it was.
    """
    return _write(folder, CURRENT, kept, geometry, fingerprint)


def write_run_mask(folder: Path, kept: KeptMask, geometry: MapGeometry, fingerprint: str) -> Path:
    """Write what a run reads; later edits do not change it. Parameters as above.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    sha256 = UserMask(CURRENT, kept.mask, geometry.cell).sha256
    name = f"tissue-{sha256[:HASH_LETTERS]}.png"
    return _write(folder, name, kept, geometry, fingerprint)


def remove_kept_mask(folder: Path) -> None:
    """Forget the edits; masks that runs read stay.

    Raises
    ------
    StoreError
        If the file cannot be removed.
    """
    path = folder / CURRENT
    with storage_errors("remove", path):
        path.unlink(missing_ok=True)


def read_kept_mask(
    folder: Path, geometry: MapGeometry, fingerprint: str, name: str = CURRENT
) -> KeptMask | None:
    """Read a mask; None if there is none of this slide.

    Raises
    ------
    StoreError
        If it is there and cannot be read.
    """
    from PIL import Image

    path = folder / name
    if not path.exists():
        return None
    with storage_errors("read", path, damaged=True), Image.open(path) as picture:
        mask = np.asarray(picture.convert("L")) != 0
        said: Mapping[Any, Any] = picture.info
        if said.get(FINGERPRINT) != fingerprint or mask.shape != geometry.shape:
            return None  # another slide lies at this place now, or has another pixel size
        return KeptMask(mask, float(said[ADDED]), float(said[REMOVED]))


def earlier_mask(run: Mapping[str, Any]) -> str | None:
    """Return the setting that gives a stored run's tissue mask again; None if it is gone.

    Parameters
    ----------
    run : mapping
        The provenance of the run.
    """
    setting = str(run.get("config", {}).get("tissue", "auto"))
    try:
        mask = read_user_mask(setting)
    except ConfigError:
        return None
    wanted = run.get("tissue", {}).get("sha256")
    return setting if (mask.sha256 if mask is not None else None) == wanted else None


def _write(
    folder: Path, name: str, kept: KeptMask, geometry: MapGeometry, fingerprint: str
) -> Path:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    for key, value in (
        (CELL, repr(geometry.cell)),
        (FINGERPRINT, fingerprint),
        (ADDED, repr(kept.added_mm2)),
        (REMOVED, repr(kept.removed_mm2)),
    ):
        texts.add_text(key, value)
    file = io.BytesIO()
    Image.fromarray(kept.mask.astype(np.uint8) * np.uint8(255)).save(file, "PNG", pnginfo=texts)
    with storage_errors("create", folder):
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
    write_atomic(folder / name, file.getvalue())
    return folder / name
