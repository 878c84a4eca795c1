"""Noise words come as often as they should."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from voxkit.commands.lm_nce.noise import Noise, alias_table

WEIGHTS = st.lists(st.one_of(st.just(0.0), st.floats(1e-9, 1e3)), min_size=1, max_size=60).filter(any)


@settings(max_examples=200, deadline=None)
@given(WEIGHTS)
def test_the_parts_of_a_word_in_the_table_are_its_probability(weights: list[float]) -> None:
    wanted = np.array(weights)
    keep, alias = alias_table(wanted)
    assert ((keep >= 0) & (keep <= 1)).all()
    found = keep + np.bincount(alias, weights=1 - keep, minlength=len(wanted))
    np.testing.assert_allclose(found / len(wanted), wanted / wanted.sum(), atol=1e-13, rtol=1e-9)
    assert not found[wanted == 0].any()  # not even by rounding


@pytest.mark.parametrize("alpha", [0.0, 0.75, 1.0])
def test_words_are_drawn_by_their_frequency_to_a_power(alpha: float) -> None:
    unigram = np.array([0.0, 0.5, 0.3, 0.15, 0.049, 0.001])
    noise = Noise.of(unigram, alpha)
    powers = unigram[1:] ** alpha
    np.testing.assert_allclose(noise.log_q[1:], np.log(powers / powers.sum()), rtol=1e-5)
    assert noise.log_q[0] == -math.inf
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = np.bincount(noise.draw(200_000), minlength=len(unigram))
    assert found[0] == 0
    assert chisquare(found[1:], powers / powers.sum() * found.sum()).pvalue > 1e-3


def test_what_is_drawn_follows_the_generator() -> None:
    noise = Noise.of(np.arange(1.0, 100.0), 0.75)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first, second = noise.draw(50), noise.draw(50)
        torch.manual_seed(3)
        assert torch.equal(noise.draw(50), first)
        assert not torch.equal(first, second)


def test_a_large_table_keeps_small_probabilities() -> None:
    weights = 1 / np.arange(1, 100_001) ** 1.2
    keep, alias = alias_table(weights)
    found = keep + np.bincount(alias, weights=1 - keep, minlength=len(weights))
    np.testing.assert_allclose(found, weights * len(weights) / weights.sum(), rtol=1e-6)
