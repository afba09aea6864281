"""Names of the tissue classes as people write them in tables and annotations.

Nothing is guessed: a name that is not listed here or given by the user is an error. Names are
compared as they are written. Two that differ in a sign, an accent or a digit are two names;
what they look like (`plain`) only helps to say which one might have been meant.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable
from napari_fddm.core.errors import DataError
from napari_fddm.core.outside.text import quoted, visible

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
MIXED = {"viable: non viable", "viable non viable", "viable nonviable", "mixed"}
"""TCIA's fourth label, ``viable: non-viable``."""
IGNORED = "*"
"""At the end of a name it marks a class that QuPath leaves out, such as ``Ignore*``."""
REGION = "Region*"
"""QuPath's class for an outline around others: it has no class of tissue, and hides nothing."""
_BETWEEN_WORDS = re.compile(r"(?<=[^\W_])[\s_/-]+(?=[^\W_])")
_MOST_SIMILAR = 4
_MOST_SHOWN = 80


def written(name: str) -> str:
    """Return a name in one Unicode form (NFC), without blanks around it: what names share."""
    return unicodedata.normalize("NFC", name).strip()


def folded(name: str) -> str:
    """Return a name without regard to case and to how many blanks lie between its words."""
    return " ".join(written(name).casefold().split())


def spelled(name: str) -> str:
    """Return a name of the tables in this module as they spell it: ``Non-Tumor``, ``non_tumor``.

    Only what stands between two words is taken alike; signs at the ends, accents and digits
    stay, and so does every other script.
    """
    return _BETWEEN_WORDS.sub(" ", folded(name))


def plain(name: str) -> str:
    """Return what a name looks like, to find similar ones for a message; never to tell names apart.

    Lower case, without accents and signs, single blanks between words; letters of all scripts.
    """
    parts = unicodedata.normalize("NFKD", name).casefold()
    letters = "".join(c for c in parts if not unicodedata.combining(c))
    return " ".join(re.findall(r"[^\W\d_]+", letters))


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a name means.

    Attributes
    ----------
    value : int or None
        The label value; None where it is to be left out.
    note : str
        In words, if the name was taken for one that is written otherwise; else empty.
    """

    value: int | None
    note: str = ""


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
            If a pair is malformed, a name has two classes, or the class or the policy is unknown.
        """
        own: dict[str, str] = {}
        for pair in pairs:
            given, equals, short = pair.rpartition("=")
            name = written(given)
            if not equals or not name or short not in {*table.shorts, LEAVE_OUT}:
                raise DataError(
                    f"--label cannot be {pair!r}: it must be NAME=CLASS.",
                    hint=f"Classes are {', '.join(table.shorts)}, or - to leave it out.",
                )
            if own.setdefault(name, short) != short:
                raise DataError(
                    f"--label gives {name!r} two classes, {own[name]} and {short}.",
                    hint="Give one of them.",
                )
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
        return self.meaning(name, where=where).value

    def meaning(self, name: str, *, where: str, outline: bool = False) -> Meaning:
        """Return what a name means, and a note if it was taken for another spelling.

        Tried in turn: the user's name as it is written; one of the user's that differs in
        case or blanks only, if there is one such; the names of this module; of an outline,
        QuPath's mark of a class to be left out.

        Raises
        ------
        DataError
            If the name means no class, or could be two of the user's.
        """
        name = written(name)
        if name in self.own:
            return Meaning(self._value(self.own[name]))
        alike = [own for own in self.own if folded(own) == folded(name)]
        if len({self.own[own] for own in alike}) > 1:
            raise DataError(
                f"{where}: the label {quoted(name)} could be {_listed(alike)} of --label.",
                hint=f'Say --label "{visible(name)}=CLASS".',
            )
        if alike:
            return Meaning(
                self._value(self.own[alike[0]]), f"{quoted(name)} was read as {quoted(alike[0])}"
            )
        if outline and name.endswith(IGNORED):
            return Meaning(None)
        return Meaning(self._known(name, where))

    def _known(self, name: str, where: str) -> int | None:
        words = spelled(name)
        for tissue in self.table:
            known = (tissue.short.casefold(), spelled(tissue.name), str(tissue.value))
            if words in known:
                return tissue.value
        if words in ALIASES:
            return self._value(ALIASES[words])
        if words in MIXED:
            values = {MixedPolicy.VIABLE: "VT", MixedPolicy.NONVIABLE: "NC"}
            return self._value(values.get(self.mixed, LEAVE_OUT))
        raise DataError(
            f"{where}: the label {quoted(name)} is no class.",
            hint=f"Classes are {', '.join(self.table.shorts)}; "
            f'say --label "{visible(name[:_MOST_SHOWN])}=CLASS".{self._similar(name)}',
        )

    def _value(self, short: str) -> int | None:
        return None if short == LEAVE_OUT else self.table[short].value

    def _similar(self, name: str) -> str:
        """Return a sentence with the names that look alike, none of which is chosen."""
        looks = plain(name)
        known = [*self.own, *(t.name for t in self.table), *ALIASES]
        alike = [k for k in dict.fromkeys(known) if looks and plain(k) == looks]
        return f" It is not the same as {_listed(alike)}." if alike else ""


def _listed(names: Sequence[str]) -> str:
    shown = " and ".join(quoted(name) for name in names[:_MOST_SIMILAR])
    return f"{shown} and others" if len(names) > _MOST_SIMILAR else shown
