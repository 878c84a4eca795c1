"""Scores of many hypotheses that begin alike: each distinct prefix is read once.

The hypotheses form a trie. It is read breadth first, so that a model reads all prefixes of one length together:
those of an n-best list, or of the lists of several utterances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxkit.commands.lm_nce.model import State, take
from voxkit.commands.lm_nce.vocabulary import BEGIN, END

if TYPE_CHECKING:
    from voxkit.commands.lm_nce.scorer import Scorer

Doubles = NDArray[np.float64]
Longs = NDArray[np.int64]


@dataclass(frozen=True)
class Level:
    """The M distinct prefixes of one length, for the H sequences that are at least so long.

    Attributes:
        parents: (M,) of each the prefix that is shorter by a token, by its number there.
        tokens: (M,) the last token of each.
        members: (H,) numbers of the sequences.
        nodes: (H,) the prefix of each of them.
    """

    parents: Longs
    tokens: Longs
    members: Longs
    nodes: Longs


class Trie:
    """Token sequences, without the ends, which are added.

    Args:
        sequences: tokens of each; none of them is an end.
    """

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences)) + 1
        self.lengths = lengths
        table = np.full((len(sequences), int(lengths.max(initial=0))), END, dtype=np.int64)
        place = np.arange(table.shape[1])
        table[place < lengths[:, None] - 1] = [token for tokens in sequences for token in tokens]
        self.levels: list[Level] = []
        members, nodes, size = np.arange(len(sequences)), np.zeros(len(sequences), dtype=np.int64), 0
        size = int(table.max(initial=END)) + 1
        for depth in range(table.shape[1]):
            keep = lengths[members] > depth
            members, nodes = members[keep], nodes[keep]
            keys, nodes = np.unique(nodes * size + table[members, depth], return_inverse=True)
            self.levels.append(Level(keys // size, keys % size, members, nodes))

    @property
    def words(self) -> int:
        """Tokens of all sequences, ends included."""
        return int(self.lengths.sum())

    @property
    def prefixes(self) -> int:
        """Distinct prefixes that are scored."""
        return sum(len(level.tokens) for level in self.levels)


class TrieScorer:
    """A language model that scores tries."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        with torch.inference_mode():
            self._begin: tuple[Tensor, State] = scorer.advance(torch.tensor([BEGIN]), scorer.start(1))

    def __call__(self, trie: Trie) -> Doubles:
        """ln P of each sequence, its end included, (N,)."""
        found = np.zeros(len(trie.lengths))
        known: list[Tensor] = []  # before each prefix's last token
        with torch.inference_mode():
            hidden, state = self._begin
            rows = np.zeros(1, dtype=np.int64)  # of a prefix in `hidden` and `state`, where those that end are left out
            for level in trie.levels:
                parents = torch.from_numpy(rows[level.parents])
                known.append(hidden.index_select(0, parents))
                goes_on = level.tokens != END
                rows = np.cumsum(goes_on) - 1
                if goes_on.any():
                    on = torch.from_numpy(np.flatnonzero(goes_on))
                    read = torch.from_numpy(level.tokens[goes_on])
                    hidden, state = self.scorer.advance(read, take(state, parents.index_select(0, on)))
            read = torch.from_numpy(np.concatenate([level.tokens for level in trie.levels]))
            scores = self.scorer.scores(torch.cat(known), read).numpy().astype(np.float64)
        sums, begin = np.zeros(1), 0
        for level in trie.levels:
            end = begin + len(level.tokens)
            sums, begin = sums[level.parents] + scores[begin:end], end
            ended = level.tokens[level.nodes] == END
            found[level.members[ended]] = sums[level.nodes[ended]]
        return found
