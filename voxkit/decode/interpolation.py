"""Weights of models whose probabilities are interpolated linearly, by expectation maximisation (EM).

Jelinek & Mercer, "Interpolated estimation of Markov source parameters from sparse data", 1980.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_RISE = 1e-6  # of the log-likelihood of all words
MOST_STEPS = 5000


class Interpolation(NamedTuple):
    """The weights of C models, which sum to one, and the perplexity of the mixture."""

    weights: NDArray[np.float64]
    perplexity: float


def em(probabilities: NDArray[np.float64], least_rise: float = LEAST_RISE) -> Interpolation:
    """The weights that make the words likeliest. The likelihood is concave in them: there is one maximum.

    r_c(i) = a_c p_c(i) / sum_k a_k p_k(i) and then a_c = mean_i r_c(i), until the log-likelihood hardly rises.

    Args:
        probabilities: (C, N) of N words by each model, in [0, 1].
        least_rise: where to stop [nats, of all words].

    Raises:
        ValueError: there are no words, or one that has no probability by any model.
    """
    if probabilities.size == 0 or not (probabilities.max(axis=0) > 0).all():
        raise ValueError("every word needs a probability by some model")
    count, words = probabilities.shape
    weights, before = np.full(count, 1 / count), -math.inf
    for _ in range(MOST_STEPS):
        mixture = weights @ probabilities
        likelihood = float(np.log(mixture).sum())
        if likelihood - before < least_rise:
            break
        before = likelihood
        weights = weights * (probabilities @ (1 / mixture)) / words
        weights /= weights.sum()
    return Interpolation(weights, perplexity(weights @ probabilities))


def perplexity(probabilities: NDArray[np.float64]) -> float:
    """Of words with these probabilities (N,)."""
    return math.exp(-float(np.log(probabilities).mean()))
