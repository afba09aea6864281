"""What made a result: enough to make it again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


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
    """

    slide: dict[str, Any]
    model: dict[str, Any]
    config: dict[str, Any]
    device: str
    dtype: str
    threads: int
    batch_size: int
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Name what decides the result and differs from a stored provenance.

        Device, threads, batch size and versions change results only within a
        tolerance, so they do not count.
        """
        mine = self.to_json()
        found: list[str] = []
        for part in ("slide", "model", "config"):
            theirs = other.get(part, {})
            found += [
                f"{part}.{key}: {theirs.get(key)!r} → {mine[part].get(key)!r}"
                for key in sorted(set(mine[part]) | set(theirs))
                if key not in IRRELEVANT and mine[part].get(key) != theirs.get(key)
            ]
        return found


IRRELEVANT = frozenset({"name", "backend", "device", "batch_size", "region", "stage", "uri"})
"""Keys that may differ between a run and its continuation."""
