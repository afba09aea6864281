"""What made a result: enough to make it again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from napari_fddm.core.config import option_name


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
        What bit-equality on a CPU depends on (DESIGN section 2).
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
        """Say, in a user's words, what decides the result and differs from a stored provenance.

        Settings are named as the command line names them, the stored value first.
        Device, threads, batch size and versions change results only within a
        tolerance, so they do not count.
        """
        mine = self.to_json()
        found = [*_of_slide(mine["slide"], other.get("slide", {}))]
        found += _of_model(mine["model"], other.get("model", {}))
        config = other.get("config", {})
        if _mask_identity(mine) != _mask_identity(other):
            now, then = (_mask_title(v.get("config", {}), v.get("tissue")) for v in (mine, other))
            found.append(_changed(option_name("tissue"), then, now))
        found += [
            _changed(option_name(key), config.get(key), mine["config"].get(key))
            for key in sorted(set(mine["config"]) | set(config))
            if key not in IRRELEVANT and mine["config"].get(key) != config.get(key)
        ]
        return found


IRRELEVANT = frozenset({"device", "batch_size", "stage", "tissue"})
"""Settings that may differ between a run and its continuation; the tissue mask is
compared by its content."""


def _of_slide(mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    found = []
    if any(mine.get(key) != theirs.get(key) for key in ("fingerprint", "shape")):
        names = (value.get("name", "a slide") for value in (theirs, mine))
        found.append("the slide is another one or its content changed: {} → {}".format(*names))
    if mine.get("mpp") != theirs.get("mpp"):
        found.append(_changed(option_name("mpp"), theirs.get("mpp"), mine.get("mpp")))
    return found


def _of_model(mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    if mine.get("id") != theirs.get("id"):
        return [_changed(option_name("model"), theirs.get("id"), mine.get("id"))]
    deciding = (set(mine) | set(theirs)) - {"licence", "real_tissue"}
    if any(mine.get(key) != theirs.get(key) for key in deciding):
        return [f"the weights of the model {mine.get('id')} are others"]
    return []


def _mask_identity(run: dict[str, Any]) -> tuple[object, object]:
    tissue = run.get("tissue") or {"method": run.get("config", {}).get("tissue")}
    return tissue.get("method"), tissue.get("sha256")


def _mask_title(config: dict[str, Any], tissue: dict[str, Any] | None) -> str:
    if tissue and tissue.get("sha256"):
        return f"{tissue.get('name')} (sha256 {str(tissue['sha256'])[:8]}…)"
    return str(config.get("tissue"))


def _changed(option: str, old: object, new: object) -> str:
    shown = ("unset" if value is None else str(value) for value in (old, new))
    return "{} {} → {}".format(option, *shown)
