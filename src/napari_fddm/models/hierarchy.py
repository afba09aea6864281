"""Hierarchical classification: a tree of classes with a question at each node, and its loss.

RadiomicsOS (arXiv:2601.09416) asks "tumor?" and then "viable?". Here any tree will do; that
of the seven classes is ``BG | NT | tumor bed → (VT | non-viable → (NC | FH | HC | IF))``,
so that P(non-viable | tumor bed), summed over area, is the necrosis rate. A class's
probability is the product of the probabilities of the answers that lead to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

ABSENT = -1e4
"""Log-probability of a class that is no leaf: its probability is exactly 0 in float32."""
WEIGHT_RANGE = (0.2, 3.0)
REGULARIZATION = 0.2
FIRST_WEIGHTS = (0.5, 1.5)
"""Of the levels, as RadiomicsOS has them; deeper levels begin with the last."""


@dataclass(frozen=True, slots=True)
class Split:
    """One question.

    Attributes
    ----------
    name : str
        The node that is divided.
    depth : int
        0 for the root.
    answers : tuple of tuple of str
        The leaves below each answer, in the order of its logits.
    """

    name: str
    depth: int
    answers: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ClassTree:
    """A tree of classes.

    Attributes
    ----------
    children : tuple of (str, tuple of str)
        Node → its children, the root first, parents before children. A name that has
        no entry is a leaf.

    Raises
    ------
    ConfigError
        If it is no tree.
    """

    children: tuple[tuple[str, tuple[str, ...]], ...]

    def __post_init__(self) -> None:
        """Refuse what is no tree."""
        seen = [self.children[0][0]] if self.children else []
        for node, below in self.children:
            if node not in seen or len(below) < 2:
                raise ConfigError(f"{node!r} is no node with two children below the root.")
            seen += below
        if not seen or len(set(seen)) != len(seen):
            raise ConfigError("a tree of classes names each node once.")

    @property
    def leaves(self) -> tuple[str, ...]:
        """The classes, from left to right."""
        return self._below(self.children[0][0])

    @property
    def splits(self) -> tuple[Split, ...]:
        """Every question, the root's first."""
        depth = {self.children[0][0]: 0}
        found = []
        for node, below in self.children:
            depth |= dict.fromkeys(below, depth[node] + 1)
            found.append(Split(node, depth[node], tuple(self._below(name) for name in below)))
        return tuple(found)

    @property
    def levels(self) -> int:
        """Number of questions on the longest path."""
        return 1 + max(split.depth for split in self.splits)

    @property
    def logits(self) -> int:
        """Number of logits of all questions together."""
        return sum(len(split.answers) for split in self.splits)

    def pruned(self, leaves: Sequence[str]) -> ClassTree:
        """Return the tree with these leaves alone; a node with one child gives way to it.

        Raises
        ------
        ConfigError
            If fewer than two are leaves of it.
        """
        children = dict(self.children)

        def kept(name: str) -> str | None:
            if name not in children:
                return name if name in leaves else None
            below = [k for k in map(kept, children[name]) if k is not None]
            children[name] = tuple(below)
            return name if len(below) > 1 else (below[0] if below else None)

        root = kept(self.children[0][0])
        if root is None or root not in children:
            raise ConfigError(f"a tree needs two of its classes, got {', '.join(leaves)}.")
        order = [root]
        for name in order:
            order += [n for n in children[name] if n in children]
        return ClassTree(tuple((name, children[name]) for name in order))

    def _below(self, name: str) -> tuple[str, ...]:
        for node, below in self.children:
            if node == name:
                return tuple(leaf for child in below for leaf in self._below(child))
        return (name,)


OSTEOSARCOMA_TREE = ClassTree(
    (
        ("tissue", ("BG", "NT", "tumor bed")),
        ("tumor bed", ("VT", "non-viable")),
        ("non-viable", ("NC", "FH", "HC", "IF")),
    )
)


def leaf_log_probabilities(
    tree: ClassTree, logits: torch.Tensor, classes: Sequence[str]
) -> torch.Tensor:
    """Return log-probabilities of classes: sums of those of the answers that lead to them.

    Parameters
    ----------
    tree : ClassTree
        The questions.
    logits : tensor, shape (n, tree.logits)
        The splits' logits side by side, in their order.
    classes : sequence of str
        What the columns of the result are; one that is no leaf gets `ABSENT`.

    Returns
    -------
    tensor, shape (n, len(classes))
    """
    total = dict.fromkeys(tree.leaves, logits.new_zeros(len(logits)))
    start = 0
    for split in tree.splits:
        part = torch.log_softmax(logits[:, start : start + len(split.answers)], dim=1)
        for column, answer in enumerate(split.answers):
            for leaf in answer:
                total[leaf] = total[leaf] + part[:, column]
        start += len(split.answers)
    absent = logits.new_full((len(logits),), ABSENT)
    return torch.stack([total.get(name, absent) for name in classes], dim=1)


