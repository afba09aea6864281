"""The tree of classes: exact for RadiomicsOS' three leaves, sound for seven."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError
from napari_fddm.models.hierarchy import (
    OSTEOSARCOMA_TREE,
    ClassTree,
    HierarchicalLoss,
    TreeHead,
    leaf_log_probabilities,
)

SHORTS = OSTEOSARCOMA.shorts
THREE = OSTEOSARCOMA_TREE.pruned(("NT", "NC", "VT"))
ORDER = ("NT", "NC", "VT")


def test_pruning_leaves_the_questions_that_are_left():
    assert THREE.children == (("tissue", ("NT", "tumor bed")), ("tumor bed", ("VT", "NC")))
    assert (THREE.levels, THREE.logits) == (2, 4)
    assert OSTEOSARCOMA_TREE.pruned(("NC", "FH")).children == (("non-viable", ("NC", "FH")),)
    assert OSTEOSARCOMA_TREE.pruned(SHORTS) == OSTEOSARCOMA_TREE
    with pytest.raises(ConfigError, match="two"):
        OSTEOSARCOMA_TREE.pruned(("NC",))


@pytest.mark.parametrize(
    "children",
    [(), (("a", ("b",)),), (("a", ("b", "c")), ("d", ("e", "f"))), (("a", ("b", "b")),)],
)
def test_what_is_no_tree_is_refused(children):
    with pytest.raises(ConfigError):
        ClassTree(children)


@pytest.mark.parametrize("leaves", [SHORTS, ("NT", "NC", "VT"), ("BG", "VT", "IF", "HC")])
def test_p35_leaf_probabilities_add_up_to_1(leaves):
    tree = OSTEOSARCOMA_TREE.pruned(leaves)
    logits = 5 * torch.randn(50, tree.logits, generator=torch.Generator().manual_seed(0))
    probs = leaf_log_probabilities(tree, logits.double(), SHORTS).exp()
    torch.testing.assert_close(probs.sum(1), torch.ones(50, dtype=torch.float64))
    absent = [i for i, name in enumerate(SHORTS) if name not in leaves]
    assert (probs[:, absent] == 0).all()


def test_three_leaves_are_radiomics_os_fusion():
    logits = torch.randn(20, 4, dtype=torch.float64)
    pa, pb = torch.softmax(logits[:, :2], 1), torch.softmax(logits[:, 2:], 1)
    expected = torch.stack([pa[:, 0], pa[:, 1] * pb[:, 1], pa[:, 1] * pb[:, 0]], 1)
    torch.testing.assert_close(leaf_log_probabilities(THREE, logits, ORDER).exp(), expected)


def test_the_rate_is_a_question_of_the_tree():
    """P(non-viable | tumor bed) is what the second question says, whatever the third says."""
    logits = torch.randn(30, OSTEOSARCOMA_TREE.logits, dtype=torch.float64)
    probs = dict(
        zip(SHORTS, leaf_log_probabilities(OSTEOSARCOMA_TREE, logits, SHORTS).exp().T, strict=True)
    )
    dead = sum(probs[n] for n in ("NC", "FH", "HC", "IF"))
    torch.testing.assert_close(dead / (dead + probs["VT"]), torch.softmax(logits[:, 3:5], 1)[:, 1])


@pytest.mark.parametrize("weighted", [False, True])
def test_three_leaves_have_radiomics_os_loss(weighted):
    gen = torch.Generator().manual_seed(3)
    logits = torch.randn(40, 4, generator=gen)
    y3 = torch.randint(0, 3, (40,), generator=gen)  # 0 non-tumor, 1 non-viable, 2 viable
    counts = [30, 12, 7]
    loss = HierarchicalLoss(THREE, ORDER, counts if weighted else None)
    wa = wb = None
    if weighted:
        tumor = counts[1] + counts[2]
        wa = torch.tensor([1 / 30, 1 / tumor])
        wb = torch.tensor([1 / 7, 1 / 12])  # viable, non-viable: the order of the tree
        wa, wb = 2 * wa / wa.sum(), 2 * wb / wb.sum()
    ce_a = functional.cross_entropy(logits[:, :2], (y3 != 0).long(), weight=wa)
    ce_b = functional.cross_entropy(logits[y3 > 0, 2:], (y3[y3 > 0] == 1).long(), weight=wb)
    expected = 0.5 * ce_a + 1.5 * ce_b - 0.2 * (np.log(0.5) + np.log(1.5))
    found = loss(leaf_log_probabilities(THREE, logits, ORDER), y3)
    torch.testing.assert_close(found, expected.to(found.dtype), atol=1e-5, rtol=1e-5)


def test_a_flat_head_and_a_tree_that_say_the_same_have_the_same_loss():
    logits = torch.randn(25, OSTEOSARCOMA_TREE.logits, dtype=torch.float64)
    targets = torch.arange(25) % 7
    loss = HierarchicalLoss(OSTEOSARCOMA_TREE, SHORTS).double()
    log_probs = leaf_log_probabilities(OSTEOSARCOMA_TREE, logits, SHORTS)
    torch.testing.assert_close(loss(log_probs, targets), loss(log_probs + 3.0, targets))
    # unweighted, all levels together are the plain cross-entropy
    parts = loss.level_losses(log_probs, targets)
    reached = torch.tensor([25.0, 18.0, 14.0], dtype=torch.float64)
    bed = torch.isin(targets, torch.tensor([1, 2, 3, 4, 5]))
    dead = torch.isin(targets, torch.tensor([2, 3, 4, 5]))
    reached = torch.stack([torch.tensor(25), bed.sum(), dead.sum()]).double()
    torch.testing.assert_close(
        (parts * reached).sum() / 25, functional.nll_loss(log_probs, targets)
    )


def test_a_flat_head_unlearns_the_classes_that_are_no_leaf():
    logits = torch.randn(25, 7, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([1, 2, 6] * 8 + [-1])
    loss = HierarchicalLoss(OSTEOSARCOMA_TREE.pruned(ORDER), SHORTS).double()
    parts = loss.level_losses(logits, targets)
    reached = torch.tensor([24.0, 16.0], dtype=torch.float64)
    # unweighted, the levels and what lies outside are the plain cross-entropy
    torch.testing.assert_close(
        (parts * reached).sum() / 24 + loss.outside_loss(logits, targets),
        functional.cross_entropy(logits, targets, ignore_index=-1),
    )
    loss(logits, targets).backward()
    assert (logits.grad[:24, [0, 3, 4, 5]] > 0).all()
    assert (logits.grad[24] == 0).all()


def test_a_tree_head_has_nothing_outside_its_leaves():
    log_probs = leaf_log_probabilities(THREE, torch.randn(6, 4), SHORTS)
    loss = HierarchicalLoss(THREE, SHORTS)
    assert loss.outside_loss(log_probs, torch.tensor([1, 2, 6] * 2)) == 0
    assert loss.outside_loss(log_probs, torch.full((6,), -1)) == 0


@pytest.mark.parametrize("value", [0.01, 0.1, 0.2, 0.7, 3.0])
def test_p36_a_weight_settles_where_the_formula_says(value):
    tree = ClassTree((("root", ("a", "b")),))
    loss = HierarchicalLoss(tree, ("a", "b"))
    # two samples whose cross-entropy is the value
    p = float(np.exp(-value))
    log_probs = torch.log(torch.tensor([[p, 1 - p], [1 - p, p]]))
    targets = torch.tensor([0, 1])
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.5)
    for _ in range(400):
        optimizer.zero_grad()
        loss(log_probs, targets).backward()
        optimizer.step()
        loss.clamp_()
    assert float(loss.weights[0]) == pytest.approx(np.clip(0.2 / value, 0.2, 3), rel=1e-2)


def test_p37_a_batch_without_tumor_is_finite_and_teaches_the_first_question_alone():
    logits = torch.randn(6, OSTEOSARCOMA_TREE.logits, requires_grad=True)
    loss = HierarchicalLoss(OSTEOSARCOMA_TREE, SHORTS)
    value = loss(
        leaf_log_probabilities(OSTEOSARCOMA_TREE, logits, SHORTS),
        torch.tensor([0, 6, 6, 0, 6, 0]),
    )
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[:, :3] != 0).any()
    torch.testing.assert_close(logits.grad[:, 3:], torch.zeros(6, 6), atol=1e-6, rtol=0)


def test_the_gradient_is_right():
    loss = HierarchicalLoss(OSTEOSARCOMA_TREE, SHORTS, [5, 3, 9, 1, 2, 8, 4]).double()
    logits = torch.randn(5, OSTEOSARCOMA_TREE.logits, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 1, 2, 5, 6])
    assert torch.autograd.gradcheck(
        lambda x: loss(leaf_log_probabilities(OSTEOSARCOMA_TREE, x, SHORTS), targets), logits
    )


def test_a_head_gives_log_probabilities_in_any_precision():
    layers = torch.nn.Linear(4, THREE.logits)
    head = TreeHead(layers, THREE, SHORTS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = head(torch.randn(3, 4))
    assert out.dtype == torch.float32
    torch.testing.assert_close(torch.softmax(out, 1), out.exp(), atol=1e-5, rtol=1e-5)
