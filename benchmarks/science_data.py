"""The data of the refinement benchmark: made once, kept in a work folder, resumable."""

from __future__ import annotations

import csv
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_fddm.training.data.stains import SEEN, SHIFTED
from napari_fddm.training.data.textures import read_textures
from napari_fddm.training.default import COMPOSITES, EMBEDDING, HELD_OUT, MAP_SEEDS
from napari_fddm.training.regions import RegionSlide, read_regions
from napari_fddm.training.regions.annotated_images import ImageSource, embedded_images, out_of_fold
from napari_fddm.training.regions.composites import build_composites, texture_folds
from napari_fddm.training.regions.files import RegionSet, write_region_set, write_region_slide
from napari_fddm.training.regions.synthetic import synthetic_regions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_fddm.models import LoadedModel

MODEL = "fddm-small"
TEST_SEEDS = range(50_000, 50_010)
"""Unseen by both stages: stage 1 was trained on seeds from 10 000."""
OVERLAP_SEEDS = TEST_SEEDS[:4]
TEST_COMPOSITES = 6
IMAGES_PER_PATIENT = 2


@dataclass(frozen=True, slots=True)
class ImageSet:
    """A public data set of images with masks, for research alone.

    Attributes
    ----------
    name, title : str
        Key, and how the manifest names it.
    classes : tuple of str
        In the order of channels.
    scale : float
        Factor on its pixels, so that some tiles fit an image.
    cell_um : float
        Edge of a cell after that.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    scale: float
    cell_um: float


GLAS = ImageSet("glas", "GlaS", ("other", "gland"), 1.96, 0.62 * 32 / 1.96)
WSSS = ImageSet("wsss4luad", "WSSS4LUAD", ("background", "tumor", "stroma", "normal"), 4.0, 8.0)
WSSS_VALUES = {3: 1, 0: 2, 1: 3, 2: 4}


def synthetic_tests(work: Path, model: LoadedModel) -> list[RegionSlide]:
    """Return windows of unseen synthetic slides; the first ones with overlapping tiles."""
    folder = work / "test-synthetic"
    slides = list(
        synthetic_regions(folder, OVERLAP_SEEDS, model, stage1=MODEL, tiles=8, shifted=True)
    )
    rest = TEST_SEEDS[len(OVERLAP_SEEDS) :]
    return slides + list(synthetic_regions(folder, rest, model, stage1=MODEL, tiles=8))


def shifted_stain_tests(work: Path, model: LoadedModel) -> list[RegionSlide]:
    """Return the same windows in stains that neither stage has seen."""
    folder = work / "test-shift"
    return list(synthetic_regions(folder, TEST_SEEDS, model, stage1=MODEL, tiles=8, stains=SHIFTED))


def synthetic_training(work: Path, model: LoadedModel) -> Path:
    """Make the training windows and return their dataset."""
    folder = work / "train-synthetic"
    for _ in synthetic_regions(folder, MAP_SEEDS, model, stage1=MODEL, stains=SEEN):
        pass
    return folder


def composites(
    work: Path, data: Path, model: LoadedModel, *, tests: bool = True
) -> tuple[Path, Path]:
    """Make the composites and return their training and test datasets."""
    textures = read_textures(data / "osteosarcoma" / "manifest.csv")
    return build_composites(
        work / "composites",
        texture_folds(textures, HELD_OUT),
        model,
        EMBEDDING,
        train=COMPOSITES,
        test=TEST_COMPOSITES if tests else 0,
        stage1=f"linear heads on the frozen backbone of {MODEL}",
        shifted_tests=True,
    )


def image_folds(work: Path, data: Path, images: ImageSet, model: LoadedModel) -> tuple[Path, Path]:
    """Make two halves of an image set, each with maps of heads fitted on the other.

    The halves are by patient where patients are known, else by image.
    """
    sources = list(_image_sources(data / "seg", images))
    embedded = list(
        embedded_images(
            work / images.name / "embedded", sources, model, EMBEDDING, len(images.classes)
        )
    )
    folders = []
    for fold, other in (("0", "1"), ("1", "0")):
        folder = work / images.name / f"fold-{fold}"
        write_region_set(
            folder,
            RegionSet(classes=images.classes, cell_um=images.cell_um, title=images.title),
        )
        for slide in out_of_fold(embedded, fold, [other], len(images.classes), MODEL):
            write_region_slide(folder, slide)
        folders.append(folder)
    return folders[0], folders[1]


def load(folder: Path) -> list[RegionSlide]:
    """Return the slides of a dataset."""
    return read_regions(folder)[1]


def _image_sources(root: Path, images: ImageSet) -> Iterator[ImageSource]:
    with (root / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == images.title]
    taken: dict[str, int] = {}
    patients = sorted({row["patient"] for row in rows} - {"unknown"})
    for row in rows:
        known = row["patient"] != "unknown"
        name = f"{images.name}-{row['image'].rsplit('/', 1)[-1].rsplit('.', 1)[0]}"
        case = row["patient"] if known else name
        taken[case] = taken.get(case, 0) + 1
        if known and taken[case] > IMAGES_PER_PATIENT:
            continue
        fold = patients.index(case) % 2 if known else zlib.crc32(case.encode()) % 2
        yield ImageSource(
            name,
            case,
            str(fold),
            partial(_open, root / row["image"], root / row["mask"], images),
        )


def _open(image_path: Path, mask_path: Path, images: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    image, mask = Image.open(image_path).convert("RGB"), Image.open(mask_path)
    size = (round(image.width * images.scale), round(image.height * images.scale))
    pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    values = np.asarray(mask.resize(size, Image.Resampling.NEAREST))
    if images is GLAS:
        return pixels, np.where(values > 0, 2, 1).astype(np.uint8)
    truth = np.zeros(values.shape, np.uint8)
    for value, label in WSSS_VALUES.items():
        truth[values == value] = label
    return pixels, truth