class TreeHead(nn.Module):
    """Answers the questions of a tree; gives log-probabilities of the classes.

    Parameters
    ----------
    layers : nn.Module
        Features (n, d) → logits (n, tree.logits).
    tree : ClassTree
        The questions.
    classes : sequence of str
        Columns of the result.
    """

    def __init__(self, layers: nn.Module, tree: ClassTree, classes: Sequence[str]) -> None:
        super().__init__()
        self.layers = layers
        self.tree = tree
        self.classes = tuple(classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return log-probabilities (n, classes): a softmax over them changes nothing."""
        logits = self.layers(features).float()
        return leaf_log_probabilities(self.tree, logits, self.classes)


class HierarchicalLoss(nn.Module):
    """Cross-entropy of each level of a tree, with weights that are learned.

    ``Σ_l exp(−s_l) CE_l + 0.2 Σ_l s_l`` over the levels l (``docs/algorithm.md#class-tree``).
    A level's cross-entropy is over the samples that reach a split there; 0 where none does. The
    weight exp(−s) settles at ``clip(0.2 / CE, 0.2, 3)``.

    It is computed from the classes' log-probabilities, so it suits a flat head too. Such a
    head also has channels of classes that are no leaf: ``−log P(any leaf)`` is added, 0 for
    a head that is a tree, or nothing would teach it not to predict them.

    Parameters
    ----------
    tree : ClassTree
        The questions.
    classes : sequence of str
        Columns of the log-probabilities and meaning of the targets.
    counts : sequence of int, optional
        Training samples of each class: answers are then weighted by inverse frequency,
        the weights of a split adding up to the number of its answers.
    """

    answer_weights: torch.Tensor

    def __init__(
        self, tree: ClassTree, classes: Sequence[str], counts: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        index = {name: i for i, name in enumerate(classes)}
        self.levels = tree.levels
        self._leaves = [index[leaf] for leaf in tree.leaves]
        self._splits = [
            (split.depth, [[index[leaf] for leaf in answer] for answer in split.answers])
            for split in tree.splits
        ]
        first = [FIRST_WEIGHTS[min(i, len(FIRST_WEIGHTS) - 1)] for i in range(tree.levels)]
        self.s = nn.Parameter(-torch.log(torch.tensor(first)))
        weights = [
            _inverse_frequency([sum(counts[i] for i in answer) for answer in answers])
            if counts is not None
            else [1.0] * len(answers)
            for _, answers in self._splits
        ]
        flat = torch.tensor([w for split in weights for w in split], dtype=torch.float32)
        self.register_buffer("answer_weights", flat)

    @property
    def weights(self) -> torch.Tensor:
        """The levels' weights exp(−s), detached."""
        return torch.exp(-self.s.detach())

    def level_losses(self, log_probs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of each level, shape (levels,).

        Parameters
        ----------
        log_probs : tensor, shape (n, classes)
            Of the classes, normalized or not.
        targets : tensor of int, shape (n,)
            Class channels; a negative one is left out.
        """
        above = [log_probs.new_zeros(()) for _ in range(self.levels)]
        below = [log_probs.new_zeros(()) for _ in range(self.levels)]
        start = 0
        for depth, answers in self._splits:
            scores = torch.stack([torch.logsumexp(log_probs[:, a], dim=1) for a in answers], 1)
            conditional = torch.log_softmax(scores, dim=1)  # (n, answers), given the node
            for column, answer in enumerate(answers):
                chosen = torch.isin(targets, torch.tensor(answer, device=targets.device))
                weight = self.answer_weights[start + column]
                above[depth] = above[depth] - weight * conditional[chosen, column].sum()
                below[depth] = below[depth] + weight * chosen.sum()
            start += len(answers)
        return torch.stack(above) / torch.stack(below).clamp(min=torch.finfo(torch.float32).tiny)

    def forward(self, log_probs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss; see `level_losses`."""
        losses = self.level_losses(log_probs, targets)
        leveled = (torch.exp(-self.s) * losses).sum() + REGULARIZATION * self.s.sum()
        return leveled + self.outside_loss(log_probs, targets)

    def outside_loss(self, log_probs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean of −log P(any leaf) over the samples; arguments as in `level_losses`."""
        own = log_probs[targets >= 0]
        leaves = torch.logsumexp(own[:, self._leaves], dim=1)
        return (torch.logsumexp(own, dim=1) - leaves).sum() / max(1, len(own))

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep the weights in `WEIGHT_RANGE`; to be called after each step."""
        low, high = WEIGHT_RANGE
        self.s.clamp_(-float(torch.log(torch.tensor(high))), -float(torch.log(torch.tensor(low))))


def _inverse_frequency(counts: Sequence[int]) -> list[float]:
    """Return weights that add up to their number; an answer without samples counts as one."""
    inverse = [1.0 / max(1, n) for n in counts]
    return [len(counts) * v / sum(inverse) for v in inverse]
