"""Read XML that others wrote: no entities, no other files, not without limit."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, TreeBuilder, XMLParser

from napari_fddm.core.errors import DataError, FddmError
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from pathlib import Path

MOST_XML = 1 << 28
"""Bytes. OME-XML of thousands of planes has some megabytes."""
_DEEPEST = 200


def parse_xml(
    text: str | bytes,
    place: Path | str,
    *,
    what: str = "XML",
    error: type[FddmError] = DataError,
    hint: str = "Export it again with the program it came from.",
) -> Element:
    """Return the root element of an XML text.

    A document type, which could define entities that unpack to gigabytes or read other
    files, is refused; OME-XML has none.

    Raises
    ------
    FddmError
        If it is no XML, defines a document type, is nested too deeply or too large.
    """
    if len(text) > MOST_XML:
        raise error(
            f"{visible(place)} cannot be read as {what}: it holds more than "
            f"{MOST_XML >> 20} MiB of it.",
            hint=hint,
        )
    with reading(what, place, error=error, hint=hint):
        parser = XMLParser(target=_Builder())  # noqa: S314 - it refuses what makes XML dangerous
        parser.feed(text)
        root: Element = parser.close()
        return root


def local_name(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


class _Builder(TreeBuilder):
    """Builds the tree, up to a depth, and refuses document types."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse it: the parser calls this at its beginning, before any entity is used."""
        raise ValueError(f"it defines a document type ({visible(name)}), which is not read")

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        """Open an element."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        """Close an element."""
        self._depth -= 1
        return super().end(tag)
