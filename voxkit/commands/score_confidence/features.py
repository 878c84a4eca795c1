"""Decoder features: what lattice and confusion network say about each word of a hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.score_confidence.vocabulary import Vocabulary
from voxkit.decode.confusion import ConfusionNetwork, around
from voxkit.decode.lattice import Lattice

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

LEAST = 1e-4  # posteriors are taken to lie in [LEAST, 1 - LEAST] before their logit is

OWN = {
    "posterior": "of the word in its bin of the confusion network",
    "logit": "of that posterior [log odds]",
    "lattice_posterior": "of the lattice's arcs with this word that lie over its middle",
    "lattice_logit": "of that posterior [log odds]",
    "entropy": "of the word's bin [bit]",
    "entropy_before": "of the bin between the previous word and this one [bit]",
    "entropy_after": "of the bin between this word and the next [bit]",
    "rivals": "entries of the word's bin [log]",
    "nothing": "that there is no word in the bin [log odds]",
    "gap": "posterior of the bin's best entry less that of the second",
    "depth": "arcs of the lattice per frame over the word, averaged [log]",
    "acoustic": "acoustic cost of the word's arcs per frame, weighted by posterior [-log]",
    "graph": "graph cost of the word's arcs, weighted by posterior [-log]",
    "characters": "length of the word [log characters]",
    "phones": "length of the word; 0 without a lexicon [phones]",
    "duration": "[log s]",
    "pace": "duration over length [log s per character]",
    "unigram": "probability of the word [log10]",
}
NEIGHBOURS = ("logit", "lattice_logit", "entropy", "depth", "duration", "unigram")
UTTERANCE = {
    "mean_posterior": "over the words of the utterance",
    "least_posterior": "in the utterance",
    "words": "in the utterance [log]",
    "seconds": "of the utterance [log s]",
    "speech_rate": "[words/s]",
    "utterance_depth": "arcs of the lattice per frame [log]",
    "utterance_acoustic": "acoustic cost of the lattice's arcs per frame, weighted by posterior [-log]",
    "between": "expected number of words in the bins between words, which the hypothesis lacks",
}
POSTERIOR = ("logit",)
_SIDES = [f"{side}_{name}" for side in ("previous", "next") for name in NEIGHBOURS]
NAMES = (*OWN, *_SIDES, "first", "last", *UTTERANCE)
"""All decoder features in the order of their columns: the word's own, those of its neighbours (0 beyond the edges, and
"first" and "last" mark these), and those of the utterance."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of one utterance of Q words: `own` (Q, columns of OWN), `utterance` (columns of UTTERANCE),
    and the strongest other entry of each word's bin: `rival` (Q,) ids, 0 where that is "no word"."""

    own: Floats
    utterance: Floats
    rival: NDArray[np.int32]


def measure(
    lattice: Lattice,
    network: ConfusionNetwork,
    words: Sequence[str],
    spans: Doubles,
    duration: float,
    frame_shift: float,
    vocabulary: Vocabulary,
) -> Measured:
    """Measure the words of a hypothesis.

    Args:
        words: Q, those of `network.hypothesis`.
        spans: (Q, 2) start and end of each word [s].
        duration: of the utterance [s].
        frame_shift: of lattice and network [s].
    """
    bins, inner, outer = _Bins.of(network), slice(1, None, 2), slice(0, None, 2)
    seconds = np.maximum(spans[:, 1] - spans[:, 0], 1e-3)
    letters = np.array([len(word) for word in words], dtype=np.float64)
    depth = _depth(lattice)
    with np.errstate(invalid="ignore"):  # of costs that are not finite, which the caller tells
        arcs = _of_arcs(lattice, network.hypothesis, spans / frame_shift)
    own = [
        bins.posterior,
        _logit(bins.posterior),
        arcs[0],
        _logit(arcs[0]),
        bins.entropy[inner],
        bins.entropy[outer][:-1],
        bins.entropy[outer][1:],
        np.log(bins.size[inner]),
        _logit(bins.nothing[inner]),
        bins.gap[inner],
        _mean_over(depth, spans / frame_shift),
        arcs[1],
        arcs[2],
        np.log(letters),
        np.array([vocabulary.length_in_phones(word) for word in words]),
        np.log(seconds),
        np.log(seconds / letters),
        np.array([vocabulary.log_unigram(word) for word in words]),
    ]
    utterance = [
        bins.posterior.mean() if len(words) else 0.0,
        bins.posterior.min(initial=1.0),
        np.log(max(len(words), 1)),
        np.log(max(duration, 1e-3)),
        len(words) / max(duration, 1e-3),
        depth.mean() if len(depth) else 0.0,
        arcs[3],
        (1 - bins.nothing[outer]).sum(),
    ]
    return Measured(
        np.stack(own, axis=1).astype(np.float32).reshape(len(words), len(OWN)),
        np.array(utterance, dtype=np.float32),
        bins.rival,
    )


