"""What each method prefers, and the greedy choice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.commands.select_data.made_pools import WORDS, said
from voxkit.commands.select_data.bins import Gatherer
from voxkit.commands.select_data.choose import choose
from voxkit.commands.select_data.command import EntropyConfig, GermConfig
from voxkit.commands.select_data.entropy import EntropyReduction
from voxkit.commands.select_data.germ import Germ, entropies
from voxkit.commands.select_data.plain import Fixed, by_chance, by_confidence
from voxkit.commands.select_data.sounds import Sounds
from voxkit.config import build
from voxkit.decode.confusion import ConfusionNetwork

BEE, DEE, SEE, TEA, TWO, TEN = (WORDS.index(word) for word in ("bee", "dee", "see", "tea", "two", "ten"))
pools = st.lists(st.tuples(st.floats(0.05, 20), st.floats(-5, 5) | st.just(-np.inf), st.booleans()), max_size=40)


@given(pools, st.floats(0.1, 60), st.integers(1, 9))
def test_the_budget_is_never_exceeded_and_what_fits_is_taken(
    pool: list[tuple[float, float, bool]], budget: float, blocks: int
) -> None:
    durations, scores = np.array([p[0] for p in pool]), np.array([p[1] for p in pool])
    allowed = np.array([p[2] for p in pool], bool)
    choice = choose(Fixed(scores), durations, allowed, budget, blocks)
    again = choose(Fixed(scores), durations, allowed, budget, blocks)
    assert choice.order.tolist() == again.order.tolist()
    assert len(set(choice.order.tolist())) == len(choice.order) == len(choice.block) == len(choice.reason)
    left = budget - durations[choice.order].sum()
    assert left >= -1e-9
    taken = np.zeros(len(pool), bool)
    taken[choice.order] = True
    assert (allowed & np.isfinite(scores))[choice.order].all()
    assert not (allowed & np.isfinite(scores) & ~taken & (durations < left - 1e-9)).any()
    assert (np.diff(choice.block) >= 0).all()


def test_the_utterance_that_would_exceed_the_budget_is_passed_over() -> None:
    choice = choose(Fixed(np.array([3.0, 2.0, 1.0])), np.array([5.0, 6.0, 4.0]), np.ones(3, bool), 10.0, 1)
    assert choice.order.tolist() == [0, 2]


def test_chance_and_confidence() -> None:
    assert by_chance(50, 1).score.tolist() == by_chance(50, 1).score.tolist() != by_chance(50, 2).score.tolist()
    confidence = by_confidence(np.array([0.5, np.nan, 0.9]))
    assert choose(confidence, np.ones(3), np.ones(3, bool), 9.0, 1).order.tolist() == [2, 0]


def reduction(networks: list[ConfusionNetwork], labelled: list[list[int]], **settings: object) -> EntropyReduction:
    """Entropy reduction over utterances of a second a word, all by different speakers."""
    sounds = Sounds(WORDS)
    config = build(EntropyConfig, None, None, **settings)
    gatherer = Gatherer(sounds, config.ceiling)
    for number, network in enumerate(networks):
        gatherer.add(number, network)
    for number, words in enumerate(labelled, start=1):
        gatherer.say(-number, np.array(words, np.int32))
    words = np.array([max(len(network.hypothesis), 1) for network in networks], np.int32)
    voices = np.arange(len(networks) + len(labelled), dtype=np.int32)
    return EntropyReduction(gatherer.bins(), words.astype(float), words, voices, sounds, WORDS, config)


def test_confirmed_is_better_than_alone_and_contradicted_is_never_chosen() -> None:
    pool = [said({BEE: 0.8, DEE: 0.2})] * 6 + [said({TEA: 0.8, SEE: 0.2})]
    pool += [said({TWO: 0.55, TEN: 0.45})] + [said({TEN: 0.55, TWO: 0.45})] * 9
    scorer = reduction(pool, [], error_cost=0.0)
    assert scorer.score[0] > scorer.score[6] >= 0
    assert scorer.score[7] == -np.inf
    assert scorer.reason(7)[0]["after"] < scorer.reason(7)[0]["before"] < 0.56
    assert choose(scorer, np.ones(len(pool)), np.ones(len(pool), bool), 99.0, 4).order.tolist().count(7) == 0


def test_what_was_chosen_is_worth_less_the_next_time() -> None:
    pool = [said({BEE: 0.8, DEE: 0.2})] * 10 + [said({TEA: 0.8, SEE: 0.2})] * 8
    scorer = reduction(pool, [], error_cost=0.0)
    before = scorer.score.copy()
    assert before[0] > before[12]
    scorer.take(np.arange(6, dtype=np.int32))
    assert scorer.score[8] < scorer.score[12] == pytest.approx(before[12])
    order = choose(reduction(pool, [], error_cost=0.0), np.ones(18), np.ones(18, bool), 9.0, 9).order
    assert (order >= 10).any()


def test_chosen_bins_are_counted_once_with_what_is_known_now() -> None:
    scorer = reduction([said({BEE: 0.8, DEE: 0.2})] * 4, [], error_cost=0.0)
    before, posterior = scorer.sums.same.copy(), scorer.posterior.copy()
    scorer.take(np.array([0], np.int32))
    grown = scorer.sums.same - before  # every other bin now hears utterance 0 with p_new in place of p
    similarity = scorer.config.similarity
    common = 1 - similarity.voice
    np.testing.assert_allclose(grown[1:], common * (posterior[0] - 0.8), atol=1e-5)
    assert grown[0] == pytest.approx(0, abs=1e-5)


def test_what_was_labelled_is_worth_less() -> None:
    pool = [said({BEE: 1.0})] * 5 + [said({TEA: 1.0})] * 5
    scorer = reduction(pool, [[BEE, BEE, BEE, BEE]])
    assert scorer.score[0] < scorer.score[5]


def test_likely_errors_cost() -> None:
    pool = [said({BEE: 0.8, DEE: 0.2})] * 6
    free, dear = reduction(pool, [], error_cost=0.0), reduction(pool, [], error_cost=1.0, least=None)
    errors = free.expected_errors()
    np.testing.assert_allclose(free.score - dear.score, errors / free.words, rtol=1e-5)
    assert 0 < errors[0] < 0.2


def germ(networks: list[ConfusionNetwork], **settings: object) -> tuple[Germ, NDArray[np.float64]]:
    gatherer = Gatherer(Sounds(WORDS), 0.98)
    for number, network in enumerate(networks):
        gatherer.add(number, network)
    bins = gatherer.bins()
    uncertain = entropies(bins, len(networks))
    config = build(GermConfig, None, None, **settings)
    return Germ(bins, np.ones(len(networks)), uncertain, len(WORDS), 0, config), uncertain


def test_germ_is_the_sum_over_all_utterances_where_each_is_its_own_anchor() -> None:
    draw = np.random.default_rng(1)
    networks = [said(*({int(w): 0.7, int(w) % 8 + 1: 0.3} for w in draw.integers(1, 9, 3))) for _ in range(20)]
    scorer, uncertain = germ(networks, alpha=0.5)
    likeness = np.exp(-4.0 * np.maximum(1 - scorer.vectors @ scorer.vectors.T, 0))
    merged = {tuple(np.round(vector, 5)): 0.0 for vector in scorer.vectors}
    assert len(merged) > 10
    np.testing.assert_allclose(scorer.score, 0.5 * likeness @ uncertain, rtol=1e-4)
    scorer.take(np.array([3], np.int32))
    np.testing.assert_allclose(scorer.score, 0.5 * likeness @ (uncertain * (1 - 0.5 * likeness[3])), rtol=1e-3)


def test_germ_with_few_anchors_keeps_all_the_entropy() -> None:
    networks = [said({1 + n % 8: 0.7, 1 + (n + 1) % 8: 0.3}) for n in range(30)]
    scorer, uncertain = germ(networks, anchors=5)
    assert len(scorer.left) == 5
    assert scorer.left.sum() == pytest.approx(uncertain.sum())
    assert uncertain[0] == pytest.approx(-0.7 * np.log2(0.7) - 0.3 * np.log2(0.3), rel=1e-5)
