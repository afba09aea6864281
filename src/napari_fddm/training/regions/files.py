"""Region datasets, on which stage 2 is trained and judged: a folder with a file per slide.

``dataset.json`` has the classes and the edge of a bridge cell. Each
``<slide>.npz`` holds the stage-1 maps y, the tissue O and the truth of one slide or
of a rectangle of its tiles, on the grid of bridge cells:

============ ======= ============================ ==========================================
``tiles``    float16 (classes, R, C)              probabilities of whole tiles
``cells``    float16 (classes, 8 R, 8 C)          probabilities of bridge cells, the token map
``features`` float16 (6, 8 R, 8 C)                O: mean, then sd, of R, G, B in units of 255
``truth``    uint8   (8 R, 8 C)                   majority label value, 0 unknown
``shifted``  float16 (classes, 2 R - 1, 2 C - 1)  optional: tiles that begin every 128 px
``meta``     text                                 JSON: slide, case, what stage 1 had seen
============ ======= ============================ ==========================================

The maps must be out of fold: stage 1 was not trained on the slide's case, or stage 2
learns that stage 1 is always right (``docs/algorithm.md#out-of-fold-maps``).
`RegionMeta.stage1_cases` says what it was trained on, and reading a dataset refuses
a case that is among them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.files import whole_file, write_atomic
from napari_fddm.core.naming.case_ids import alike
from napari_fddm.core.outside.arrays import read_arrays
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.json_files import parse_json, read_json_value
from napari_fddm.core.outside.text import visible
from napari_fddm.training.regions.coarse import CoarseMaps

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

INDEX_NAME = "dataset.json"
REGION_ARRAYS = ("tiles", "cells", "features", "truth", "meta")


class RegionMeta(BaseModel):
    """Origin of the regions of a slide.

    Attributes
    ----------
    slide : str
        Name, unique in the dataset.
    case : str
        The patient, or what stands for one: never divided by a split.
    stage1 : str
        Description of the stage-1 model that made the maps.
    stage1_cases : tuple of str
        Cases that this model was trained on.
    distinct_cases : bool
        Whether the user said that case ids which look alike are of several patients.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slide: str = Field(min_length=1)
    case: str = Field(min_length=1)
    stage1: str = ""
    stage1_cases: tuple[str, ...] = ()
    distinct_cases: bool = False

    @property
    def patient(self) -> str:
        """What the ids of this patient have in common."""
        return self.case if self.distinct_cases else alike(self.case)


class RegionSet(BaseModel):
    """What all slides of a dataset have in common: its ``dataset.json``.

    Attributes
    ----------
    format_version : int
        Version of the layout; newer ones are refused.
    classes : tuple of str
        Abbreviations in the order of channels; label value = channel + 1.
    cell_um : float
        Edge of a bridge cell, µm.
    title, licence : str
        Description of the data, and their license.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    classes: tuple[str, ...] = Field(min_length=2)
    cell_um: float = Field(gt=0, allow_inf_nan=False)
    title: str = ""
    licence: str = ""


class RegionSlide:
    """The maps and the truth of one slide.

    Parameters
    ----------
    meta : RegionMeta
        Its origin.
    coarse : CoarseMaps
        Stage-1 maps and tissue features.
    truth : array of uint8, shape (8 R, 8 C)
        Label values, 0 unknown.

    Raises
    ------
    ConfigError
        If truth and maps do not fit each other.
    """

    __slots__ = ("coarse", "meta", "truth")

    def __init__(self, meta: RegionMeta, coarse: CoarseMaps, truth: npt.NDArray[np.uint8]) -> None:
        if truth.shape != coarse.shape or truth.dtype != np.uint8:
            raise ConfigError(
                f"{meta.slide}: the truth must be uint8 of {coarse.shape} cells, "
                f"not {truth.dtype} of {truth.shape}."
            )
        if int(truth.max(initial=0)) > coarse.classes:
            raise ConfigError(f"{meta.slide}: the truth holds values beyond its classes.")
        self.meta, self.coarse, self.truth = meta, coarse, truth


def write_region_set(folder: Path, about: RegionSet) -> None:
    """Create a dataset, or check that an existing one has the same classes and cells.

    Raises
    ------
    ConfigError
        If the existing dataset has other classes or cells.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / INDEX_NAME
    if path.exists():
        existing = read_region_set(folder)
        if (existing.classes, existing.cell_um) != (about.classes, about.cell_um):
            raise ConfigError(
                f"{folder} holds a region dataset of other classes or cells.",
                hint="Choose another folder.",
            )
    text = json.dumps(about.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_atomic(path, text + "\n")


def read_region_set(folder: Path) -> RegionSet:
    """Read what the slides of a dataset have in common.

    Raises
    ------
    ConfigError
        If the folder is no region dataset.
    """
    path = folder / INDEX_NAME
    hint = "A folder with dataset.json and one npz file per slide is needed."
    if not path.is_file():
        raise ConfigError(
            f"{visible(folder)} is no region dataset: it holds no {INDEX_NAME}.", hint=hint
        )
    values = read_json_value(path, error=ConfigError, hint=hint)
    try:
        return RegionSet.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            f"{visible(folder)} is no region dataset: {_first_fault(error, INDEX_NAME)}.",
            hint=hint,
        ) from error


