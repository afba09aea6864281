"""Load a model: its card, its classifier and, on demand, the denoiser of stage 2."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_fddm.core.cards import CARD_NAME, ClassifierCard, ModelCard, read_card
from napari_fddm.core.errors import FddmError, WeightsError
from napari_fddm.core.outside.guard import LONGEST_REASON, reason
from napari_fddm.core.outside.text import visible
from napari_fddm.core.provenance import REFINER_FILE
from napari_fddm.core.tiling import TILE_PX
from napari_fddm.models.classifier import TileClassifier, build_backbone
from napari_fddm.models.denoiser import Denoiser
from napari_fddm.models.device import ComputeDevice, choose_device
from napari_fddm.models.hierarchy import OSTEOSARCOMA_TREE
from napari_fddm.models.hub import HubSource, find_backbone
from napari_fddm.models.lora import merge_lora
from napari_fddm.models.registry import DEFAULT_MODEL, find_model
from napari_fddm.models.segmenter import TileSegmenter, build_segmenter
from napari_fddm.models.weights import load_tensors, read_tensors, tensors_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy.typing as npt

BACKBONE_FILE = "backbone.safetensors"
ADAPTER_FILE = "adapter.safetensors"
HEADS_FILE = "heads.safetensors"
TIMES_LARGER, SMALL_NETWORK = 4, 64_000_000
"""A network may be so many times as large as its file, and so many values larger: it may hold
tables that it computes."""
MISFIT = "does not fit the network its card describes"
FROM_ONE_MODEL = "Do the card and all weights files come from one model?"
NO_REFINER = (
    "Say --steps 0 (classes of cells, as stage 1 gives them) or --stage patch (of whole tiles)."
)


def load_model(model: str = DEFAULT_MODEL, device: str = "auto") -> LoadedModel:
    """Load a model by id or folder.

    Raises
    ------
    WeightsError
        If files are missing, damaged or do not fit each other.
    ConfigError
        If the device is not there.
    """
    folder = find_model(model)
    return LoadedModel(folder, read_card(folder), choose_device(device))


class LoadedModel:
    """Both networks of a model on one device.

    Parameters
    ----------
    folder : Path
        Folder of the model's files.
    card : ModelCard
        Its description.
    compute : ComputeDevice
        Device and precision.
    """

    def __init__(self, folder: Path, card: ModelCard, compute: ComputeDevice) -> None:
        self.folder = folder
        self.card = card
        self.compute = compute
        self.backbone_sha256: str | None = None  # of a backbone that is not in the folder
        self.classifier: torch.nn.Module
        if card.classifier.segmenter is not None:
            self.classifier = self._load_segmenter(card.classifier.segmenter)
            self.classifier.to(compute.device).eval()
        else:
            classifier = self._load_classifier().to(compute.device).eval()
            self.classifier = with_best_layout(classifier, compute.device)
        with self._building():  # a network may be built that cannot run
            self.classify(np.zeros((1, TILE_PX, TILE_PX, 3), np.uint8))

    @property
    def can_refine(self) -> bool:
        """Whether the model has a second stage."""
        return self.card.refiner is not None

    def classify(
        self, tiles_nhwc: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Classify tiles of shape (n, h, w, 3).

        Returns
        -------
        tile_probs : array of float32, shape (n, classes)
        cell_probs : array of float32, shape (n, classes, 8, 8)
        """
        batch = torch.from_numpy(tiles_nhwc).to(self.compute.device)
        with torch.inference_mode(), self.compute.autocast():
            logits = self.classifier(batch)
        return (
            torch.softmax(logits.tile.float(), dim=1).cpu().numpy(),
            torch.softmax(logits.cells.float(), dim=1).cpu().numpy(),
        )

    def embed(
        self, tiles_nhwc: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the features that the heads get for tiles of shape (n, h, w, 3).

        Returns
        -------
        tiles : array of float32, shape (n, d')
        cells : array of float32, shape (n, d, 8, 8)

        Raises
        ------
        WeightsError
            If the model's first stage is no classifier of tiles.
        """
        if not isinstance(self.classifier, TileClassifier):
            raise WeightsError(
                f"the model {self.card.id!r} segments regions and has no features of tiles.",
                hint="Take a model that classifies tiles.",
            )
        batch = torch.from_numpy(tiles_nhwc).to(self.compute.device)
        with torch.inference_mode(), self.compute.autocast():
            tiles, cells, _ = self.classifier.features(batch)
        return tiles.float().cpu().numpy(), cells.float().permute(0, 3, 1, 2).cpu().numpy()

    def load_denoiser(self, input_scale: list[float]) -> Denoiser:
        """Load the second stage's network.

        Raises
        ------
        WeightsError
            If the model has none or its file does not fit.
        """
        if self.card.refiner is None:
            raise WeightsError(f"the model {self.card.id!r} has no refiner.", hint=NO_REFINER)
        settings = self.card.refiner.denoiser
        if settings.classes != len(self.card.classes):
            raise WeightsError(
                f"{visible(self.folder / CARD_NAME)} has {len(self.card.classes)} classes, but "
                f"its refiner {settings.classes}.",
                hint=FROM_ONE_MODEL,
            )
        state = load_tensors(self.folder, REFINER_FILE, self.card)
        with self._building():
            check_size(lambda: Denoiser(settings, input_scale), state, REFINER_FILE)
            denoiser = Denoiser(settings, input_scale)
        _load_strictly(denoiser, state, REFINER_FILE)
        return denoiser.to(self.compute.device).eval()

    @cached_property
    def identity(self) -> dict[str, object]:
        """Identity of the model, as provenance records it."""
        known: dict[str, object] = {
            "id": self.card.id,
            "files": dict(self.card.files),
            "analysis_mpp": self.card.analysis_mpp,
            "licence": self.card.licence,
            "real_tissue": self.card.real_tissue,
            "classes": list(self.card.classes),
            "real_classes": self.card.model_dump(mode="json")["real_classes"],
        }
        if self.card.base is not None:
            known["adapted_from"] = self.card.base.id
        if self.backbone_sha256 is not None:
            source = self.card.classifier.backbone_source
            known["backbone"] = {"source": source, "tensors_sha256": self.backbone_sha256}
        return known

    def _building(self) -> AbstractContextManager[None]:
        return _refusing(f"{self.folder / CARD_NAME} describes no network that can be built")

    def _load_backbone_tensors(self) -> dict[str, torch.Tensor]:
        """Load the backbone from the folder, or from where the card's source is found."""
        spec = self.card.classifier
        if spec.backbone_source is None:
            return load_tensors(self.folder, BACKBONE_FILE, self.card)
        path = find_backbone(HubSource.parse(spec.backbone_source))
        state = read_tensors(path)
        self.backbone_sha256 = tensors_sha256(state)
        if spec.backbone_sha256 not in {None, self.backbone_sha256}:
            raise WeightsError(
                f"{path} is not the backbone that {self.card.id!r} was trained on: "
                "its tensors have another sha256.",
                hint=f"Fetch {spec.backbone_source} again.",
            )
        return state

    def _load_segmenter(self, name: str) -> TileSegmenter:
        spec = self.card.classifier
        state = load_tensors(self.folder, BACKBONE_FILE, self.card)
        build = partial(build_segmenter, name, spec.backbone, len(self.card.classes))
        with self._building():
            with suppress(RuntimeError):  # some encoders compute with their values at once
                check_size(build, state, BACKBONE_FILE)
            network = build()
        _load_strictly(network, state, BACKBONE_FILE)
        return TileSegmenter(network, mean=spec.mean, std=spec.std)

    def load_backbone(self) -> torch.nn.Module:
        """Build the backbone anew, without adapters, in float32 on the CPU.

        Raises
        ------
        WeightsError
            If its weights are missing, damaged or do not fit.
        """
        spec = self.card.classifier
        state = self._load_backbone_tensors()
        where = spec.backbone_source or BACKBONE_FILE
        with self._building():
            check_size(lambda: build_backbone(spec.backbone, **spec.backbone_options), state, where)
            backbone = build_backbone(spec.backbone, **spec.backbone_options)
        _load_strictly(backbone, {k: v.float() for k, v in state.items()}, where)
        return backbone

    def _load_classifier(self) -> TileClassifier:
        spec = self.card.classifier
        backbone = self.load_backbone()
        if ADAPTER_FILE in self.card.files:
            adapter = load_tensors(self.folder, ADAPTER_FILE, self.card)
            with _refusing(f"{self.folder / ADAPTER_FILE} {MISFIT}"):
                backbone = merge_lora(backbone, spec.lora, adapter)
        with self._building():
            classifier = build_classifier(backbone, spec, self.card.classes)
        heads = load_tensors(self.folder, HEADS_FILE, self.card)
        for name in classifier.head_names:
            part = {
                k.removeprefix(f"{name}."): v for k, v in heads.items() if k.startswith(f"{name}.")
            }
            _load_strictly(getattr(classifier, name), part, f"{HEADS_FILE}:{name}")
        return classifier


def build_classifier(
    backbone: torch.nn.Module, spec: ClassifierCard, classes: Sequence[str]
) -> TileClassifier:
    """Put the heads that a card describes on a backbone.

    Raises
    ------
    ConfigError
        If the card's tree is none of these classes.
    """
    tree = OSTEOSARCOMA_TREE.pruned(spec.tree) if spec.tree is not None else None
    return TileClassifier(
        backbone,
        len(classes),
        input_px=spec.input_px,
        mean=spec.mean,
        std=spec.std,
        tree=None if tree is None else (tree, classes),
        radiomics=spec.radiomics,
    )


def with_best_layout(classifier: TileClassifier, device: torch.device) -> TileClassifier:
    """Give convolutional backbones the channels-last memory format, as the tiles have.

    In bfloat16 on a CPU that is faster, by 1.5 times for a ResNet
    (``benchmarks/precision.py``); transformers, all matrix products, gain nothing.
    """
    if device.type != "mps" and not hasattr(classifier.backbone, "patch_embed"):
        classifier.to(memory_format=torch.channels_last)
    return classifier


def check_size(
    build: Callable[[], torch.nn.Module], state: Mapping[str, torch.Tensor], where: str
) -> None:
    """Refuse a network that is much larger than its file, before memory is taken for it.

    Parameters
    ----------
    build : callable
        Builds the network; called once, for a network without values.
    state : mapping of str to Tensor
        What the file holds.
    where : str
        The file, as the message names it.

    Raises
    ------
    WeightsError
        Naming both sizes.
    """
    with torch.device("meta"):
        network = build()
    wanted = sum(t.numel() for t in (*network.parameters(), *network.buffers()))
    held = sum(t.numel() for t in state.values())
    if wanted > TIMES_LARGER * held + SMALL_NETWORK:
        raise WeightsError(
            f"it would have {wanted / 1e6:,.0f} million values, but {where} holds "
            f"{held / 1e6:,.1f} million.",
            hint=FROM_ONE_MODEL,
        )


def _load_strictly(module: torch.nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    with _refusing(f"{where} {MISFIT}"):
        module.load_state_dict(state, strict=True)


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Turn whatever torch, timm, peft and diffusers raise into one line."""
    try:
        yield
    except FddmError as error:
        raise WeightsError(f"{visible(what)}: {error.message}", hint=error.hint) from error
    except Exception as error:  # these libraries raise anything for a card that fits nothing
        # torch gives the reason in its second line only.
        detail = " ".join(str(error).split("\n")[1:2]).strip() or reason(error)
        raise WeightsError(
            f"{visible(what)}: {visible(detail)[:LONGEST_REASON].rstrip('.')}.",
            hint=FROM_ONE_MODEL,
        ) from error
