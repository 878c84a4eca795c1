"""Plans of batches: a partition within limits, decided by seed and epoch alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.data.batching import costs, plan, worst
from voxkit.errors import UserError

durations_and_limits = st.tuples(
    st.lists(st.floats(0.01, 30), min_size=1, max_size=200),
    st.floats(30, 300),
    st.one_of(st.none(), st.integers(1, 20)),
    st.integers(1, 12),
    st.booleans(),
)


@given(durations_and_limits, st.integers(0, 2**31), st.integers(0, 1000))
def test_every_cut_once_and_no_batch_beyond_its_limits(case: tuple, seed: int, epoch: int) -> None:
    durations, max_duration, max_cuts, buckets, shuffle = case
    batches = plan(durations, max_duration, max_cuts, seed, epoch, buckets, shuffle)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(durations)))
    assert max(costs(batches, durations)) <= max_duration
    assert max_cuts is None or max(map(len, batches)) <= max_cuts
    assert costs(batches, durations)[worst(batches, durations)] == max(costs(batches, durations))


@given(durations_and_limits, st.integers(0, 100), st.integers(0, 100))
def test_the_same_seed_and_epoch_give_the_same_plan(case: tuple, seed: int, epoch: int) -> None:
    durations, *rest = case
    max_duration, max_cuts, buckets, shuffle = rest
    first = plan(durations, max_duration, max_cuts, seed, epoch, buckets, shuffle)
    np.random.seed(seed + 1)  # nothing global matters
    again = plan(np.array(durations), max_duration, max_cuts, seed, epoch, buckets, shuffle)
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]


def test_epochs_differ_and_an_old_plan_stays_what_it_was() -> None:
    durations = np.random.default_rng(0).uniform(1, 20, 500)
    first, second = plan(durations, 100, seed=3, epoch=0), plan(durations, 100, seed=3, epoch=1)
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
    # Written down once: a resumed training depends on it.
    small = plan([1, 2, 3, 4, 5, 6, 7, 8], 16, seed=1, epoch=2, buckets=2)
    assert [batch.tolist() for batch in small] == [[4], [5, 6], [3, 2, 1, 0], [7]]


def test_buckets_keep_padding_small_and_order_random() -> None:
    durations = np.random.default_rng(0).gamma(4, 2, 20_000).clip(0.5, 30)
    batches = plan(durations, 200)
    assert costs(batches, durations).sum() < 1.06 * durations.sum()
    means = [durations[batch].mean() for batch in batches]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.1
    by_length = plan(durations, 200, shuffle=False)
    assert costs(by_length, durations).sum() < 1.01 * durations.sum()
    assert len(plan(durations, 200, buckets=1)) > len(batches)


def test_nothing_gives_no_batches() -> None:
    assert plan([], 10) == []


def test_what_cannot_be_planned_is_told() -> None:
    with pytest.raises(UserError, match=r"2 cuts are longer than a batch may be \(10\); the longest is 40") as caught:
        plan([1, 40, 20], 10)
    assert "40" in caught.value.fix
    with pytest.raises(UserError, match="no positive duration, the first at index 1"):
        plan([1, 0, np.nan], 10)
    with pytest.raises(UserError, match="at least one"):
        plan([1], 10, max_cuts=0)
