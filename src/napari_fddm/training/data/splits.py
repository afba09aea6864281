"""Splits a manifest into training, validation and test by case, and refuses leaks."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import DataError
from napari_fddm.core.outside.files import open_file, require_regular
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible
from napari_fddm.training.data.manifest import SYNTHETIC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fddm.training.data.manifest import Manifest, Source

_HASHED_BYTES = 1 << 20
"""Hashed at the start, the middle and the end of a file larger than `_WHOLE_BYTES`."""
_WHOLE_BYTES = 64 << 20


def split_manifest(
    manifest: Manifest,
    *,
    val_share: float = 0.2,
    test_share: float = 0.0,
    seed: int = 0,
    hold_out: Sequence[str] = (),
) -> Manifest:
    """Return the manifest with a split for every row, checked for leaks.

    If the manifest has a split for every row, it is used. Otherwise whole cases are drawn:
    as many as the shares require, at least one each, and at least one is left for training.

    Parameters
    ----------
    manifest : Manifest
        As `read_manifest` returns it.
    val_share, test_share : float
        Shares of the cases, in [0, 1).
    seed : int
        Seed with which cases are drawn.
    hold_out : sequence of str
        Cases for validation; if any, nothing is drawn and the manifest's splits are ignored.

    Raises
    ------
    DataError
        If some rows have a split and others not, there are too few cases, a case is in two
        splits, or an image is listed twice.
    """
    refuse_shared_images(manifest.sources)
    given = [s.split for s in manifest.sources]
    if hold_out:
        manifest = manifest.with_splits(_held_out(manifest.cases, hold_out))
    elif not any(given):
        manifest = manifest.with_splits(_drawn(manifest.cases, val_share, test_share, seed))
    elif not all(given):
        line = next(s.line for s in manifest.sources if not s.split)
        raise DataError(
            f"line {line} of {manifest.path.name} has no split, others have one.",
            hint="Fill the column or remove it.",
        )
    refuse_shared_cases(manifest)
    return manifest


def refuse_shared_cases(manifest: Manifest) -> None:
    """Raise an error if a case is in two splits.

    Raises
    ------
    DataError
        With the case and its splits.
    """
    sides: dict[str, set[str]] = defaultdict(set)
    for source in manifest.sources:
        sides[source.case].add(source.split or "")
    for case, splits in sides.items():
        if len(splits) > 1:
            raise DataError(
                f"the case {case!r} of {manifest.path.name} lies in "
                f"{' and '.join(sorted(splits))}: "
                "what is learned from a patient's tissue would be judged on the same patient.",
                hint="Give every row of a case the same split.",
            )


def refuse_shared_images(sources: Sequence[Source]) -> None:
    """Raise an error if an image is listed twice, even under different file names.

    Raises
    ------
    DataError
        With both rows.
    """
    seen: dict[str, Source] = {}
    for source in sources:
        key = image_key(source.image)
        first = seen.setdefault(key, source)
        if first is not source and first.case == source.case:
            raise DataError(
                f"{first.name} (line {first.line}) and {source.name} (line {source.line}) are the "
                "same image.",
                hint="List an image once.",
            )
        if first.case != source.case:
            raise DataError(
                f"{first.name} (line {first.line}, case {first.case!r}) and {source.name} "
                f"(line {source.line}, case {source.case!r}) are the same image.",
                hint="An image has one patient: correct the manifest.",
            )


def image_key(image: str) -> str:
    """Return a sha256 of the content of an image, which its copies share.

    For a large file it is that of its size and three parts, for a folder that of the names
    and sizes of its files. A synthetic slide has its name.
    """
    if image.startswith(SYNTHETIC):
        return image
    path = Path(image)
    if path.is_dir():
        return _folder_key(path)
    size = require_regular(path, "an image")
    digest = hashlib.sha256()
    with open_file(path, "an image") as opened:
        if size <= _WHOLE_BYTES:
            return hashlib.sha256(opened.read()).hexdigest()
        digest.update(str(size).encode())
        for start in (0, size // 2, size - _HASHED_BYTES):
            opened.seek(start)
            digest.update(opened.read(_HASHED_BYTES))
    return digest.hexdigest()


def _folder_key(path: Path) -> str:
    digest = hashlib.sha256()
    with reading("an image", path):
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            entry = f"{file.relative_to(path)} {file.stat().st_size}\n"
            digest.update(entry.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _held_out(cases: Sequence[str], hold_out: Sequence[str]) -> dict[str, str]:
    unknown = sorted(set(hold_out) - set(cases))
    if unknown:
        raise DataError(
            f"there is no case {unknown[0]!r} to hold out.",
            hint=f"Cases are {', '.join(map(visible, cases))}.",
        )
    if set(hold_out) == set(cases):
        raise DataError("every case is held out: none is left to learn from.")
    return {case: "val" if case in hold_out else "train" for case in cases}


def _drawn(cases: Sequence[str], val_share: float, test_share: float, seed: int) -> dict[str, str]:
    for name, share in (("--val-share", val_share), ("--test-share", test_share)):
        if not 0 <= share < 1:
            raise DataError(f"{name} cannot be {share}: it must be from 0 to below 1.")
    wanted = {"val": val_share, "test": test_share}
    counts = {k: max(1, round(v * len(cases))) if v else 0 for k, v in wanted.items()}
    if sum(counts.values()) >= len(cases):
        raise DataError(
            f"{len(cases)} cases do not suffice for {sum(counts.values())} held-out ones and one "
            "to learn from.",
            hint="Add cases, lower --val-share or --test-share, or set --val-share 0.",
        )
    order = [cases[i] for i in np.random.default_rng(seed).permutation(len(cases))]
    splits = ["test"] * counts["test"] + ["val"] * counts["val"]
    splits += ["train"] * (len(cases) - len(splits))
    return dict(zip(order, splits, strict=True))