def assemble(own: Floats, utterance: Floats, bounds: NDArray[np.int64]) -> Floats:
    """(N, len(NAMES)) the features of all words of many utterances.

    Args:
        own: (N, columns of OWN) of all words.
        utterance: (U, columns of UTTERANCE).
        bounds: (U + 1,) the words of utterance u are `bounds[u]:bounds[u + 1]`.
    """
    sizes = np.diff(bounds)
    first, last = np.zeros((2, len(own)), dtype=np.float32)
    first[bounds[:-1][sizes > 0]] = 1
    last[bounds[1:][sizes > 0] - 1] = 1
    shared = own[:, [list(OWN).index(name) for name in NEIGHBOURS]]
    previous = np.roll(shared, 1, axis=0) * (1 - first)[:, None]
    following = np.roll(shared, -1, axis=0) * (1 - last)[:, None]
    return np.concatenate(
        [own, previous, following, first[:, None], last[:, None], np.repeat(utterance, sizes, axis=0)], axis=1
    )


def _logit(posterior: Doubles) -> Doubles:
    clipped = np.clip(posterior, LEAST, 1 - LEAST)
    return np.log(clipped / (1 - clipped))


@dataclass(frozen=True, eq=False)
class _Bins:
    """Of each word (Q,): its posterior, and the strongest other entry of its bin. Of each bin (B,):
    entropy [bit], entries, posterior of "no word", and by how much the best entry leads."""

    posterior: Doubles
    rival: NDArray[np.int32]
    entropy: Doubles
    size: NDArray[np.int64]
    nothing: Doubles
    gap: Doubles

    @classmethod
    def of(cls, network: ConfusionNetwork) -> _Bins:
        first, posterior = network.first.astype(np.int64), network.posterior.astype(np.float64)
        best, size = first[:-1], np.diff(first)
        bins, count = np.repeat(np.arange(len(size)), size), len(size)
        surprise = -np.log2(np.where(posterior > 0, posterior, 1.0)) * posterior
        behind = np.minimum(best + 1, len(posterior) - 1)
        mine = (bins % 2 == 1) & (network.word == around(network.hypothesis)[bins])
        leads = mine[best[1::2]]  # the likeliest entry is not always the word
        other = np.where(leads, behind[1::2], best[1::2])
        there = ~leads | (size[1::2] > 1)
        return cls(
            posterior=_sums(bins, posterior * mine, count)[1::2],
            rival=np.where(there, network.word[other], 0).astype(np.int32),
            entropy=np.add.reduceat(surprise, best),
            size=size,
            nothing=_sums(bins, posterior * (network.word == 0), count),
            gap=posterior[best] - np.where(size > 1, posterior[behind], 0.0),
        )


def _sums(bins: NDArray[np.int64], values: Doubles, count: int) -> Doubles:
    """(count,) the values (E,) added up by bin."""
    return np.bincount(bins, values, minlength=count).astype(np.float64)


def _depth(lattice: Lattice) -> Doubles:
    """(T,) log of the number of arcs with a word over each frame, one added."""
    spoken = lattice.word != 0
    change = np.zeros(lattice.num_frames + 1)
    np.add.at(change, np.minimum(lattice.start[spoken], lattice.num_frames), 1)
    np.add.at(change, np.minimum(lattice.end[spoken], lattice.num_frames), -1)
    return np.log1p(np.cumsum(change)[:-1])


def _mean_over(values: Doubles, spans: Doubles) -> Doubles:
    """(Q,) means of (T,) values over the frames of each span (Q, 2), of one frame at least."""
    if not len(values):
        return np.zeros(len(spans))
    sums = np.r_[0, np.cumsum(values)]
    begin = np.clip(spans[:, 0].astype(np.int64), 0, len(values) - 1)
    end = np.clip(np.ceil(spans[:, 1]).astype(np.int64), begin + 1, len(values))
    return (sums[end] - sums[begin]) / (end - begin)


def _of_arcs(
    lattice: Lattice, hypothesis: NDArray[np.int32], spans: Doubles
) -> tuple[Doubles, Doubles, Doubles, float]:
    """Of the arcs with each word that lie over its middle: their summed posterior, and their mean acoustic cost per
    frame and graph cost, weighted by posterior (Q,); and the acoustic cost per frame of all arcs."""
    posterior = lattice.posteriors()
    frames = np.maximum(lattice.end - lattice.start, 1)
    spoken = lattice.word != 0
    every = float((posterior * spoken * lattice.acoustic).sum() / max((posterior * spoken * frames).sum(), 1e-9))
    middle = spans.mean(axis=1)[:, None]
    same = lattice.word == hypothesis[:, None]
    weight = posterior * (same & (lattice.start <= middle) & (middle < lattice.end))
    total = weight.sum(axis=1)
    if (total <= 0).any():  # a word that is never heard at its mean time: take it wherever it is near
        near = same & (lattice.start < spans[:, 1:]) & (spans[:, :1] < lattice.end)
        weight = np.where(total[:, None] > 0, weight, posterior * near)
    least = np.maximum(weight.sum(axis=1), 1e-12)
    acoustic = weight @ (lattice.acoustic / frames) / least
    return np.minimum(total, 1.0), acoustic, weight @ lattice.graph.astype(np.float64) / least, every
