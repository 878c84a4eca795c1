"""Paired tests against scipy's binomial test, by hand and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest

from voxkit.metrics.mcnemar import mcnemar, mcnemar_pooled

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@given(PAIRS)
def test_p_is_that_of_the_binomial_test(pairs: list[tuple[bool, bool]]) -> None:
    first, second = zip(*pairs, strict=True)
    only_a, only_b, p = mcnemar(first, second)
    assert only_a == sum(a and not b for a, b in pairs)
    assert only_b == sum(b and not a for a, b in pairs)
    assert p == pytest.approx(binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1)
    assert mcnemar(second, first) == (only_b, only_a, p)


def test_thousands_of_clips() -> None:
    first = np.arange(9000) < 4300
    assert mcnemar(first, ~first).p == pytest.approx(binomtest(4300, 9000).pvalue)
    assert str(mcnemar([True], [False])) == "only the first right 1, only the second 0, McNemar p = 1"


def runs(seed: int, share: float, better: float = 0.0) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two systems with three seeds on 300 clips; a `share` of clips is as hard for every seed of a system."""
    draw = np.random.default_rng(seed)
    shared = np.repeat(draw.random((2, 1, 300)), 3, axis=1)
    luck = np.where(draw.random((2, 3, 300)) < share, shared, draw.random((2, 3, 300)))
    return luck[0] < 0.8, luck[1] < 0.8 + better


def test_pooling_by_hand() -> None:
    first = np.array([[True, True, False, False], [True, False, False, False]])
    found = mcnemar_pooled(first, np.ones((2, 4), dtype=bool))
    assert found.test == (0, 5, 0.0625)
    assert (found.accuracy_a, found.accuracy_b, found.difference) == (37.5, 100, 62.5)
    assert found.low < 62.5 < found.high <= 100
    assert str(found).startswith("37.50 to 100.00: +62.50 points (")


def test_a_system_does_not_differ_from_itself() -> None:
    first, _ = runs(0, 0.5)
    found = mcnemar_pooled(first, first, draw_seeds=False, replications=200)
    assert found[1:] == (found.accuracy_a, found.accuracy_a, 0, 0, 0, 1)
    assert found.test == (0, 0, 1)
    assert mcnemar_pooled(first, first, replications=200).p > 0.8


def test_clips_that_are_hard_for_every_seed_are_not_counted_thrice() -> None:
    pooled_wrong = clip_wrong = both_wrong = 0
    for seed in range(60):
        first, second = runs(seed, 1.0)
        fixed = mcnemar_pooled(first, second, draw_seeds=False, replications=400)
        pooled_wrong += fixed.test.p < 0.05
        clip_wrong += fixed.p < 0.05
        both_wrong += mcnemar_pooled(first, second, replications=400).p < 0.05
    assert pooled_wrong >= 10  # of 60, where 3 are expected of a test that holds its level
    assert clip_wrong <= 8
    assert both_wrong <= 8


def test_a_difference_is_found() -> None:
    first, second = runs(5, 0.5, better=0.15)
    for draw_seeds in (True, False):
        found = mcnemar_pooled(first, second, draw_seeds, replications=1000)
        assert found.low > 0
        assert found.p < 0.01
    assert mcnemar_pooled(first, second, seed=3) == mcnemar_pooled(first, second, seed=3)


def test_draws_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = runs(1, 0.5)
    whole = mcnemar_pooled(first, second, replications=2000)
    monkeypatch.setattr("voxkit.metrics.mcnemar._AT_ONCE", 900)
    parts = mcnemar_pooled(first, second, replications=2000)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.6)


def test_other_clips_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="shapes"):
        mcnemar([True], [True, False])
    with pytest.raises(ValueError, match="shapes"):
        mcnemar_pooled([[True, False]], [[True]])
    with pytest.raises(ValueError, match="shapes"):
        mcnemar_pooled(np.zeros((0, 3)), np.zeros((0, 3)))
