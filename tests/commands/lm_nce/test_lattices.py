"""Lattices rescored, against all their paths."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.commands.lm_nce.small_decodes import TABLE, random_lattice
from tests.commands.lm_nce.small_lm import model
from tests.decode.small_lattices import paths, small_lattices
from voxkit.commands.lm_nce.command import LatticeConfig, RescoreWeights
from voxkit.commands.lm_nce.costs import WordTable
from voxkit.commands.lm_nce.lattices import Expander, chained
from voxkit.commands.lm_nce.model import State
from voxkit.commands.lm_nce.scorer import TorchScorer
from voxkit.commands.lm_nce.trie import Trie, TrieScorer
from voxkit.decode.lattice import Lattice

EVERYTHING = LatticeConfig(history=None, beam=None, most=None)
WEIGHTS = RescoreWeights(graph=0.6, lm=0.7, penalty=0.3)
SCORERS: dict[str, Any] = {kind: TorchScorer(model(kind)) for kind in ("lstm", "transformer")}
WORDS = WordTable(SCORERS["lstm"].vocabulary, TABLE)
WORDS.tokens[2] = (7, 4, 9)  # a word of several pieces
WORDS.tokens[3], WORDS.extra[3] = (0,), 1.25  # an unknown one
FEW = settings(max_examples=15, deadline=None)


def costs(lattice: Lattice, kind: str = "lstm") -> dict[tuple[int, ...], float]:
    """The cost of the best path of each word sequence, all paths looked at."""
    found: dict[tuple[int, ...], float] = {}
    for walk in paths(lattice):
        arcs = list(walk.arcs)
        fixed = float(lattice.acoustic[arcs].sum() + WEIGHTS.graph * lattice.graph[arcs].sum())
        found[walk.words] = min(fixed, found.get(walk.words, math.inf))
    tokens = [[token for word in words for token in WORDS.tokens[word]] for words in found]
    scores = TrieScorer(SCORERS[kind])(Trie(tokens))
    for words, score in zip(list(found), scores.tolist(), strict=True):
        extra = sum(WORDS.extra[word] for word in words)
        found[words] += WEIGHTS.lm * (extra - score) + WEIGHTS.penalty * len(words)
    return found


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
@FEW
@given(some=st.lists(small_lattices(), min_size=1, max_size=2))
def test_with_all_history_every_path_has_its_cost(kind: str, some: list[Lattice]) -> None:
    found = Expander(SCORERS[kind], WORDS, WEIGHTS, EVERYTHING)(some)
    for lattice, rescored in zip(some, found, strict=True):
        expected = costs(lattice, kind)
        best = rescored.best_path()
        assert best.cost == pytest.approx(min(expected.values()), abs=1e-3)
        listed = {one.words: one.cost for one in rescored.nbest(1000)}
        assert listed == pytest.approx(expected, abs=1e-3)


@FEW
@given(small_lattices(), st.integers(0, 3))
def test_a_short_history_keeps_all_words_and_never_makes_more_states(lattice: Lattice, history: int) -> None:
    whole = Expander(SCORERS["lstm"], WORDS, WEIGHTS, EVERYTHING)([lattice])[0]
    merged = Expander(SCORERS["lstm"], WORDS, WEIGHTS, EVERYTHING.model_copy(update={"history": history}))([lattice])[0]
    assert merged.num_states <= whole.num_states
    assert {one.words for one in merged.nbest(1000)} == set(costs(lattice))
    if history == 0:
        assert merged.num_states == lattice.num_states


class Bigrams:
    """A scorer that looks at one word before."""

    vocabulary, normalised = SCORERS["lstm"].vocabulary, False
    table = torch.rand(len(vocabulary), len(vocabulary), generator=torch.Generator().manual_seed(3)) * -5

    def start(self, rows: int) -> State:
        return (torch.zeros(rows, 1),)

    def advance(self, words: Tensor, state: State) -> tuple[Tensor, State]:
        return words.unsqueeze(1).float(), (words.unsqueeze(1).float(),)

    def scores(self, hidden: Tensor, words: Tensor) -> Tensor:
        return self.table[hidden[:, 0].long(), words]

    def join(self, states: Sequence[State]) -> State:
        return (torch.cat([part for (part,) in states]),)


SCORERS["bigrams"] = Bigrams()


@FEW
@given(small_lattices())
def test_a_history_of_all_that_a_model_looks_at_is_exact(lattice: Lattice) -> None:
    config = EVERYTHING.model_copy(update={"history": 1})
    found = Expander(SCORERS["bigrams"], WORDS, WEIGHTS, config)([lattice])[0]
    listed = {one.words: one.cost for one in found.nbest(1000)}
    assert listed == pytest.approx(costs(lattice, "bigrams"), abs=1e-3)


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
@FEW
@given(lattice=small_lattices(), history=st.integers(0, 2))
def test_the_best_path_into_a_merged_state_has_its_own_cost(kind: str, lattice: Lattice, history: int) -> None:
    config = EVERYTHING.model_copy(update={"history": history})
    best = Expander(SCORERS[kind], WORDS, WEIGHTS, config)([lattice])[0].best_path()
    expected = costs(lattice, kind)
    assert best.cost >= min(expected.values()) - 1e-3
    assert best.cost == pytest.approx(expected[best.words], abs=1e-3)


@FEW
@given(small_lattices(), st.floats(0.01, 30), st.integers(1, 4))
def test_beams_leave_a_part_of_the_paths(lattice: Lattice, beam: float, most: int) -> None:
    config = LatticeConfig(history=None, beam=beam, most=most)
    found = Expander(SCORERS["lstm"], WORDS, WEIGHTS, config)([lattice])[0]
    expected = costs(lattice)
    listed = found.nbest(1000)
    assert 1 <= len(listed) <= len(expected)
    for one in listed:
        assert one.cost >= expected[one.words] - 1e-3
        assert one.cost <= listed[0].cost + beam + 1e-3


def test_a_wide_beam_is_none() -> None:
    lattice = random_lattice(np.random.default_rng(1), 4)
    wide = Expander(SCORERS["lstm"], WORDS, WEIGHTS, LatticeConfig(history=2, beam=1e6, most=None))([lattice])[0]
    none = Expander(SCORERS["lstm"], WORDS, WEIGHTS, LatticeConfig(history=2, beam=None, most=None))([lattice])[0]
    assert wide.num_arcs == none.num_arcs
    assert wide.best_path().cost == pytest.approx(none.best_path().cost)


def test_the_empty_lattice_stays() -> None:
    empty = Lattice.empty(7)
    assert Expander(SCORERS["lstm"], WORDS, WEIGHTS, EVERYTHING)([empty])[0].num_states == 1


def test_weights_of_the_first_pass_give_its_costs() -> None:
    lattice = random_lattice(np.random.default_rng(2), 3)
    first = RescoreWeights(graph=1.0, lm=0.0, penalty=0.0)
    found = Expander(SCORERS["lstm"], WORDS, first, EVERYTHING)([lattice])[0]
    assert [one.words for one in found.nbest(9)] == [one.words for one in lattice.nbest(9)]
    assert found.total_score() == pytest.approx(lattice.total_score(), abs=1e-4)


@FEW
@given(small_lattices(), st.integers(1, 8))
def test_a_list_as_a_lattice_has_its_costs(lattice: Lattice, most: int) -> None:
    listed = lattice.nbest(most)
    more = np.linspace(3.0, -2.0, len(listed))
    expected = {one.words: one.acoustic + 0.5 * one.graph + extra for one, extra in zip(listed, more, strict=True)}
    found = chained(lattice, listed, 0.5, more)
    again = {one.words: one.cost for one in found.nbest(100)}
    assert again == pytest.approx(expected, abs=1e-3)
    assert found.num_frames == lattice.num_frames
    times = {one.words: (one.starts, one.ends) for one in listed}
    assert {one.words: (one.starts, one.ends) for one in found.nbest(100)} == times
    assert replace(found, num_frames=0).posteriors().max() <= 1 + 1e-6
