"""Networks by name are those of the papers, and a backbone is loaded or refused."""

from __future__ import annotations

import pytest

from napari_fddm.training.stage1 import architectures
from napari_fddm.training.stage1.architectures import find_architecture


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    monkeypatch.setenv("NAPARI_FDDM_FLOAT32", "1")


def test_radiomics_os_is_the_papers_network():
    network = find_architecture("radiomics-os")
    spec = architectures.classifier_card(network, ("VT", "NC", "NT"), input_px=None)
    assert (spec.backbone, spec.input_px) == ("inception_v3.tv_in1k", 299)
    # not ImageNet's constants: the weights were trained with 0.5
    assert spec.mean == spec.std == (0.5, 0.5, 0.5)
    assert (network.tune, network.tree, network.radiomics) == ("full", True, ("first_order",))


def test_uni_is_the_papers_network():
    spec = architectures.classifier_card(find_architecture("uni"), ("VT", "NC"), input_px=None)
    assert (spec.backbone, spec.input_px) == ("vit_large_patch16_224", 256)
    assert spec.backbone_source == "hf:MahmoodLab/UNI"
    assert spec.mean == (0.485, 0.456, 0.406)
    assert spec.tree is None
