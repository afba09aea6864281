"""Model cards: what a model is, how its networks are built, what it was trained on.

A card is read without torch.
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_fddm.core.errors import WeightsError
from napari_fddm.core.files import write_atomic
from napari_fddm.core.maps import TISSUE_FEATURES
from napari_fddm.core.outside.json_files import read_json_value
from napari_fddm.core.outside.text import json_text, visible

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

CARD_NAME = "card.json"
LARGEST_CARD = 16 << 20
"""Bytes. What was measured is a few kB."""
DEEPEST = 32
"""Levels of objects and lists within what a card says freely."""
MOST_LAYERS, LARGEST_OPTION = 512, 65_536
"""Limits of a backbone's options; the largest networks of timm have 64 layers of 4096."""
FOREIGN_OPTIONS = {
    "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir",
    "scriptable", "exportable", "no_jit", "num_classes", "in_chans", "features_only",
    "out_indices", "feature_cfg",
}  # fmt: skip
"""What timm takes besides a network's own options: files, connections, another output."""
_REWRITE = "Was it written by another version of napari-fddm, or by hand?"


def _plain_file(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][\w.+-]{0,199}", name):
        raise ValueError(f"{visible(name)!r} is no name of a file in the model's folder")
    return name


def _free(values: dict[str, Any]) -> dict[str, Any]:
    """Refuse what could not be written as JSON again."""
    level: list[Any] = [values]
    for _ in range(DEEPEST):
        inside = [v for value in level for v in _parts(value)]
        if any(isinstance(v, float) and not math.isfinite(v) for v in inside):
            raise ValueError("a number is not finite")
        level = [v for v in inside if isinstance(v, dict | list | tuple)]
        if not level:
            return values
    raise ValueError("it is nested too deeply")


def _parts(value: Any) -> list[Any]:
    return list(value.values() if isinstance(value, dict) else value)


def _options(values: dict[str, Any]) -> dict[str, Any]:
    """Refuse options that name files, open connections or make a network of gigabytes."""
    for name, value in values.items():
        if name in FOREIGN_OPTIONS:
            raise ValueError(f"{name!r} is no option of a network")
        parts = value if isinstance(value, list | tuple) else [value]
        most = MOST_LAYERS if re.search("depth|layers|blocks", name) else LARGEST_OPTION
        if len(parts) > DEEPEST or not all(_scalar(part, most) for part in parts):
            raise ValueError(f"{visible(name)!r} is no number from 0 to {most}, text or short list")
    return values


def _scalar(value: Any, most: int) -> bool:
    if isinstance(value, int | float):
        return 0 <= value <= most  # not for NaN
    return value is None or isinstance(value, str)


def _modules(pattern: str) -> str:
    """Refuse a regular expression that is none, or that may take for ever."""
    repeated = re.search(r"\)\s*[*+{]", pattern)
    if len(pattern) > 300 or repeated or len(re.findall(r"[*+{]", pattern)) > 8:
        raise ValueError("it is too complicated")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        raise ValueError("it is no regular expression") from None
    return pattern


Free = Annotated[dict[str, Any], AfterValidator(_free)]
"""What a card says freely: any JSON that is finite and not too deep."""
Files = Annotated[dict[Annotated[str, AfterValidator(_plain_file)], str], Field(max_length=64)]
NetworkName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")]
"""A name in a library's list of networks: no path, and no place on a hub."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Width = Annotated[int, Field(ge=1, le=4096)]


class DenoiserSettings(BaseModel):
    """Size of the network.

    Attributes
    ----------
    classes : int
        Channels of x_t, of y and of the output.
    tissue_features : int
        Channels of O.
    condition_channels : int
        Output channels of τ.
    widths : tuple of int
        Channels at each resolution, 64, 32, 16 … cells.
    layers : int
        Residual blocks per resolution.
    residual : bool
        Whether the output is added to log y, so that a network whose output is zero
        returns y; only where the output is logits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: int = Field(default=7, ge=1, le=254)
    tissue_features: int = Field(default=TISSUE_FEATURES, ge=TISSUE_FEATURES, le=TISSUE_FEATURES)
    condition_channels: Width = 16
    widths: tuple[Width, ...] = Field(default=(32, 64, 96), min_length=1, max_length=8)
    layers: int = Field(default=2, ge=1, le=16)
    residual: bool = False