def slide_path(folder: Path, slide: str) -> Path:
    """Return the path of a slide's file; characters that a file system may refuse become ``_``."""
    safe = re.sub(r"[^\w.-]+", "_", slide)
    return folder / f"{safe}.npz"


def write_region_slide(folder: Path, slide: RegionSlide) -> Path:
    """Write one slide; its file is complete or absent, so a build can be stopped."""
    coarse = slide.coarse
    arrays: dict[str, Any] = {
        "tiles": coarse.tiles,
        "cells": coarse.cells,
        "features": coarse.features,
        "truth": slide.truth,
        "meta": np.array(slide.meta.model_dump_json()),
    }
    if coarse.shifted is not None:
        arrays["shifted"] = coarse.shifted
    path = slide_path(folder, slide.meta.slide)
    with whole_file(path) as part:
        np.savez_compressed(part, **arrays)
    return path


def read_region_slide(path: Path) -> RegionSlide:
    """Read one slide.

    Raises
    ------
    ConfigError
        If the file is damaged, or stage 1 was trained on the slide's case.
    """
    what, hint = "a slide of a region dataset", "Delete it and build the dataset again."
    stored = read_arrays(
        path, REGION_ARRAYS, what, optional=("shifted",), error=ConfigError, hint=hint
    )
    values = parse_json(str(stored["meta"]), path, error=ConfigError, hint=hint)
    try:
        with reading(what, path, error=ConfigError, hint=hint):
            meta = RegionMeta.model_validate(values)
            coarse = CoarseMaps(
                stored["tiles"], stored["cells"], stored["features"], stored.get("shifted")
            )
            slide = RegionSlide(meta, coarse, stored["truth"])
    except ConfigError as error:
        if isinstance(error.__cause__, ValidationError):
            fault = _first_fault(error.__cause__, "the file")
            raise ConfigError(
                f"{visible(path)} is no slide of a region dataset: {fault}."
            ) from error
        raise ConfigError(f"{visible(path)}: {error.message}", hint=error.hint) from error
    other = next((c for c in meta.stage1_cases if _is_of(c, meta)), None)
    if other is not None:
        spelled = "" if other == meta.case else f" (written {other!r})"
        raise ConfigError(
            f"{visible(path)}: stage 1 was trained on its case {meta.case!r}{spelled}, so its maps "
            "are too good.",
            hint="Build the regions with a stage-1 model that has not seen this case.",
        )
    return slide


def read_regions(folder: Path) -> tuple[RegionSet, list[RegionSlide]]:
    """Read a whole dataset, in the order of its file names.

    Raises
    ------
    ConfigError
        If the folder is no dataset or holds no slide, or a slide has other classes.
    """
    about = read_region_set(folder)
    slides = [read_region_slide(path) for path in sorted(folder.glob("[!.]*.npz"))]
    if not slides:
        raise ConfigError(f"the region dataset {folder} holds no slide.", hint="Build it first.")
    for slide in slides:
        if slide.coarse.classes != len(about.classes):
            raise ConfigError(
                f"{slide.meta.slide} in {folder} has {slide.coarse.classes} classes, "
                f"its dataset {len(about.classes)}."
            )
    return about, slides


def split_by_case(
    slides: Iterable[RegionSlide], share: float, seed: int
) -> tuple[list[RegionSlide], list[RegionSlide]]:
    """Split slides into those to keep and those of about ``share`` of the cases.

    There is at least one case on each side. With a share of 0 or a single case all slides
    are kept. Case ids that look like one patient's stay together.
    """
    slides = list(slides)
    named: dict[str, str] = {}
    for slide in sorted(slides, key=lambda slide: slide.meta.case):
        named.setdefault(slide.meta.patient, slide.meta.case)
    cases = sorted(named.values())
    count = min(max(1, round(share * len(cases))), len(cases) - 1) if share > 0 else 0
    order = np.random.default_rng(seed).permutation(len(cases))
    aside = {cases[i] for i in order[:count]}
    kept = [slide for slide in slides if named[slide.meta.patient] not in aside]
    return kept, [slide for slide in slides if named[slide.meta.patient] in aside]


def _is_of(case: str, meta: RegionMeta) -> bool:
    return case == meta.case if meta.distinct_cases else alike(case) == meta.patient


def _first_fault(error: ValidationError, where: str) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or where
    return f"{place!r}: {first['msg']}"
