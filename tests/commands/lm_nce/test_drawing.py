"""Which sentences an epoch has."""

import subprocess
import sys
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from voxkit.commands.lm_nce.drawing import BLOCK, BUFFER, Order, Permutation, drawn

SIZES = st.one_of(st.integers(1, 3000), st.integers(BUFFER - 3, BUFFER + 2 * BLOCK))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5000), st.integers(0, 2**63 - 1))
def test_a_permutation_has_every_number_once(size: int, seed: int) -> None:
    numbers, mixed = np.arange(size), Permutation(size, seed)
    found = mixed(numbers)
    assert np.array_equal(np.sort(found), numbers)
    assert np.array_equal(mixed.inverse(found), numbers)
    assert np.array_equal(mixed(numbers[:1]), found[:1])  # whatever else is asked for


def test_permutations_of_large_and_of_equal_numbers() -> None:
    mixed = Permutation(10**12, 5)
    some = np.array([0, 1, 10**12 - 1])
    assert len(set(mixed(some).tolist()) - set(some.tolist())) == 3
    assert np.array_equal(mixed.inverse(mixed(some)), some)
    counts = Counter(tuple(Permutation(4, seed)(np.arange(4)).tolist()) for seed in range(2400))
    assert len(counts) == 24
    assert max(counts.values()) < 2 * 100  # all orders are about as frequent


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(0, 1000), st.integers(0, 2))
def test_every_pass_has_every_sentence_once(size: int, seed: int, turn: int) -> None:
    found = Order(size, seed).at(turn * size, size)
    assert np.array_equal(np.sort(found), np.arange(size))


@settings(max_examples=60, deadline=None)
@given(SIZES, st.data())
def test_a_part_is_part_of_the_whole(size: int, data: st.DataObject) -> None:
    order, most = Order(size, 7), 3 * size
    whole = order.at(0, most)
    first = data.draw(st.integers(0, most))
    count = data.draw(st.integers(0, most - first))
    assert np.array_equal(order.at(first, count), whole[first : first + count])


def test_passes_and_seeds_have_different_orders() -> None:
    size = BUFFER + 1000
    passes = Order(size, 0).at(0, 2 * size)
    other = Order(size, 1).at(0, size)
    for one, two in ((passes[:size], passes[size:]), (passes[:size], other), (passes[:size], np.arange(size))):
        assert (one == two).mean() < 0.01


def test_sentences_are_mixed_over_a_buffer_and_blocks_over_the_corpus() -> None:
    size = 40 * BUFFER
    found = Order(size, 0).at(0, BUFFER)
    assert len(np.unique(found // BLOCK)) == BUFFER // BLOCK  # whole blocks are read, from all over the corpus
    assert 0.4 < found.mean() / size < 0.6
    assert np.abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.05


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any),
    st.integers(1, 200),
    st.integers(0, 1000),
    st.integers(1, 12),
)
def test_corpora_have_their_shares_to_one_sentence(parts: list[int], count: int, seed: int, epochs: int) -> None:
    weights = {f"c{place}": part / sum(parts) for place, part in enumerate(parts)}
    sizes = {name: 10 + 7 * place for place, name in enumerate(weights)}
    totals: Counter[str] = Counter()
    for epoch in range(epochs):
        found = drawn(sizes, weights, count, seed, epoch)
        assert abs(sum(map(len, found.values())) - count) <= len(weights)
        totals.update({name: len(places) for name, places in found.items()})
        for name, weight in weights.items():
            assert abs(totals[name] - (epoch + 1) * count * weight) <= 1


def test_epochs_go_on_where_the_one_before_was() -> None:
    sizes, weights = {"a": 1000, "b": 50}, {"a": 0.7, "b": 0.3}
    epochs = [drawn(sizes, weights, 200, 0, epoch) for epoch in range(9)]
    for name, size in sizes.items():
        whole = np.concatenate([epoch[name] for epoch in epochs])
        for start in range(0, len(whole) - size, size):
            assert np.array_equal(np.sort(whole[start : start + size]), np.arange(size))
    again = drawn(sizes, weights, 200, 0, 4)
    assert all(np.array_equal(again[name], epochs[4][name]) for name in sizes)
    assert not np.array_equal(drawn(sizes, weights, 200, 1, 4)["a"], again["a"])


def test_memory_does_not_grow_with_the_corpus() -> None:
    code = (
        "import resource\nfrom voxkit.commands.lm_nce.drawing import drawn\n"
        "drawn({'a': 10**5}, {'a': 1.0}, 20_000, 0, 0)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "drawn({'a': 10**11}, {'a': 1.0}, 20_000, 0, 3)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 20_000  # KiB
