"""Names of the tissue classes as people write them in tables and annotations.

Nothing is guessed: a name that is not listed here or given by the user is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable
from napari_fddm.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class MixedPolicy(StrEnum):
    """How to label tiles that hold both viable and non-viable tumor.

    TCIA counts its 53 such tiles as viable, other users of the data as non-viable, and
    others leave them out: so the choice is the user's (``docs/algorithm.md#mixed-tiles``).
    """

    VIABLE = "viable"
    NONVIABLE = "nonviable"
    EXCLUDE = "exclude"


ALIASES = {
    "background": "BG",
    "glass": "BG",
    "viable": "VT",
    "viable tumor": "VT",
    "viable tumour": "VT",
    "necrosis": "NC",
    "necrotic": "NC",
    "necrotic tumor": "NC",
    "non viable": "NC",
    "non viable tumor": "NC",
    "nonviable": "NC",
    "fibrosis": "FH",
    "hyalinization": "FH",
    "fibrosis hyalinization": "FH",
    "hemorrhage": "HC",
    "cystic change": "HC",
    "hemorrhage cystic change": "HC",
    "inflammation": "IF",
    "inflammatory": "IF",
    "non tumor": "NT",
    "non tumour": "NT",
    "non tumor tissue": "NT",
    "normal": "NT",
}
LEAVE_OUT = "-"
"""Stands instead of a class: what has this name is left out of the training data."""
MIXED = {"viable non viable", "viable nonviable", "mixed"}
"""TCIA's fourth label, ``viable: non-viable``."""


def plain(name: str) -> str:
    """Return a name in lower case with single spaces between words."""
    return " ".join(re.findall(r"[a-z0-9]+", name.lower()))


@dataclass(frozen=True)
class ClassNames:
    """Finds the class that a name means.

    Attributes
    ----------
    table : ClassTable
        The classes.
    own : mapping of str to str
        The user's names → abbreviations; they take precedence.
    mixed : MixedPolicy
        How the mixed label is read.
    """

    table: ClassTable = OSTEOSARCOMA
    own: Mapping[str, str] = field(default_factory=dict)
    mixed: MixedPolicy = MixedPolicy.EXCLUDE

    @classmethod
    def with_own(
        cls, pairs: Sequence[str], mixed: str = "exclude", table: ClassTable = OSTEOSARCOMA
    ) -> ClassNames:
        """Read ``NAME=CLASS`` pairs as the command line gives them.

        Raises
        ------
        DataError
            If a pair is malformed, or the class or the policy is unknown.
        """
        own = {}
        for pair in pairs:
            name, equals, short = pair.rpartition("=")
            if not equals or not plain(name) or short not in {*table.shorts, LEAVE_OUT}:
                raise DataError(
                    f"--label cannot be {pair!r}: it must be NAME=CLASS.",
                    hint=f"Classes are {', '.join(table.shorts)}, or - to leave it out.",
                )
            own[plain(name)] = short
        if mixed not in set(MixedPolicy):
            raise DataError(
                f"--mixed cannot be {mixed!r}: it must be {', '.join(MixedPolicy)}.",
            )
        return cls(table, own, MixedPolicy(mixed))

    def value_of(self, name: str, *, where: str) -> int | None:
        """Return the label value that a name means; None where it is to be left out.

        Parameters
        ----------
        name : str
            A label as somebody wrote it: abbreviation, value, full name, TCIA's name.
        where : str
            For the error, e.g. "line 3 of tiles.csv".

        Raises
        ------
        DataError
            If the name means no class.
        """
        words = plain(name)
        short = self.own.get(words)
        if short == LEAVE_OUT:
            return None
        if short is None and words in MIXED:
            if self.mixed is MixedPolicy.EXCLUDE:
                return None
            short = "VT" if self.mixed is MixedPolicy.VIABLE else "NC"
        if short is None:
            short = self._known(words)
        if short is None:
            raise DataError(
                f"{where}: the label {name!r} is no class.",
                hint=f'Classes are {", ".join(self.table.shorts)}; say --label "{name}=CLASS".',
            )
        return self.table[short].value

    def _known(self, words: str) -> str | None:
        for tissue in self.table:
            if words in {tissue.short.lower(), plain(tissue.name), str(tissue.value)}:
                return tissue.short
        return ALIASES.get(words)
