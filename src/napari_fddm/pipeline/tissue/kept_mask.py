"""Edited tissue masks: written beside the slide's store, read by the next run.

They lie outside the store, so that they outlast starting over::

    <slide>.fddm.tissue/
    ├─ tissue.png           the latest mask
    └─ tissue-<sha256>.png  the mask that a run used, so that the run can be continued
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.files import storage_errors, sync_folder, write_atomic
from napari_fddm.core.outside.pictures import open_picture
from napari_fddm.pipeline.store import default_store_path
from napari_fddm.pipeline.store.layout import SUFFIX
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
"""Keys of PNG text entries."""
HASH_LETTERS = 12


@dataclass(frozen=True, slots=True)
class KeptMask:
    """A tissue mask with its difference from the detected one.

    Attributes
    ----------
    mask : array of bool, shape of the tissue grid
        True on tissue.
    added_mm2, removed_mm2 : float
        Areas added to and removed from the detected mask, mm².
    """

    mask: npt.NDArray[np.bool_]
    added_mm2: float
    removed_mm2: float

    @classmethod
    def of(
        cls, mask: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_], cell_mm2: float
    ) -> KeptMask:
        """Compare a mask with the detected one."""
        added, removed = (
            int(np.count_nonzero(part)) * cell_mm2 for part in (mask & ~found, found & ~mask)
        )
        return cls(mask, added, removed)

    @property
    def edited(self) -> bool:
        """Whether it differs from the detected mask."""
        return bool(self.added_mm2 or self.removed_mm2)


def mask_folder(slide_path: Path | None, fingerprint: str, series: int | None = None) -> Path:
    """Return the folder for the masks of a slide: beside its store."""
    store = default_store_path(slide_path, fingerprint, series)
    return store.with_name(f"{store.name.removesuffix(SUFFIX)}{MASK_SUFFIX}")


def write_kept_mask(folder: Path, kept: KeptMask, geometry: MapGeometry, fingerprint: str) -> Path:
    """Write a mask, replacing the one before.

    Parameters
    ----------
    folder : Path
        `mask_folder`; created if missing.
    kept : KeptMask
        The mask.
    geometry : MapGeometry
        The tissue grid.
    fingerprint : str
        Of the slide.

    Raises
    ------
    StoreError
        If it cannot be written; the one before is then unchanged.
    """
    return _write(folder, CURRENT, kept, geometry, fingerprint)


def write_run_mask(folder: Path, kept: KeptMask, geometry: MapGeometry, fingerprint: str) -> Path:
    """Write the mask that a run reads, which later edits do not change.

    Parameters are those of `write_kept_mask`.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    sha256 = UserMask(CURRENT, kept.mask, geometry.cell).sha256
    name = f"tissue-{sha256[:HASH_LETTERS]}.png"
    return _write(folder, name, kept, geometry, fingerprint)


def remove_kept_mask(folder: Path) -> None:
    """Remove the edited mask; masks that runs used stay.

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
    """Read a mask; None if there is none for this slide.

    Raises
    ------
    StoreError
        If it exists and cannot be read.
    """
    path = folder / name
    if not path.exists():
        return None
    hint = f"Remove {path.name} to go back to the mask that is found automatically."
    with open_picture(path, "a tissue mask", error=StoreError, hint=hint) as picture:
        mask = np.asarray(picture.convert("L")) != 0
        texts: Mapping[Any, Any] = picture.info
        if texts.get(FINGERPRINT) != fingerprint or mask.shape != geometry.shape:
            return None  # the file at this path is another slide now, or has another pixel size
        added, removed = float(texts[ADDED]), float(texts[REMOVED])
        if not (0 <= added < float("inf") and 0 <= removed < float("inf")):
            raise ValueError(f"areas of {added} and {removed} mm² cannot be")
        return KeptMask(mask, added, removed)


def earlier_mask(run: Mapping[str, Any]) -> str | None:
    """Return the setting that reproduces a stored run's tissue mask; None if it is lost.

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
