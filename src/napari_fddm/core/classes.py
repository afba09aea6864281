"""The seven tissue classes: label values, names, roles and colors (the palette), in one place.

Label value 0 means "not analyzed" and is not a class. The
network's channel of a class is its label value minus one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

NOT_ANALYZED = 0
"""Label value of a cell that was not analyzed; it enters no sum."""

RGB = tuple[int, int, int]


class Role(StrEnum):
    """What a class means for the necrosis rate.

    OUTSIDE is not in the tumor bed, VIABLE is viable tumor, and TUMOR_BED is everything else in
    the bed: what treatment left of tumor.
    """

    OUTSIDE = "outside"
    VIABLE = "viable"
    TUMOR_BED = "tumor_bed"


@dataclass(frozen=True, slots=True)
class TissueClass:
    """One tissue class.

    Attributes
    ----------
    value : int
        Label value, 1 or more.
    short, name : str
        Abbreviation used in tables and the name shown to users.
    role : Role
        Its part in the necrosis rate.
    paper_rgb : tuple of int
        Color in the FDDM annotation images, used for import and export.
    display_rgb : tuple of int
        Color-blind-safe color used on screen.
    """

    value: int
    short: str
    name: str
    role: Role
    paper_rgb: RGB
    display_rgb: RGB

    @property
    def channel(self) -> int:
        """Index of the class among the network's outputs."""
        return self.value - 1


@dataclass(frozen=True, slots=True)
class ClassTable:
    """An ordered set of tissue classes with the values 1…n."""

    classes: tuple[TissueClass, ...]

    def __post_init__(self) -> None:
        """Refuse tables whose values are not 1…n or whose names repeat."""
        values = [c.value for c in self.classes]
        if values != list(range(1, len(values) + 1)):
            raise ConfigError(f"class values must be 1…{len(values)} in order, got {values}.")
        if len({c.short for c in self.classes}) != len(values):
            raise ConfigError("two classes have the same abbreviation.")

    def __len__(self) -> int:
        """Return the number of classes, value 0 not counted."""
        return len(self.classes)

    def __iter__(self) -> Iterator[TissueClass]:
        """Iterate over the classes in the order of their values."""
        return iter(self.classes)

    def __getitem__(self, short: str) -> TissueClass:
        """Return the class with this abbreviation.

        Raises
        ------
        ConfigError
            If there is none.
        """
        for tissue in self.classes:
            if tissue.short == short:
                return tissue
        known = ", ".join(self.shorts)
        raise ConfigError(f"there is no tissue class {short!r}.", hint=f"Known are {known}.")

    @property
    def shorts(self) -> tuple[str, ...]:
        """Abbreviations in the order of values."""
        return tuple(c.short for c in self.classes)

    @property
    def values(self) -> tuple[int, ...]:
        """Label values in order."""
        return tuple(c.value for c in self.classes)

    @property
    def tumor_bed(self) -> tuple[TissueClass, ...]:
        """The classes of the tumor bed, viable tumor included."""
        return self.with_role(Role.VIABLE, Role.TUMOR_BED)

    def with_role(self, *roles: Role) -> tuple[TissueClass, ...]:
        """Return the classes that have one of the roles, in order."""
        return tuple(c for c in self.classes if c.role in roles)

    def rgb_table(self, *, paper: bool = False) -> npt.NDArray[np.uint8]:
        """Return colors by label value, shape (n + 1, 3); row 0 is white."""
        rows = [(255, 255, 255)]
        rows += [c.paper_rgb if paper else c.display_rgb for c in self.classes]
        return np.array(rows, dtype=np.uint8)


OSTEOSARCOMA = ClassTable(
    (
        TissueClass(1, "BG", "background", Role.OUTSIDE, (255, 255, 255), (225, 225, 225)),
        TissueClass(2, "VT", "viable tumor", Role.VIABLE, (0, 128, 0), (0, 158, 115)),
        TissueClass(3, "NC", "necrosis", Role.TUMOR_BED, (255, 143, 204), (240, 228, 66)),
        TissueClass(
            4, "FH", "fibrosis / hyalinization", Role.TUMOR_BED, (255, 0, 0), (0, 114, 178)
        ),
        TissueClass(5, "HC", "hemorrhage / cystic change", Role.TUMOR_BED, (0, 0, 0), (213, 94, 0)),
        TissueClass(6, "IF", "inflammatory", Role.TUMOR_BED, (165, 42, 42), (86, 180, 233)),
        TissueClass(7, "NT", "non-tumor tissue", Role.OUTSIDE, (0, 0, 255), (120, 120, 120)),
    )
)
"""The seven classes of FDDM (``docs/algorithm.md#classes``); display colors after Okabe and Ito."""
BACKGROUND_CHANNEL = OSTEOSARCOMA["BG"].channel
"""The network's output for background: what stands where no model looked."""


@dataclass(frozen=True, slots=True, eq=False)
class ColorImport:
    """Labels that were read from a color image.

    Attributes
    ----------
    labels : array of uint8, shape (H, W)
        Class values; 0 where the color belongs to no class.
    unknown : dict of RGB to int
        Colors that belong to no class, with the number of their pixels, most
        frequent first.
    """

    labels: npt.NDArray[np.uint8]
    unknown: dict[RGB, int]


def labels_from_rgb(
    image: npt.NDArray[np.uint8],
    table: ClassTable = OSTEOSARCOMA,
    *,
    paper: bool = True,
    tolerance: int = 0,
) -> ColorImport:
    """Read a color image of classes, e.g. an annotation of the paper.

    A color that is no class's is never taken for background: it is left out (0)
    and named. The paper's own import takes every color within 50, which turns the
    blended border of fibrosis and hemorrhage into a rim of inflammation
    (``docs/algorithm.md#colors``); such a tolerance must be asked for.

    Parameters
    ----------
    image : array of uint8, shape (H, W, 3)
        Colors.
    table : ClassTable
        The classes.
    paper : bool
        Whether the image has the paper's colors; else those of the screen.
    tolerance : int
        0: exact. Else a color belongs to the nearest class whose channels all differ by
        less than this; the first of equally near ones.

    Raises
    ------
    ConfigError
        If it is not an RGB image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ConfigError(f"expected RGB of uint8 (H, W, 3), got {image.dtype} {image.shape}.")
    packed = image.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    codes, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.int64)
    classes = table.rgb_table(paper=paper)[1:].astype(np.int64)
    apart = np.abs(colors[:, None] - classes).max(axis=2)  # (colors, classes)
    known = apart.min(axis=1, initial=256) < max(1, tolerance)
    values = np.where(known, apart.argmin(axis=1) + 1, NOT_ANALYZED).astype(np.uint8)
    order = np.argsort(-counts, kind="stable")
    unknown = {
        (int(r), int(g), int(b)): int(counts[i])
        for i, (r, g, b) in zip(order, colors[order], strict=True)
        if not known[i]
    }
    return ColorImport(values[inverse.reshape(packed.shape)], unknown)
