"""Events of learning from corrections, and the verdict on what was learned."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from napari_fddm.core.events import Progressed, StageDone, StageStarted

STAGE_FEATURES, STAGE_JUDGE, STAGE_LEARN = "features", "judge", "learn"
AdaptEvent = StageStarted | Progressed | StageDone
"""Everything that `training.adapt.learn.adapt_events` yields."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accuracy on sites that were held out, before and after learning.

    Attributes
    ----------
    tile_before, tile_after : float or None
        Balanced accuracy of tiles; None if no tile was held out.
    cell_before, cell_after : float or None
        Balanced accuracy of bridge cells, likewise.
    sites : int
        Sites that were held out, each once.
    classes : tuple of str
        Classes that were judged: those with at least two sites.
    changed : float
        Share of the unpainted reference tiles whose class changes.
    """

    tile_before: float | None
    tile_after: float | None
    cell_before: float | None
    cell_after: float | None
    sites: int
    classes: tuple[str, ...]
    changed: float = 0.0

    @property
    def accepted(self) -> bool:
        """Whether neither tiles nor cells are worse than before and one of them is better."""
        pairs = [
            (before, after)
            for before, after in (
                (self.tile_before, self.tile_after),
                (self.cell_before, self.cell_after),
            )
            if before is not None and after is not None
        ]
        not_worse = all(after >= before for before, after in pairs)
        return bool(pairs) and not_worse and any(after > before for before, after in pairs)

    def with_changed(self, share: float) -> Verdict:
        """Return the verdict with the share of unpainted tiles that change."""
        return replace(self, changed=share)

    @property
    def in_words(self) -> str:
        """The accuracies for users, e.g. "tiles 61 % → 84 %, cells 55 % → 80 %"."""
        pairs = (
            ("tiles", self.tile_before, self.tile_after),
            ("cells", self.cell_before, self.cell_after),
        )
        return ", ".join(
            f"{name} {before:.0%} → {after:.0%}"
            for name, before, after in pairs
            if before is not None and after is not None
        ).replace("%", " %")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"accepted": self.accepted}
