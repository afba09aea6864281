"""Provenance of a result: what it was made from, and how two runs differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from napari_fddm.core.config import option_name
from napari_fddm.core.errors import SettingsDifferError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


REFINER_FILE = "refiner.safetensors"
"""Weights of stage 2: stage 1 does not depend on them."""


@dataclass(frozen=True, slots=True)
class Change:
    """A difference from a stored run that changes the result.

    Attributes
    ----------
    what : str
        A field of `AnalysisConfig`, "mpp", "model", "weights" or "slide".
    old, new : str
        The stored and the wanted value, in words.
    """

    what: str
    old: str
    new: str

    def in_words(self, name: Callable[[str], str]) -> str:
        """Describe it in one line; ``name`` returns the name that users know a setting by."""
        if self.what == "slide":
            return f"the slide is another one or its content changed: {self.old} → {self.new}"
        if self.what == "weights":
            return f"the weights of the model {self.new} are others"
        return f"{name(self.what)} {self.old} → {self.new}"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Everything a result depends on.

    Attributes
    ----------
    slide : dict
        name, fingerprint, level-0 shape, mpp and its source, backend.
    model : dict
        id, the sha256 of each weights file, analysis mpp, licence.
    config : dict
        The run's settings, as `AnalysisConfig` dumps them.
    device, dtype : str
        Where and in which precision the networks ran.
    versions : dict
        napari-fddm, Python, torch, timm, peft, diffusers, numpy.
    threads, batch_size : int
        What bit-equality on a CPU depends on (``docs/architecture.md#equal-to-the-last-bit``).
    tissue : dict
        Which tissue mask: method, and for a user's mask name and sha256.
    """

    slide: dict[str, Any]
    model: dict[str, Any]
    config: dict[str, Any]
    device: str
    dtype: str
    threads: int
    batch_size: int
    versions: dict[str, str] = field(default_factory=dict)
    tissue: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Describe to a user what differs from a stored provenance and changes the result.

        Settings are named as the command line names them, the stored value first.
        Device, threads, batch size and versions change results only within a
        tolerance, so they do not count.
        """
        return [change.in_words(option_name) for change in self.changes(other)]

    def changes(self, other: dict[str, Any]) -> list[Change]:
        """Return the same as values, for callers that name settings in another way."""
        mine = self.to_json()
        found = [*_of_slide(mine["slide"], other.get("slide", {}))]
        found += _of_model(mine["model"], other.get("model", {}))
        config = other.get("config", {})
        if mask_identity(mine) != mask_identity(other):
            now, then = (_mask_title(v.get("config", {}), v.get("tissue")) for v in (mine, other))
            found.append(Change("tissue", then, now))
        found += [
            Change(key, _shown(config.get(key)), _shown(mine["config"].get(key)))
            for key in sorted(set(mine["config"]) | set(config))
            if key not in MAY_DIFFER and mine["config"].get(key) != config.get(key)
        ]
        return found

    def require_same(
        self, stored: dict[str, Any], path: Path, corrected: Callable[[], bool]
    ) -> None:
        """Refuse to continue a store that was made in another way.

        Raises
        ------
        SettingsDifferError
            Naming what differs.
        """
        if changes := self.changes(stored):
            words = "; ".join(self.differences(stored))
            raise SettingsDifferError(
                f"{path} was made with other settings ({words}).",
                hint="Repeat them to go on, choose another store with -o, start over with --fresh, "
                "or with --revise, which carries your corrections over.",
                changes=tuple(changes),
                stored=stored,
                corrected=corrected(),
            )

    def classifies_as(self, other: dict[str, Any]) -> bool:
        """Whether the tiles of a stored provenance are, bit for bit, those of this run.

        The refiner, its settings, the label grid and the tissue mask have no influence on
        what stage 1 says of a tile; device, precision and batch do.
        """
        mine, theirs = (_of_stage_1(value) for value in (self.to_json(), other))
        return mine == theirs


DESCRIPTIVE_FIELDS = frozenset(
    {"licence", "real_tissue", "real_classes", "classes", "adapted_from"}
)
"""Fields of a model that only describe it: they may differ between equal models."""
MAY_DIFFER = frozenset({"device", "batch_size", "stage", "tissue"})
"""Settings that may differ between a run and its continuation; the tissue mask is
compared by its content."""


def _of_slide(mine: dict[str, Any], theirs: dict[str, Any]) -> list[Change]:
    found = []
    if any(mine.get(key) != theirs.get(key) for key in ("fingerprint", "shape")):
        names = (value.get("name", "a slide") for value in (theirs, mine))
        found.append(Change("slide", *map(str, names)))
    if mine.get("mpp") != theirs.get("mpp"):
        found.append(Change("mpp", _shown(theirs.get("mpp")), _shown(mine.get("mpp"))))
    return found


def _of_model(mine: dict[str, Any], theirs: dict[str, Any]) -> list[Change]:
    if mine.get("id") != theirs.get("id"):
        return [Change("model", _shown(theirs.get("id")), _shown(mine.get("id")))]
    deciding = (set(mine) | set(theirs)) - DESCRIPTIVE_FIELDS
    if any(mine.get(key) != theirs.get(key) for key in deciding):
        return [Change("weights", str(theirs.get("id")), str(mine.get("id")))]
    return []


def _of_stage_1(run: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a run's provenance that stage 1 depends on."""
    slide, model = run.get("slide", {}), run.get("model", {})
    files = {k: v for k, v in model.get("files", {}).items() if k != REFINER_FILE}
    config = run.get("config", {})
    return (
        {key: slide.get(key) for key in ("fingerprint", "shape", "mpp")}
        | {key: model.get(key) for key in ("id", "analysis_mpp", "backbone")}
        | {key: config.get(key) for key in ("overlap", "blank_filter", "batch_size")}
        | {key: run.get(key) for key in ("device", "dtype", "threads")}
        | {"files": files}
    )


def mask_identity(run: dict[str, Any]) -> tuple[object, object]:
    """Return what tells the tissue masks of two runs apart: method and content."""
    tissue = run.get("tissue") or {"method": run.get("config", {}).get("tissue")}
    return tissue.get("method"), tissue.get("sha256")


def _mask_title(config: dict[str, Any], tissue: dict[str, Any] | None) -> str:
    if tissue and tissue.get("sha256"):
        return f"{tissue.get('name')} (sha256 {str(tissue['sha256'])[:8]}…)"
    return str(config.get("tissue"))


def _shown(value: object) -> str:
    return "unset" if value is None else str(value)
