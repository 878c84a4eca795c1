"""The bootstrap over units and seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.metrics.resampling import relative_change, resampled


def test_all_systems_have_the_same_units() -> None:
    one = np.random.default_rng(0).integers(9, size=(1, 50, 2))
    draws = resampled([one, 3 * one, np.concatenate([one] * 4)], 200, 0)
    assert np.ptp(draws[:, 0, 0]) > 0
    assert draws[:, 1] == pytest.approx(3 * draws[:, 0])
    assert draws[:, 2] == pytest.approx(draws[:, 0])  # seeds that are alike are one


def test_seeds_are_drawn_for_each_system_by_itself() -> None:
    seeds = np.array([1.0, 2.0, 6.0])[:, None, None] * np.ones((3, 10, 1))  # units that are alike
    draws = resampled([seeds, seeds], 4000, 1)[..., 0]
    assert draws.mean(0) == pytest.approx([30, 30], rel=0.02)
    assert np.corrcoef(draws.T)[0, 1] == pytest.approx(0, abs=0.05)
    variance = np.var([10.0, 20.0, 60.0], ddof=1) / 3  # of a mean of three, as it is estimated without bias
    assert draws.var(0) == pytest.approx([variance, variance], rel=0.1)
    together = resampled([seeds, 2 * seeds], 200, 1, same_models=True)[..., 0].T
    assert together[1] == pytest.approx(2 * together[0])


@given(st.lists(st.integers(0, 9), min_size=3, max_size=30), st.integers(1, 5))
def test_the_same_change_everywhere_is_certain(counts: list[int], times: int) -> None:
    before = np.array([[*counts, 1]])
    found = relative_change(before, times * before, 50)
    assert found == pytest.approx((100 * (times - 1),) * 3)


def test_the_interval_holds_the_truth() -> None:
    """In about 95 of 100 worlds, where sentences differ and so do trainings."""
    rng, hits = np.random.default_rng(3), 0
    for _ in range(400):
        hard = rng.gamma(2.0, size=120)
        before, after = (
            rng.poisson(rate * hard * rng.lognormal(0, 0.05, size=(3, 1)), size=(3, 120)) for rate in (1.0, 0.8)
        )
        _, low, high = relative_change(before, after, 300)
        hits += low <= -20 <= high
    assert 0.92 <= hits / 400 <= 0.995


def test_without_errors_before_there_is_no_change() -> None:
    assert np.isnan(relative_change(np.zeros((1, 3)), np.ones((2, 3)), 10)).all()
