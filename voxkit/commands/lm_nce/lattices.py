"""A language model over all paths of a lattice, not only over a list.

A state of the lattice is divided by the last words of the paths into it, n at most: paths that agree in these are
merged, and the best of them lends its model state to what follows (as in Xu et al., "A pruned RNNLM
lattice-rescoring algorithm for automatic speech recognition", ICASSP 2018). States are visited by rank, the largest
number of arcs before them, so that the model is asked once for all states of a rank, in several lattices together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxkit.commands.lm_nce.command import LatticeConfig, RescoreWeights
from voxkit.commands.lm_nce.model import State, take
from voxkit.commands.lm_nce.vocabulary import BEGIN, END
from voxkit.decode.alignment import by_level
from voxkit.decode.lattice import Hypothesis, Lattice

if TYPE_CHECKING:
    from voxkit.commands.lm_nce.costs import WordTable
    from voxkit.commands.lm_nce.scorer import Scorer

Doubles = NDArray[np.float64]
Words = tuple[int, ...]


class Way(NamedTuple):
    """An arc from a divided state: the state's number, what it costs by the model, and the best path through both."""

    source: int
    arc: int
    model: float
    cost: float


@dataclass
class Arrival:
    """A divided state with the ways into it."""

    state: int
    history: Words
    cost: float = math.inf  # of the best path to here
    ways: list[Way] = field(default_factory=list)
    best: Way | None = None

    def add(self, way: Way) -> None:
        """One more way."""
        if way.cost < self.cost:
            self.best, self.cost = way, way.cost
        self.ways.append(way)

    def drop(self, bound: float) -> None:
        """Forget ways that cost more."""
        self.ways = [way for way in self.ways if way.cost <= bound]


class Expansion:
    """One lattice while it is divided.

    Args:
        config: how many words divide states, and which paths are followed; the rest of a path costs what the first pass
            says.
    """

    def __init__(self, lattice: Lattice, weights: RescoreWeights, config: LatticeConfig) -> None:
        self.lattice, self.config = lattice, config
        order, levels = by_level(lattice)
        self.rank = np.zeros(lattice.num_states, dtype=np.int64)
        for number, level in enumerate(levels, start=1):
            self.rank[lattice.dst[order[level]]] = number
        self.ranks = len(levels) + 1
        self.words = lattice.word.tolist()
        self.dst = lattice.dst.tolist()
        spoken = lattice.word != 0
        self.graph = weights.graph * lattice.graph.astype(np.float64) + weights.penalty * spoken
        self.cost = (self.graph + lattice.acoustic).tolist()
        self.first = lattice.leaving.tolist()
        self.rest = lattice.best_to_end.tolist()
        self.arrivals: list[dict[tuple[int, Words], Arrival]] = [{} for _ in range(self.ranks)]
        self.arrivals[0][0, ()] = Arrival(0, (), 0.0)
        self.kept: list[Arrival] = []  # by the number of the divided state
        self.ends: list[float] = []  # of those that are final, in the same order

    def visit(self, rank: int) -> list[Arrival]:
        """The divided states of a rank that are within the beam; they get the next numbers."""
        if rank >= self.ranks:
            return []
        arrived = list(self.arrivals[rank].values())
        likely = [arrival.cost + self.rest[arrival.state] for arrival in arrived]
        best = sorted(range(len(arrived)), key=likely.__getitem__)[: self.config.most]
        if self.config.beam is not None and best:
            bound = likely[best[0]] + self.config.beam
            best = [number for number in best if likely[number] <= bound]
            for number in best:
                arrived[number].drop(bound - self.rest[arrived[number].state])
        self.kept += (chosen := [arrived[number] for number in sorted(best)])
        return chosen

    def leave(self, number: int, arrival: Arrival, model: Sequence[float]) -> None:
        """Follow all arcs from the divided state of this number, which cost so much by the model."""
        begin = self.first[arrival.state]
        for arc, cost in enumerate(model, start=begin):
            word = self.words[arc]
            history, most = arrival.history, self.config.history
            if word and most != 0:
                history = (*history, word) if most is None else (*history, word)[-most:]
            key = (self.dst[arc], history)
            there = self.arrivals[self.rank[key[0]]]
            if key not in there:
                there[key] = Arrival(*key)
            there[key].add(Way(number, arc, cost, arrival.cost + self.cost[arc] + cost))

    def result(self) -> Lattice:
        """The divided lattice; its graph costs are those of the first pass, the model's and the penalties, weighted."""
        last, lattice = self.lattice.num_states - 1, self.lattice
        if not last:
            return lattice
        ends = iter(self.ends)
        source, target, arcs, model = [], [], [], []
        for number, arrival in enumerate(self.kept):
            final = arrival.state == last
            end = next(ends) if final else 0.0
            for way in arrival.ways:
                source.append(way.source)
                arcs.append(way.arc)
                model.append(way.model + end)
                target.append(len(self.kept) if final else number)
        chosen = np.array(arcs, dtype=np.int64)
        divided = Lattice.build(
            len(self.kept) + 1,
            lattice.num_frames,
            source,
            target,
            lattice.word[chosen],
            lattice.start[chosen],
            lattice.end[chosen],
            lattice.acoustic[chosen],
            self.graph[chosen] + model,
        )
        return divided if self.config.beam is None else divided.prune(self.config.beam)


