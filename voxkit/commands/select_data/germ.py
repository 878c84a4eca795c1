"""Global entropy reduction maximisation (GERM; Yu, Varadarajan, Deng and Acero 2010): like many that are uncertain.

An utterance i is worth sum_j alpha * H(L_j) * exp(-beta * d(i, j)): the entropy that labelling it is expected to take
from all utterances j of the pool. H(L_j) is that of j's confusion network, d one minus the cosine of the two
utterances' words, weighted by tf-idf. What was chosen takes its share of H(L_j) away before the next block is scored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.select_data.bins import Bins, Floats, Ints
from voxkit.commands.select_data.command import GermConfig

Doubles = NDArray[np.float64]

ROWS = 4096  # utterances that are compared with all anchors together


class Germ:
    """Scores of U utterances per second of audio; a `choose.Method`.

    The index: A utterances of the pool, drawn at random, are anchors. Every utterance adds its entropy to the nearest
    anchor, and d(i, j) is taken to j's anchor: O(U A D) for vectors of D values instead of O(U^2 D). In a pool of at
    most A utterances each is its own anchor, and nothing is approximated but by the projection to D values.

    Args:
        bins: of the pool; labelled ones (negative utterances) are passed over.
        durations: (U,) [s].
        entropies: (U,) of each network [bit].
        vocabulary: V, the length of the word table.
        seed: of the anchors and the projection.
    """

    def __init__(
        self, bins: Bins, durations: Doubles, entropies: Doubles, vocabulary: int, seed: int, config: GermConfig
    ) -> None:
        draw = np.random.default_rng(seed)
        self.config, self.durations = config, durations
        self.vectors = _vectors(bins, len(durations), vocabulary, config.dimensions, draw)
        anchors = np.arange(len(durations))
        if len(anchors) > config.anchors:
            anchors = np.sort(draw.choice(len(anchors), config.anchors, replace=False))
        self.anchors = self.vectors[anchors]
        self.left = np.zeros(len(anchors))  # entropy that is still to be removed around each anchor
        for rows in self._rows():
            nearest = np.argmax(self.vectors[rows] @ self.anchors.T, axis=1)
            self.left += np.bincount(nearest, entropies[rows], minlength=len(anchors))
        self.score = self._scored()

    def _rows(self) -> list[slice]:
        return [slice(begin, begin + ROWS) for begin in range(0, len(self.durations), ROWS)]

    def _likeness(self, vectors: Floats) -> Floats:
        """(n, A) exp(-beta d)."""
        return np.exp(-self.config.beta * np.maximum(1 - vectors @ self.anchors.T, 0))

    def _scored(self) -> Doubles:
        alpha, left = self.config.alpha, self.left.astype(np.float32)
        sums = [alpha * (self._likeness(self.vectors[rows]) @ left) for rows in self._rows()]
        return np.concatenate(sums).astype(np.float64) / self.durations

    def take(self, chosen: Ints) -> None:
        """Take from every anchor what the chosen utterances tell of it."""
        for begin in range(0, len(chosen), ROWS):
            likeness = self._likeness(self.vectors[chosen[begin : begin + ROWS]])
            self.left *= np.prod(1 - self.config.alpha * likeness.astype(np.float64), axis=0)
        self.score = self._scored()

    def reason(self, utterance: int) -> Any:
        return None


def entropies(bins: Bins, count: int) -> Doubles:
    """(U,) entropy of the two best words, summed over the bins of each utterance [bit]."""
    mine = bins.utterance >= 0
    share = np.clip(bins.share[mine].astype(np.float64), 1e-12, 1 - 1e-12)
    bits = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    return np.bincount(bins.utterance[mine], bits, minlength=count).astype(np.float64)


def _vectors(bins: Bins, count: int, vocabulary: int, dimensions: int, draw: np.random.Generator) -> Floats:
    """(U, D) of length 1: expected word counts by tf-idf, projected at random; angles survive, on average."""
    mine = (bins.utterance >= 0) & (bins.label != 0)
    utterance, word = bins.utterance[mine], bins.label[mine]
    pairs = np.unique(utterance.astype(np.int64) * vocabulary + word)
    spoken_in = np.bincount(pairs % vocabulary, minlength=vocabulary)
    idf = np.log((1 + count) / (1 + spoken_in)) + 1
    weight = idf[word] * bins.share[mine] * bins.mass[mine]
    axes = draw.standard_normal((vocabulary, dimensions), dtype=np.float32)
    vectors = np.empty((count, dimensions), np.float32)
    for column, axis in zip(vectors.T, axes.T, strict=True):
        column[:] = np.bincount(utterance, weight * axis[word], minlength=count)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