ATTENTION_LINEARS = r"(.*\.)?blocks\.\d+\.attn\.(qkv|proj)"
"""Every attention projection. peft matches a *string* against the whole name; the list
``["qkv", "proj"]`` would also catch the convolution ``patch_embed.proj``."""


class LoraSettings(BaseModel):
    """LoRA hyper-parameters; the defaults are those of FDDM.

    Attributes
    ----------
    r : int
        Rank of the update.
    lora_alpha : int
        The update is scaled by ``lora_alpha / r``.
    target_modules : str
        Regular expression over module names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    r: int = Field(default=16, ge=1, le=1024)
    lora_alpha: int = Field(default=32, ge=1, le=65_536)
    target_modules: Annotated[str, AfterValidator(_modules)] = ATTENTION_LINEARS


class ClassifierCard(BaseModel):
    """How stage 1 is built and fed.

    Attributes
    ----------
    backbone : str
        timm's name.
    backbone_options : dict
        Further arguments of timm's constructor.
    backbone_source : str or None
        ``hf:owner/name[@revision]`` of a backbone that each user fetches with their
        own access; None where the folder holds it.
    backbone_sha256 : str or None
        `tensors_sha256` of that backbone: other weights would load, and give wrong results.
    input_px : int
        Edge to which a tile is resized.
    mean, std : tuple of float
        Normalization.
    lora : LoraSettings
        The adapter's shape.
    segmenter : str or None
        An architecture of segmentation-models-pytorch around the backbone, which then
        names its encoder; None for a classifier of tiles.
    tree : tuple of str or None
        Classes that the tile's head tells apart in a sequence of yes-no decisions
        (`models.hierarchy`); None for a flat head.
    radiomics : tuple of str
        Sets of features (`models.radiomics`) that a gate fuses with the image's; empty:
        the image alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: NetworkName
    backbone_options: Annotated[dict[str, Any], AfterValidator(_options)] = {}
    backbone_source: str | None = Field(default=None, pattern="^hf:")
    backbone_sha256: str | None = None
    input_px: int = Field(gt=0, le=2048)
    mean: tuple[Finite, Finite, Finite]
    std: tuple[Positive, Positive, Positive]
    lora: LoraSettings = LoraSettings()
    segmenter: NetworkName | None = None
    tree: tuple[str, ...] | None = None
    radiomics: tuple[Literal["first_order", "glcm"], ...] = ()