class Expander:
    """Rescores lattices by a language model.

    Args:
        words: tokens of the words that the lattices' ids are.
    """

    def __init__(self, scorer: Scorer, words: WordTable, weights: RescoreWeights, config: LatticeConfig) -> None:
        self.scorer, self.words, self.weights, self.config = scorer, words, weights, config

    def __call__(self, lattices: Sequence[Lattice]) -> list[Lattice]:
        """The rescored lattices: acoustic costs stay, graph costs are all else, weighted."""
        some = [Expansion(lattice, self.weights, self.config) for lattice in lattices]
        with torch.inference_mode():
            self._visit(some)
        return [one.result() for one in some]

    def _visit(self, some: Sequence[Expansion]) -> None:
        memory = _Memory(self.scorer)
        place: list[list[int]] = [[] for _ in some]  # in memory, by lattice and divided state
        for rank in range(max((one.ranks for one in some), default=0)):
            arrived = [(which, arrival) for which, one in enumerate(some) for arrival in one.visit(rank)]
            if not arrived:
                continue
            ways = [(which, arrival.best) for which, arrival in arrived]
            rows = [0 if way is None else place[which][way.source] for which, way in ways]
            read = [() if way is None else self.words.tokens[some[which].words[way.arc]] for which, way in ways]
            hidden, state, _ = memory.follow(*memory.recall(rows), read, through=True)
            begin = memory.store(hidden, state)
            self._finish(some, arrived, hidden)
            numbers = []
            for number, (which, _) in enumerate(arrived, start=begin):
                numbers.append(len(place[which]))
                place[which].append(number)
            self._leave(some, arrived, numbers, memory, hidden, state)

    def _finish(self, some: Sequence[Expansion], arrived: Sequence[tuple[int, Arrival]], hidden: Tensor) -> None:
        """Costs of the end of a sentence."""
        final = [row for row, (which, at) in enumerate(arrived) if at.state == some[which].lattice.num_states - 1]
        if not final:
            return
        scores = self.scorer.scores(hidden[torch.tensor(final)], torch.full((len(final),), END))
        for row, score in zip(final, scores.tolist(), strict=True):
            some[arrived[row][0]].ends.append(-self.weights.lm * score)

    def _leave(
        self,
        some: Sequence[Expansion],
        arrived: Sequence[tuple[int, Arrival]],
        numbers: Sequence[int],
        memory: _Memory,
        hidden: Tensor,
        state: State,
    ) -> None:
        """Score each word after each divided state once, and follow the arcs."""
        wanted: dict[tuple[int, int], int] = {}
        asked: list[list[int]] = []
        for row, (which, arrival) in enumerate(arrived):
            one = some[which]
            words = one.words[one.first[arrival.state] : one.first[arrival.state + 1]]
            asked.append([wanted.setdefault((row, word), len(wanted)) for word in words])
        if not wanted:
            return
        rows = torch.tensor([row for row, _ in wanted])
        tokens = [self.words.tokens[word] for _, word in wanted]
        *_, scores = memory.follow(hidden[rows], lambda: take(state, rows), tokens, through=False)
        extra = np.array([self.words.extra[word] for _, word in wanted])
        costs = (self.weights.lm * (extra - scores)).tolist()
        for (which, arrival), number, places in zip(arrived, numbers, asked, strict=True):
            some[which].leave(number, arrival, [costs[place] for place in places])


