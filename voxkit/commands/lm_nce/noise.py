"""Words drawn at random by their frequency, each in constant time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def alias_table(probabilities: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Walker's alias table (1977), by Vose's construction (1991), in O(V).

    A column is drawn uniformly; it gives itself with the probability `keep`, else its alias.

    Args:
        probabilities: (V,), not negative, with a positive sum.

    Returns:
        keep (V,), and alias (V,).
    """
    size = len(probabilities)
    scaled = (probabilities * (size / probabilities.sum())).tolist()
    keep, alias = [1.0] * size, list(range(size))
    small = [place for place, value in enumerate(scaled) if value < 1.0]
    large = [place for place, value in enumerate(scaled) if value >= 1.0]
    while small and large:
        less, more = small.pop(), large[-1]
        keep[less], alias[less] = scaled[less], more
        scaled[more] -= 1.0 - scaled[less]
        if scaled[more] < 1.0:
            small.append(large.pop())
    # what is left has the value 1 but for rounding; a word that never comes must not be among it
    most = int(np.argmax(probabilities))
    for place in small:
        if probabilities[place] == 0.0:
            keep[place], alias[place] = 0.0, most
    return np.array(keep), np.array(alias, dtype=np.int64)


@dataclass(frozen=True)
class Noise:
    """The noise of noise contrastive estimation: words by their frequency to a power.

    Attributes:
        log_q: (V,) ln of the probability of each word; of one that never comes -inf.
        keep, alias: (V,) see `alias_table`.
    """

    log_q: Tensor
    keep: Tensor
    alias: Tensor

    @classmethod
    def of(cls, unigram: NDArray[np.float64], alpha: float) -> Noise:
        """Of the probabilities (V,) of words, q(w) in proportion to unigram(w) ** alpha."""
        powers = np.zeros_like(unigram)
        np.power(unigram, alpha, out=powers, where=unigram > 0)
        keep, alias = alias_table(powers)
        log_q = np.full_like(powers, -np.inf)
        np.log(powers / powers.sum(), out=log_q, where=powers > 0)
        return cls(torch.from_numpy(log_q).float(), torch.from_numpy(keep), torch.from_numpy(alias))

    def to(self, device: torch.device) -> Noise:
        """The same on another device."""
        if self.log_q.device == device:
            return self
        return Noise(self.log_q.to(device), self.keep.to(device), self.alias.to(device))

    def draw(self, count: int) -> Tensor:
        """Words (K,) drawn one by one, the same word several times if it so comes, by torch's global generator."""
        device = self.keep.device
        column = torch.randint(len(self.keep), (count,), device=device)
        stays = torch.rand(count, dtype=self.keep.dtype, device=device) < self.keep[column]
        return torch.where(stays, column, self.alias[column])
