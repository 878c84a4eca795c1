"""What a CRF says of a sentence: the best tags, and how probable entities are. Free of torch.

Shapes: T words, C tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voxkit.data.tag_schemes import bio
from voxkit.data.tagging import Entity, entities

Doubles = NDArray[np.float64]

_LEAST = 1e-300


class Chain:
    """A CRF without its network.

    Args:
        tags: (C,) names, in BIO or BIOES.
        transitions: (C, C) scores from tag to tag, very low where that is forbidden.
        start, end: (C,) scores of the first and the last tag.
    """

    def __init__(self, tags: Sequence[str], transitions: Doubles, start: Doubles, end: Doubles) -> None:
        self.tags = tuple(tags)
        self.transitions = np.asarray(transitions, dtype=np.float64)
        self.start, self.end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
        self.kinds = np.array([tag[0] for tag in tags])
        self.ids = {tag: number for number, tag in enumerate(self.tags)}
        self.bioes = bool(np.isin(self.kinds, ["E", "S"]).any())

        self._into = np.ascontiguousarray(self.transitions.T)  # rows are what `best` takes the maximum over
        self._follows = np.exp(self.transitions)

    def best(self, emissions: Doubles) -> list[int]:
        """(T, C) -> the tags of the highest score, by the Viterbi algorithm; of equals those of lower numbers."""
        score = self.start + emissions[0]
        back = np.empty((len(emissions), len(score)), dtype=np.int64)
        every = np.arange(len(score))
        for place in range(1, len(emissions)):
            paths = self._into + score
            back[place] = paths.argmax(axis=1)
            score = paths[every, back[place]] + emissions[place]
        path = [int((score + self.end).argmax())]
        for place in range(len(emissions) - 1, 0, -1):
            path.append(int(back[place, path[-1]]))
        return path[::-1]

    def forward_backward(self, emissions: Doubles) -> tuple[Doubles, Doubles, float]:
        """(T, C) -> alpha (T, C), beta (T, C) and ln Z.

        `alpha[t, y]` sums over all tags up to t that end in y, with the emission of t; `beta[t, y]` over all after t.
        Sums are matrix products of exponentials, relative to the best tag; e^-690 of it is the least that counts.
        """
        alpha, beta = np.empty_like(emissions), np.empty_like(emissions)
        alpha[0] = self.start + emissions[0]
        for place in range(1, len(emissions)):
            most = alpha[place - 1].max()
            alpha[place] = _log(np.exp(alpha[place - 1] - most) @ self._follows) + most + emissions[place]
        beta[-1] = self.end
        for place in range(len(emissions) - 2, -1, -1):
            after = beta[place + 1] + emissions[place + 1]
            beta[place] = _log(self._follows @ np.exp(after - after.max())) + after.max()
        return alpha, beta, _log_sum(alpha[-1] + self.end)

    def marginals(self, emissions: Doubles) -> Doubles:
        """(T, C) -> (T, C): the probability of each tag at each word."""
        alpha, beta, total = self.forward_backward(emissions)
        return np.exp(alpha + beta - total)

    def probabilities(self, emissions: Doubles, found: Sequence[Entity]) -> list[float]:
        """How probable it is that exactly these words are this entity, whatever the others are: exact, for each."""
        if not found:
            return []
        alpha, beta, total = self.forward_backward(emissions)
        return [min(float(np.exp(self._joint(entity, emissions, alpha, beta) - total)), 1.0) for entity in found]

    def _joint(self, entity: Entity, emissions: Doubles, alpha: Doubles, beta: Doubles) -> float:
        """The log of the summed weight of all tag sequences that have the entity."""
        path = self._path(entity)
        score = alpha[entity.begin, path[0]]
        for place, (before, tag) in enumerate(pairwise(path), start=entity.begin + 1):
            score += self.transitions[before, tag] + emissions[place, tag]
        if self.bioes or entity.end == len(emissions):
            return float(score + beta[entity.end - 1, path[-1]])
        after = self.transitions[path[-1]] + emissions[entity.end] + beta[entity.end]
        after[self.ids[f"I-{entity.label}"]] = -np.inf  # it would not end here
        return float(score + _log_sum(after))

    def _path(self, entity: Entity) -> list[int]:
        label, begin, end = entity
        kinds = ["B", *["I"] * (end - begin - 1)]
        if self.bioes:
            kinds = ["S"] if end - begin == 1 else [*kinds[:-1], "E"]
        return [self.ids[f"{kind}-{label}"] for kind in kinds]

    def entities(self, path: Sequence[int]) -> tuple[Entity, ...]:
        """The entities of tags that the scheme allows."""
        return entities(bio([self.tags[number] for number in path]))


def _log(sums: Doubles) -> Doubles:
    return np.log(np.maximum(sums, _LEAST))


def _log_sum(values: Doubles) -> float:
    """ln sum exp, of which one is finite at least."""
    most = values.max()
    return float(np.log(np.exp(values - most).sum()) + most)