class _Memory:
    """What the model knows after each divided state, in the order in which they were visited."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._parts: list[tuple[Tensor, State]] = [scorer.advance(torch.tensor([BEGIN]), scorer.start(1))]
        self._begins = [0, 1]

    def store(self, hidden: Tensor, state: State) -> int:
        """Keep rows; the number of the first."""
        self._parts.append((hidden, state))
        self._begins.append(self._begins[-1] + len(hidden))
        return self._begins[-2]

    def recall(self, numbers: Sequence[int]) -> tuple[Tensor, State]:
        """The rows of these numbers."""
        wanted = np.array(numbers)
        part = np.searchsorted(self._begins, wanted, side="right") - 1
        found, places = [], []
        for which in np.unique(part).tolist():
            here = np.flatnonzero(part == which)
            rows = torch.from_numpy(wanted[here] - self._begins[which])
            hidden, state = self._parts[which]
            found.append((hidden[rows], take(state, rows)))
            places.append(here)
        if len(found) == 1:
            return found[0]
        back = torch.from_numpy(np.argsort(np.concatenate(places)))
        joined = self.scorer.join([state for _, state in found])
        return torch.cat([hidden for hidden, _ in found])[back], take(joined, back)

    def follow(
        self, hidden: Tensor, state: State | Callable[[], State], tokens: Sequence[Words], through: bool
    ) -> tuple[Tensor, State, Doubles]:
        """Read the tokens of a word, each row its own, and score them.

        Args:
            state: of the rows, or what gives it, which is not asked where no row reads anything.
            through: read the last token too, and do not score.

        Returns:
            What is known, the states, and ln P of the tokens (N,).
        """
        lengths = np.array([len(some) for some in tokens])
        total = np.zeros(len(tokens))
        for place in range(int(lengths.max(initial=0))):
            on = np.flatnonzero(lengths > place)
            read = torch.tensor([tokens[row][place] for row in on.tolist()])
            if not through:
                known = hidden if len(on) == len(hidden) else hidden[torch.from_numpy(on)]
                total[on] += self.scorer.scores(known, read).numpy()
            further = np.flatnonzero(lengths[on] > place + (0 if through else 1))
            if len(further):
                state = state() if callable(state) else state
                hidden, state = self._advance(hidden, state, on[further], read[torch.from_numpy(further)])
        return hidden, () if callable(state) else state, total

    def _advance(self, hidden: Tensor, state: State, rows: NDArray[np.int64], tokens: Tensor) -> tuple[Tensor, State]:
        """Let some rows read a token each."""
        if len(rows) == len(hidden):
            return self.scorer.advance(tokens, state)
        chosen = torch.from_numpy(rows)
        left = np.delete(np.arange(len(hidden)), rows)
        others = torch.from_numpy(left)
        known, after = self.scorer.advance(tokens, take(state, chosen))
        back = torch.from_numpy(np.argsort(np.concatenate([left, rows])))
        joined = self.scorer.join([take(state, others), after])
        return torch.cat([hidden[others], known])[back], take(joined, back)


def chained(lattice: Lattice, hypotheses: Sequence[Hypothesis], graph_weight: float, more: Doubles) -> Lattice:
    """A lattice of a list: one path for each hypothesis of it.

    Args:
        lattice: where the hypotheses are from.
        more: (H,) cost of each hypothesis beside its acoustic and weighted graph costs; its first arc bears it.
    """
    if lattice.num_states == 1:
        return lattice
    lengths = [len(hypothesis.arcs) for hypothesis in hypotheses]
    arcs = np.array([arc for hypothesis in hypotheses for arc in hypothesis.arcs], dtype=np.int64)
    firsts = np.cumsum([0, *lengths[:-1]])
    last = int(sum(lengths)) - len(hypotheses) + 1
    dst = np.arange(1, len(arcs) + 1) - np.repeat(np.arange(len(hypotheses)), lengths)
    src = dst - 1
    dst[np.cumsum(lengths) - 1] = last
    src[firsts] = 0
    graph = graph_weight * lattice.graph[arcs].astype(np.float64)
    graph[firsts] += more
    return Lattice.build(
        last + 1,
        lattice.num_frames,
        src,
        dst,
        lattice.word[arcs],
        lattice.start[arcs],
        lattice.end[arcs],
        lattice.acoustic[arcs],
        graph,
    )
