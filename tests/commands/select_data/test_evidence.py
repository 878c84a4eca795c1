"""The index beside a literal loop over all pairs of bins."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxkit.commands.select_data import evidence
from voxkit.commands.select_data.bins import Bins
from voxkit.commands.select_data.command import SimilarityConfig
from voxkit.commands.select_data.evidence import Index, Sums, uncertainty, updated
from voxkit.commands.select_data.sounds import END, Sounds

NAMES = ["<eps>", "bee", "dee", "see", "tea", "two", "too", "ten", "net"]
CEILING = 0.98


@st.composite
def pools(draw: st.DrawFn) -> tuple[Bins, NDArray[np.int32]]:
    """Some bins of a few utterances, and the speakers of these."""
    count = draw(st.integers(1, 30))
    few = st.integers(0, 3)

    def column(values: st.SearchStrategy[int]) -> NDArray[np.int32]:
        return np.array(draw(st.lists(values, min_size=count, max_size=count)), np.int32)

    label = column(st.integers(0, 5))
    rival = (label + column(st.integers(1, 5))) % 6
    share = np.array(draw(st.lists(st.floats(0, 1, width=32), min_size=count, max_size=count)), np.float32)
    utterance = column(st.integers(-2, 3))
    bins = Bins(
        utterance,
        label,
        rival,
        share,
        np.ones(count, np.float32),
        column(few),
        column(few),
        column(few).astype(np.int8),
    )
    return bins, np.array(draw(st.lists(st.integers(0, 2), min_size=6, max_size=6)), np.int32)


def all_pairs(index: Index, voices: NDArray[np.int32], weights: NDArray[np.float32], config: SimilarityConfig) -> Sums:
    """The sums, pair by pair, as the module's docstring has them."""
    bins, sounds = index.bins, Sounds(NAMES)
    same, other = np.zeros(len(bins)), np.zeros(len(bins))

    def ordered(words: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """The two words in the order of the phones in which they differ, and these."""
        first, second = (int(phone[0]) for phone in sounds.contrast(np.array(words[:1]), np.array(words[1:])))
        return ((words[1], words[0]), (second, first)) if first > second else (words, (first, second))

    def stepped(i: int) -> int:
        share = np.float32(min(max(float(bins.share[i]), 1 - CEILING), CEILING))
        odds = math.log(share / (1 - share)) * (1 if first[i] else -1)
        half = math.ceil(math.log(CEILING / (1 - CEILING)) / config.step)
        return min(max(math.floor(odds / config.step) + half, 0), 2 * half - 1)

    pairs = [sorted((int(a), int(b))) for a, b in zip(bins.label, bins.rival, strict=True)]
    known = {(a, b): ordered((a, b)) for a, b in pairs}
    pair, contrast = zip(*(known[a, b] for a, b in pairs), strict=True)
    first = [words[0] == label for words, label in zip(pair, bins.label, strict=True)]
    step = [stepped(i) for i in range(len(bins))]
    values = [bins.left, bins.right, voices[bins.utterance], bins.pace]
    shares = [config.left, config.right, config.voice, config.pace]
    for i in range(len(bins)):
        for j in range(len(bins)):
            if i == j:
                continue
            near = math.exp(-config.beta * config.step * abs(step[i] - step[j]))
            if pair[i] == pair[j]:
                common = 1 - sum(shares)
                common += sum(share * (value[i] == value[j]) for share, value in zip(shares, values, strict=True))
            elif pair.count(pair[i]) < config.rare and contrast[i] == contrast[j] != (END, END):
                common = config.back_off * (1 - sum(shares))
            else:
                continue
            (same if first[i] == first[j] else other)[i] += near * common * weights[j]
    return Sums(same.astype(np.float32), other.astype(np.float32))


@settings(max_examples=30, deadline=None)
@given(pools(), st.integers(0, 12), st.floats(0.2, 3), st.booleans(), st.integers(0, 99))
def test_the_index_adds_up_what_all_pairs_do(
    pool: tuple[Bins, NDArray[np.int32]], rare: int, beta: float, small: bool, seed: int
) -> None:
    config = SimilarityConfig(rare=rare, beta=beta)
    bins, voices = pool
    index = Index(bins, voices, Sounds(NAMES), config, CEILING)
    weights = np.random.default_rng(seed).random(len(bins), np.float32)
    whole = evidence.CHUNK
    try:
        evidence.CHUNK = 7 if small else whole  # so that a small pool has many chunks too
        found, ones = index.sums(weights, np.ones(len(bins)))
    finally:
        evidence.CHUNK = whole
    for sums, given_weights in ((found, weights), (ones, np.ones(len(bins), np.float32))):
        literal = all_pairs(index, voices, given_weights, config)
        np.testing.assert_allclose(sums.same, literal.same, atol=2e-4)
        np.testing.assert_allclose(sums.other, literal.other, atol=2e-4)


@given(st.floats(0, 1), st.floats(0.1, 50), st.floats(0, 100), st.floats(0, 100), st.floats(0, 100))
def test_support_never_lowers_the_posterior_and_contradiction_never_raises_it(
    share: float, prior: float, for_it: float, against: float, more: float
) -> None:
    def posterior(same: float, other: float) -> float:
        sums = Sums(np.array([same]), np.array([other]))
        return float(updated(np.array([share]), prior, sums)[0])

    before = posterior(for_it, against)
    assert posterior(for_it + more, against) >= before - 1e-9
    assert posterior(for_it, against + more) <= before + 1e-9
    assert 0 <= before <= 1


def test_the_update_is_that_of_the_beta_distribution() -> None:
    sums = Sums(np.array([3.0], np.float32), np.array([1.0], np.float32))
    assert float(updated(np.array([0.6], np.float32), 4.0, sums)[0]) == np.float32((4 * 0.6 + 3) / (4 + 3 + 1))


@given(st.floats(0, 1), st.floats(0, 1))
def test_uncertainty_falls_with_the_probability_of_the_label(a: float, b: float) -> None:
    low, high = sorted((a, b))
    one, two = uncertainty(np.array([low, high], np.float64)).tolist()
    assert one >= two - 1e-6
    assert 0 <= two <= one <= 2


def test_uncertainty_is_the_entropy_of_the_likelier_word() -> None:
    np.testing.assert_allclose(uncertainty(np.array([0.5, 0.75, 1.0])), [1, 0.811278, 0], atol=1e-4)
    np.testing.assert_allclose(uncertainty(np.array([0.25, 0.0])), [2 - 0.811278, 2], atol=1e-4)


def test_words_differ_in_the_first_phone_that_is_not_the_same() -> None:
    sounds = Sounds(NAMES)

    def contrast(a: str, b: str) -> tuple[int, int]:
        one, two = sounds.contrast(np.array([NAMES.index(a)]), np.array([NAMES.index(b)]))
        return int(one[0]), int(two[0])

    assert contrast("bee", "bee") == (END, END)
    assert contrast("bee", "<eps>")[1] == contrast("net", "<eps>")[1]
    assert contrast("ten", "tea") == (contrast("net", "<eps>")[0], contrast("tea", "ten")[0])  # n, a
    assert contrast("two", "too")[::-1] == contrast("too", "two")
    assert sounds.length.tolist() == [1, *(len(name) for name in NAMES[1:])]
