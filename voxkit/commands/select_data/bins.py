"""The bins of confusion networks, without their words' names and times: what evidence is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.select_data.sounds import Sounds
from voxkit.decode.confusion import ConfusionNetwork, around

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Columns = Mapping[str, NDArray[np.generic]]

FLUSH = 1000  # networks that are taken apart together
NO_PACE = np.int8(-1)


@dataclass(frozen=True, eq=False)
class Bins:
    """N bins: the two best words of each, 0 for "no word", and what surrounds them. 29 bytes a bin.

    Attributes:
        utterance: (N,) its number; negative for labelled ones.
        label: (N,) the word that the transcript has there.
        rival: (N,) the likeliest other word.
        share: (N,) P(label) / (P(label) + P(rival)); below 0.5 if the label is not what the recogniser prefers.
        mass: (N,) P(label) + P(rival).
        left, right: (N,) the transcript's words before and behind.
        pace: (N,) log2 of the label's frames per phone, in halves; -1 for "no word".
    """

    utterance: Ints
    label: Ints
    rival: Ints
    share: Floats
    mass: Floats
    left: Ints
    right: Ints
    pace: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.utterance)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Bins:
        return Bins(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @classmethod
    def join(cls, parts: Sequence[Bins]) -> Bins:
        if not parts:
            return cls(**{field.name: np.zeros(0, _KINDS[field.name]) for field in fields(cls)})
        return cls(
            **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)}
        )


_KINDS = {
    "utterance": np.int32, "label": np.int32, "rival": np.int32, "share": np.float32, "mass": np.float32,
    "left": np.int32, "right": np.int32, "pace": np.int8,
}  # fmt: skip


class Gatherer:
    """Takes networks in, utterance by utterance, and keeps what `Bins` holds.

    Args:
        sounds: of the words in the table that the networks count in.
        ceiling: bins without a word that are surer of that than this are not kept: they are most, and say nothing.
    """

    def __init__(self, sounds: Sounds, ceiling: float) -> None:
        self.sounds, self.ceiling = sounds, ceiling
        self.parts: list[Bins] = []
        self._waiting: list[tuple[int, ConfusionNetwork, Ints, Floats | None]] = []

    def add(
        self, utterance: int, network: ConfusionNetwork, labels: Ints | None = None, confidence: Floats | None = None
    ) -> None:
        """Take a network in.

        Args:
            labels: (2Q + 1,) the word that is right in each bin, where that is not the hypothesis.
            confidence: (Q,) probability that each word is right, if it is known better than from the network.
        """
        self._waiting.append((utterance, network, around(network.hypothesis) if labels is None else labels, confidence))
        if len(self._waiting) == FLUSH:
            self._flush()

    def say(self, utterance: int, words: Ints) -> None:
        """Take a transcript in: words that are certain, and have no rival."""
        blank = np.zeros_like(words)
        certain = np.ones(len(words), np.float32)
        left, right = np.append(0, words)[: len(words)], np.append(words, 0)[1:]
        number = np.full(len(words), utterance, np.int32)
        pace = np.full(len(words), NO_PACE)
        self.parts.append(
            Bins(number, words, blank, certain, certain, left.astype(np.int32), right.astype(np.int32), pace)
        )

    def bins(self) -> Bins:
        """All that was taken in."""
        self._flush()
        return Bins.join(self.parts)

    def _flush(self) -> None:
        if not self._waiting:
            return
        numbers, networks, labels, confidences = zip(*self._waiting, strict=True)
        self._waiting = []
        bins = np.array([network.num_bins for network in networks])
        entries = np.array([len(network.word) for network in networks])
        word, posterior, start, end = (
            np.concatenate([getattr(network, name) for network in networks])
            for name in ("word", "posterior", "start", "end")
        )
        first = np.concatenate([network.first[:-1] for network in networks])
        first = first + np.repeat(np.cumsum(entries) - entries, bins)
        of_entry = np.repeat(np.arange(len(first)), np.diff(first, append=len(word)))
        label = np.concatenate(labels).astype(np.int32)
        mine = word == label[of_entry]
        own = np.bincount(of_entry[mine], posterior[mine], minlength=len(first))
        frames = np.bincount(of_entry[mine], (end - start)[mine], minlength=len(first))
        second = np.minimum(first + mine[first], len(word) - 1)  # the likeliest entry that is not the label's
        rivalled = of_entry[second] == np.arange(len(first))
        rival = np.where(rivalled, word[second], 0).astype(np.int32)
        other = np.where(rivalled, posterior[second], 0.0)
        spoken = np.concatenate([np.arange(count) % 2 == 1 for count in bins])
        if any(confidence is not None for confidence in confidences):
            known = np.concatenate([_or_nan(c, network) for c, network in zip(confidences, networks, strict=True)])
            better = spoken.copy()
            better[spoken] = ~np.isnan(known)
            known = known[~np.isnan(known)]
            other[better] *= (1 - known) / np.maximum(1 - own[better], 1e-6)
            own[better] = known
        mass = np.minimum(own + other, 1.0)
        share = np.divide(own, own + other, out=np.zeros_like(own), where=own + other > 0)
        heard = np.concatenate([(0, 0), *(around(network.hypothesis) for network in networks), (0, 0)])
        here = np.arange(2, len(heard) - 2)  # gaps stand between the words, and at both ends of a network
        pace = 4 + np.rint(2 * np.log2(np.maximum(frames / self.sounds.length[label], 0.25)))
        self.parts.append(
            Bins(
                utterance=np.repeat(np.array(numbers, np.int32), bins),
                label=label,
                rival=rival,
                share=share.astype(np.float32),
                mass=mass.astype(np.float32),
                left=heard[here - 1 - spoken].astype(np.int32),
                right=heard[here + 1 + spoken].astype(np.int32),
                pace=np.where(label == 0, NO_PACE, np.minimum(pace, 20).astype(np.int8)),
            ).take((label != 0) | spoken | (own < self.ceiling))
        )


def _or_nan(confidence: Floats | None, network: ConfusionNetwork) -> Floats:
    """(Q,) the confidence of each word, NaN where it is not known."""
    return np.full(len(network.hypothesis), np.nan, np.float32) if confidence is None else confidence
