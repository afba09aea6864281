"""An exponential moving average of the weights of a network during training."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import nn


class WeightAverage:
    """Exponential moving average of the tensors in a network's state dict.

    Parameters
    ----------
    network : nn.Module
        Its present weights are the first average.
    decay : float
        Share of the old average that an update keeps, in [0, 1).
    every : int
        Steps between two updates.
    start : int
        Step before which the average is a copy of the weights.

    Attributes
    ----------
    state : dict of str to tensor
        The average, with the names of the network's state dict.
    """

    def __init__(self, network: nn.Module, *, decay: float, every: int = 1, start: int = 0) -> None:
        self._decay, self._every, self._start = decay, every, start
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}

    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after a step, counted from 0, if an update is due."""
        if step < self._start:
            share = 1.0
        elif (step + 1) % self._every:
            return
        else:
            # A short training would otherwise keep too much of its first, random weights.
            warm = 9.0 / (step + 10) if self._start == 0 else 0.0
            share = max(1.0 - self._decay, warm)
        for name, value in network.state_dict().items():
            self.state[name].lerp_(value.detach(), share)

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Replace the average by one that was saved."""
        for name, value in state.items():
            self.state[name].copy_(value)