class InputMoments(BaseModel):
    """Spread of x_0 and y, from which x_t is scaled to unit variance.

    See ``docs/algorithm.md#input-scale``.

    The defaults are those of one-hot maps with seven equally frequent classes, and a y
    as wide as x_0 that agrees with it.

    Attributes
    ----------
    original, source : float
        Variance of x_0 and of y, the mean over channels.
    covariance : float
        Of x_0 and y, likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    original: float = Field(default=6 / 49, gt=0, allow_inf_nan=False)
    source: float = Field(default=6 / 49, gt=0, allow_inf_nan=False)
    covariance: float = Field(default=6 / 49, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check_covariance(self) -> InputMoments:
        if abs(self.covariance) > (1 + 1e-6) * math.sqrt(self.original * self.source):
            raise ValueError("covariance is larger than the variances allow")
        return self


class RefinerCard(BaseModel):
    """How stage 2 is built.

    Attributes
    ----------
    denoiser : DenoiserSettings
        Sizes of the network.
    num_train_timesteps : int
        T of the bridge.
    max_variance : float
        s of the bridge (``docs/algorithm.md#forward-process``).
    schedule : {"exact", "bbdm"}
        How m_t runs; "bbdm" is that of the published code.
    head : {"softmax", "linear"}
        Whether the network's output is logits of x̂_0, or regressed as the paper's.
    prediction_type : {"bridge_difference", "noise", "source_minus_sample"}
        What a regressed output means.
    input_moments : InputMoments or None
        How x_t is scaled before the network; None where it is not, as in the paper.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    denoiser: DenoiserSettings = DenoiserSettings()
    num_train_timesteps: int = Field(default=1000, ge=1, le=100_000)
    max_variance: float = Field(default=0.5, gt=0, le=1000, allow_inf_nan=False)
    schedule: Literal["exact", "bbdm"] = "exact"
    head: Literal["softmax", "linear"] = "softmax"
    prediction_type: Literal["bridge_difference", "noise", "source_minus_sample"] = (
        "bridge_difference"
    )
    input_moments: InputMoments | None = InputMoments()


class BaseReference(BaseModel):
    """The model that another one was adapted from, which holds the unchanged files.

    Attributes
    ----------
    model : str
        Where it is found: id of a bundled model, a folder, or ``hf:owner/name[@revision]``.
    id : str
        What its card calls it.
    files : dict of str to str
        File name → sha256, of all its files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    id: str
    files: dict[str, str]


class ModelCard(BaseModel):
    """What a model is, needs, was trained on, and may be used for.

    Attributes
    ----------
    format_version : int
        Of this layout; newer ones are refused.
    id, title : str
        Key and what a user reads.
    analysis_mpp : float
        µm per pixel of a tile.
    classes : tuple of str
        Abbreviations in the order of channels.
    files : dict of str to str
        File name → sha256.
    trained_on, limits, licence : str
        In words, for the user.
    real_tissue : bool
        Whether any class was learned from real tissue.
    real_classes : tuple of str or None
        Which were; None where that is not known class by class.
    base : BaseReference or None
        Where files are taken from that ``files`` lists and the folder lacks; None where
        the folder is complete.
    training, metrics : dict
        Settings of the training and what it measured, with the command.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    id: str
    title: str
    analysis_mpp: float = Field(ge=0.05, le=20, allow_inf_nan=False)
    classes: tuple[str, ...] = Field(min_length=1, max_length=254)
    classifier: ClassifierCard
    refiner: RefinerCard | None = None
    files: Files
    trained_on: str
    limits: str
    licence: str
    real_tissue: bool
    real_classes: tuple[str, ...] | None = None
    base: BaseReference | None = None
    training: Free = {}
    metrics: Free = {}

    @property
    def shows_tiles(self) -> bool:
        """Whether a run shows whole tiles unless told otherwise.

        Radiomics describe tiles, not cells: without a refiner a map of cells ignores them.
        """
        return self.refiner is None and bool(self.classifier.radiomics)

    @model_validator(mode="after")
    def _check_classes(self) -> ModelCard:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes names a class twice")
        unknown = [name for name in self.real_classes or () if name not in self.classes]
        if unknown:
            raise ValueError(f"real_classes names {', '.join(unknown)}, which is no class of it")
        if self.real_classes and not self.real_tissue:
            raise ValueError("real_classes names classes although real_tissue is false")
        tree = self.classifier.tree
        if tree is not None and not (len(tree) > 1 and set(tree) <= set(self.classes)):
            raise ValueError("tree must name two classes of it or more")
        return self


def read_card(folder: Path) -> ModelCard:
    """Read and check a model's card.

    Raises
    ------
    WeightsError
        If the folder holds no card, or not a valid one.
    """
    path = folder / CARD_NAME
    if not os.path.lexists(path):
        raise WeightsError(
            f"{visible(folder)} holds no {CARD_NAME}, so it is not a model folder.",
            hint="Give a folder with card.json and its safetensors files, or the id fddm-small.",
        )
    values = read_json_value(
        path, what="a model card", error=WeightsError, hint=_REWRITE, most=LARGEST_CARD
    )
    try:
        return ModelCard.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise WeightsError(
            f"{visible(path)} is not a model card: {visible(where)!r}: "
            f"{visible(first['msg'].removeprefix('Value error, '))}.",
            hint=_REWRITE,
        ) from error


def write_card(card: ModelCard, folder: Path) -> None:
    """Write a card, readable by people."""
    write_atomic(folder / CARD_NAME, json_text(card.model_dump(mode="json"), indent=2) + "\n")


def unseen_classes(model: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes that a model never saw in real tissue, as far as its card says.

    Parameters
    ----------
    model : mapping
        What provenance records of a model: ``real_tissue``, ``classes``, ``real_classes``.
        A record without them, of an earlier version, names no class.
    """
    seen = model.get("real_classes")
    if seen is None:
        return ()
    return tuple(name for name in model.get("classes", ()) if name not in seen)


def real_classes_with(card: ModelCard, more: Collection[str]) -> tuple[str, ...] | None:
    """Return a model's real classes after learning more of them; None where they are unknown."""
    if card.real_classes is None and card.real_tissue:
        return None
    seen = {*(card.real_classes or ()), *more}
    return tuple(short for short in card.classes if short in seen)


def first_line(error: Exception) -> str:
    """Return the first line of an error's text."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
