from __future__ import annotations

import pytest

from napari_fddm.core.errors import DataError, SlideError
from napari_fddm.core.outside import xml_files
from napari_fddm.core.outside.xml_files import local_name, parse_xml

BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><OME>&b;</OME>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><OME>&a;</OME>'


def test_elements_and_names_without_namespaces() -> None:
    root = parse_xml('<o:OME xmlns:o="urn:x"><Image Name="a"/></o:OME>', "a.tif")
    assert local_name(root) == "OME"
    assert [child.get("Name") for child in root] == ["a"]
    assert (
        parse_xml(b'<?xml version="1.0" encoding="latin-1"?><A b="\xb5m"/>', "a").get("b") == "µm"
    )


@pytest.mark.parametrize("text", [BOMB, OUTSIDE, "<!DOCTYPE OME><OME/>"])
def test_document_types_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="document type") as caught:
        parse_xml(text, "a.ome.tif")
    assert "a.ome.tif" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "<OME>", "no xml", "<OME>&nbsp;</OME>", "<A>" * 300 + "</A>" * 300]
)
def test_damage_is_one_sentence(text: str) -> None:
    with pytest.raises(SlideError, match=r"a\.tif cannot be read as OME-XML") as caught:
        parse_xml(text, "a.tif", what="OME-XML", error=SlideError)
    assert caught.value.hint


def test_too_much_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_files, "MOST_XML", 10)
    with pytest.raises(DataError, match="more than"):
        parse_xml("<A>" + " " * 10 + "</A>", "a.tif")
