"""Weights of a mixture by EM."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from voxkit.decode.interpolation import em, perplexity

SEEDS = st.integers(0, 2**32 - 1)


def chances(seed: int, models: int, words: int = 300) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(1e-4, 1, (models, words)) ** 3


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 5))
def test_no_other_weights_are_better(seed: int, models: int) -> None:
    table = chances(seed, models)
    found = em(table)
    assert found.weights.sum() == pytest.approx(1)
    assert (found.weights >= 0).all()
    assert found.perplexity == pytest.approx(perplexity(found.weights @ table))
    others = np.random.default_rng(seed).dirichlet(np.ones(models), 50)
    assert all(found.perplexity <= perplexity(other @ table) + 1e-6 for other in [*others, *np.eye(models)])


def test_agrees_with_a_general_optimiser() -> None:
    table = chances(3, 4)

    def loss(values: NDArray[np.float64]) -> float:
        weights = np.exp(values - values.max())
        return -float(np.log(weights / weights.sum() @ table).mean())

    best = minimize(loss, np.zeros(4), tol=1e-12)
    weights = np.exp(best.x - best.x.max())
    assert em(table, 1e-12).weights == pytest.approx(weights / weights.sum(), abs=1e-3)
    assert np.log(em(table).perplexity) == pytest.approx(best.fun, abs=1e-6)


def test_the_likelihood_never_falls() -> None:
    table = chances(5, 3)
    rises = [np.log(em(table, least).perplexity) for least in (1e3, 10, 1, 0.1, 1e-2, 1e-4, 1e-6)]
    assert rises == sorted(rises, reverse=True)
    assert rises[-1] < rises[0]


def test_a_known_mixture_is_found() -> None:
    random = np.random.default_rng(1)
    models = random.dirichlet(np.full(20, 0.3), 3)
    wanted = np.array([0.6, 0.3, 0.1])
    words = random.choice(20, 200_000, p=wanted @ models)
    found = em(models[:, words])
    assert found.weights == pytest.approx(wanted, abs=0.02)


def test_a_model_that_lacks_words_and_one_that_is_useless() -> None:
    found = em(np.array([[0.5, 0.0, 0.5], [0.1, 0.1, 0.1], [1e-9, 1e-9, 1e-9]]))
    assert found.weights[2] < 1e-6
    assert found.weights[1] > 0.1
    with pytest.raises(ValueError, match="every word"):
        em(np.array([[0.5, 0.0]]))
    with pytest.raises(ValueError, match="every word"):
        em(np.zeros((2, 0)))
