from __future__ import annotations

from napari_fddm.core.class_guide import CLASS_GUIDE
from napari_fddm.core.classes import OSTEOSARCOMA


def test_every_class_is_explained_once_and_with_a_source():
    assert tuple(entry.short for entry in CLASS_GUIDE) == OSTEOSARCOMA.shorts
    for entry in CLASS_GUIDE:
        assert entry.what.endswith(".")
        assert entry.beware.endswith(".")
        assert entry.source
        assert entry.what in entry.text


def test_what_is_outside_the_rate_is_said_to_be():
    for entry, tissue in zip(CLASS_GUIDE, OSTEOSARCOMA, strict=True):
        assert ("Not counted" in entry.beware) == (tissue.role.value == "outside")
