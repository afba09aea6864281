"""Adapted models on disk: folders with the retrained weights that name a base for the rest.

An adapted model is a model folder like any other, except that its card has a ``base``:
files that the card lists and the folder lacks are those of the base, checked by their sha256.
So ``run --model NAME`` takes it, and choosing the base model undoes the adaptation.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.cards import (
    CARD_NAME,
    BaseReference,
    ModelCard,
    read_card,
    real_classes_with,
    write_card,
)
from napari_fddm.core.errors import TrainingError, WeightsError
from napari_fddm.core.files import whole_folder
from napari_fddm.models.registry import adapters_folder, bundled_models
from napari_fddm.models.tensor_files import save_tensors
from napari_fddm.models.weights import find_file, sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_BESIDE = ("LICENSE*", "NOTICE*", "README*")


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapted model on disk.

    Attributes
    ----------
    name : str
        The name that ``--model`` takes.
    folder : Path
        Its model folder.
    card : ModelCard
        Its card.
    """

    name: str
    folder: Path
    card: ModelCard

    @property
    def in_words(self) -> str:
        """Name, base, and how much it learned from, in one line for users."""
        base = self.card.base.id if self.card.base else "?"
        learned = self.card.training.get("adapted", {})
        sites = learned.get("strokes", {}).get("sites", "?")
        return f"{self.name}: {base}, learned from {sites} places; {learned.get('gate', '')}"


def list_adapters() -> list[Adapter]:
    """Return the adapted models in the user's folder, by name; broken ones are left out."""
    found = []
    for path in sorted(adapters_folder().glob(f"*/{CARD_NAME}")):
        try:
            card = read_card(path.parent)
        except WeightsError:
            continue
        if card.base is not None:
            found.append(Adapter(path.parent.name, path.parent, card))
    return found


def check_name(name: str) -> Path:
    """Return the folder of a new adapted model.

    Raises
    ------
    TrainingError
        If the name is impossible or taken.
    """
    if not _NAME.fullmatch(name):
        raise TrainingError(
            f"{name!r} cannot name a model.",
            hint="Use up to 64 letters, digits, -, _ and ., a letter or digit first.",
        )
    folder = adapters_folder() / name
    if folder.exists() or name in bundled_models():
        raise TrainingError(
            f"there is a model {name!r} already.", hint="Choose another name for the new one."
        )
    return folder


def free_name(stem: str = "adapted") -> str:
    """Return a name that is not taken: a stem with a number.

    It never holds the name of the slide, which may identify a patient: exports name the model.
    """
    taken = {path.name for path in adapters_folder().glob("*")}
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"


def save_adapter(
    name: str,
    base_model: str,
    base_folder: Path,
    files: Mapping[str, Mapping[str, torch.Tensor]],
    about: Mapping[str, Any],
    *,
    real_classes: tuple[str, ...],
) -> Adapter:
    """Write an adapted model, whole or not at all.

    Parameters
    ----------
    name : str
        A name that is not taken.
    base_model : str
        The model that it was made from: id, name, folder or hub source.
    base_folder : Path
        Folder of that model.
    files : mapping
        The retrained weights: file name → tensors.
    about : mapping
        JSON values about the strokes and the verdict; becomes ``training["adapted"]`` of the
        card.
    real_classes : tuple of str
        Classes that it learned from real tissue; empty if the slide is synthetic.

    Raises
    ------
    TrainingError
        If the name is impossible or taken.
    StoreError
        If it cannot be written.
    """
    folder = check_name(name)
    card = read_card(base_folder)
    with whole_folder(folder) as part:
        for file in _own_files(base_folder, card):
            if file not in files:  # the base is itself an adapted model
                shutil.copyfile(base_folder / file, part / file)
        for file, tensors in files.items():
            save_tensors(tensors, part / file)
        write_card(
            adapted_card(name, card, base_model, base_folder, part, about, real_classes), part
        )
    return Adapter(name, folder, read_card(folder))


def adapted_card(
    name: str,
    card: ModelCard,
    base_model: str,
    base_folder: Path,
    made: Path,
    about: Mapping[str, Any],
    real_classes: tuple[str, ...],
) -> ModelCard:
    """Return the card of an adapted model whose own files lie in the folder ``made``."""
    base = card.base
    if base is None:
        # An absolute path: the user may start the program in another folder.
        known = base_model in bundled_models() or base_model.startswith("hf:")
        where = base_model if known else str(base_folder.absolute())
        base = BaseReference(model=where, id=card.id, files=dict(card.files))
    own = {path.name: sha256_of(path) for path in made.glob("*.safetensors")}
    strokes = about["strokes"]
    earlier = card.training.get("adapted")
    return card.model_copy(
        update={
            "id": f"{base.id}+{name}",
            "title": f"{name}, adapted from {base.id}",
            "files": {**card.files, **own},
            "base": base,
            "trained_on": f"{card.trained_on.rstrip('.')}; then adapted to strokes at "
            f"{strokes['sites']} places of one slide",
            "limits": f"Adapted to one slide: judge it anew on others. {card.limits}".strip(),
            "real_tissue": card.real_tissue or bool(real_classes),
            "real_classes": real_classes_with(card, real_classes),
            "training": {"base": card.training, "adapted": dict(about)}
            | ({"adapted_before": earlier} if earlier else {}),
            "metrics": {"held-out sites": about["verdict"]},
        }
    )


def export_adapter(adapter: Adapter, destination: Path) -> None:
    """Write an adapted model as a folder with all weights, which needs no base.

    Raises
    ------
    StoreError
        If the destination exists or cannot be written.
    WeightsError
        If the base is missing or one of its files has changed.
    """
    with whole_folder(destination) as part:
        for name, expected in adapter.card.files.items():
            source = find_file(adapter.folder, name, adapter.card)
            if not source.is_file() or sha256_of(source) != expected:
                raise WeightsError(
                    f"{source} is missing or not the file that {adapter.name!r} was made from.",
                    hint="Bring the base model back as it was.",
                )
            shutil.copyfile(source, part / name)
            for pattern in _BESIDE:
                for text in source.parent.glob(pattern):
                    shutil.copyfile(text, part / text.name)
        write_card(adapter.card.model_copy(update={"base": None}), part)


def find_adapter(name: str) -> Adapter:
    """Return an adapted model by its name.

    Raises
    ------
    TrainingError
        If there is none.
    """
    known = list_adapters()
    for adapter in known:
        if adapter.name == name:
            return adapter
    names = ", ".join(a.name for a in known) or "none"
    raise TrainingError(f"there is no adapted model {name!r}.", hint=f"Known are: {names}.")


def _own_files(folder: Path, card: ModelCard) -> list[str]:
    """Return the files in the folder of a base that is itself an adapted model."""
    return [n for n in card.files if card.base is not None and (folder / n).is_file()]
