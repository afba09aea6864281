"""A reader's sign-off of an analysis: who signed which result, and when."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from napari_fddm.core.outside.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SignOff:
    """Who signed what.

    Attributes
    ----------
    reader : str
        Name or initials.
    time : str
        ISO 8601, UTC.
    definition : str
        The necrosis definition of the main result.
    rates : mapping of str to float or None
        Rate by definition, in [0, 1]; None where there is none.
    coverage : float or None
        Share of the slide's tissue that was analyzed, in [0, 1].
    labels_sha256 : str
        Of the corrected labels that were signed.
    intact : bool
        Whether the corrected labels are still those.
    """

    reader: str
    time: str
    definition: str
    rates: Mapping[str, float | None]
    coverage: float | None
    labels_sha256: str
    intact: bool = True

    @property
    def when(self) -> str:
        """Date and time of signing, in local time."""
        return datetime.fromisoformat(self.time).astimezone().strftime("%Y-%m-%d %H:%M")

    @property
    def title(self) -> str:
        """Who signed and when, in words; control characters are visible."""
        return f"signed off by {visible_line(self.reader)} on {self.when}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)
