"""Draws the samples of a batch: each class equally often, and each case within a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws indices of training samples.

    Attributes
    ----------
    groups : tuple of tuple of array of int64
        Indices of samples by class and case; a single group if nothing is balanced.
    """

    groups: tuple[tuple[Indices, ...], ...]

    @classmethod
    def over(
        cls,
        indices: Indices,
        values: npt.NDArray[np.integer],
        cases: npt.NDArray[np.str_],
        *,
        balanced: bool,
    ) -> Sampler:
        """Build a sampler.

        Parameters
        ----------
        indices : array of int64, shape (n,)
            Training samples.
        values, cases : array
            Class and case of every sample of the dataset.
        balanced : bool
            Whether to draw classes, and cases within a class, equally often; otherwise each
            sample is equally likely.
        """
        if not balanced:
            return cls(((indices,),))
        own, patients = values[indices], cases[indices]
        return cls(
            tuple(
                tuple(indices[(own == v) & (patients == c)] for c in np.unique(patients[own == v]))
                for v in np.unique(own)
            )
        )

    def draw(self, rng: np.random.Generator, count: int) -> Indices:
        """Draw indices with replacement, shape (count,)."""
        found = np.empty(count, np.int64)
        for i in range(count):
            cases = self.groups[rng.integers(len(self.groups))]
            members = cases[rng.integers(len(cases))]
            found[i] = members[rng.integers(len(members))]
        return found
