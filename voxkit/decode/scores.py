"""What a search over HLG gets from the network's outputs, and how beams narrow; the same for every backend."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.decode.settings import SearchConfig

BEST_ONLY = 0.01  # a lattice beam that leaves hardly more than the best path
NARROWER = 0.6  # factor on the beams where a lattice grows too large
NARROWEST = 0.05  # below it a lattice is taken as it is
_FLAT = 3.0  # a frame's perplexity from which on beams are narrowed; that of a trained network is below 2

Scores = NDArray[np.float32]


def scaled(log_probs: ArrayLike, num_tokens: int, config: SearchConfig) -> Scores:
    """(T, 2V - 1) scaled scores of (T, V) log-probabilities; those of the tokens once more as word-initial ones.

    Raises:
        ValueError: the shape does not fit the token table, or a value is NaN.
    """
    scores = np.array(log_probs, dtype=np.float32)
    if scores.ndim != 2 or scores.shape[1] != num_tokens:
        raise ValueError(f"log-probabilities of shape {scores.shape} do not fit {num_tokens} tokens")
    if np.isnan(scores).any():
        raise ValueError("NaN among the log-probabilities")
    scores[:, 0] -= config.blank_penalty
    scores *= config.acoustic_scale
    return np.ascontiguousarray(np.concatenate([scores, scores[:, 1:]], axis=1))


def width(scores: Scores, num_tokens: int) -> float:
    """The factor (at most 1) on the beams for T > 0 frames of `scaled`: less where they hesitate between many outputs.

    Hesitation is exp of the mean entropy of a frame.
    """
    tokens = scores[:, :num_tokens]
    exponents = np.exp(tokens - tokens.max(axis=1, keepdims=True))
    shares = exponents / exponents.sum(axis=1, keepdims=True)
    return min(1.0, _FLAT / float(np.exp(-(shares * np.log(shares + 1e-30)).sum(axis=1).mean())))
