"""Confidence measures against brute force and scikit-learn."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from voxkit.metrics.calibration import BINS, MEASURES, Comparison, Interval, Judged, Measures, bin_of, lines, numbered

WORDS = st.lists(
    st.tuples(st.one_of(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.floats(0, 1)), st.booleans()),
    min_size=2,
    max_size=30,
).filter(lambda words: 0 < sum(right for _, right in words) < len(words))


def judged(words: Sequence[tuple[float, bool]]) -> Judged:
    return Judged.of([confidence for confidence, _ in words], [right for _, right in words])


def brute_eer(words: Sequence[tuple[float, bool]]) -> float:
    """Misses and false alarms counted at every threshold, and the crossing of the lines between them."""
    goods = sum(right for _, right in words)
    points = []
    for threshold in [*sorted({c for c, _ in words}), math.inf]:
        misses = sum(right and c < threshold for c, right in words) / goods
        alarms = sum(not right and c >= threshold for c, right in words) / (len(words) - goods)
        points.append((misses, alarms))
    for (m0, a0), (m1, a1) in itertools.pairwise(points):
        if m0 - a0 <= 0 <= m1 - a1 and (m0, a0) != (m1, a1):
            share = (a0 - m0) / ((m1 - a1) - (m0 - a0))
            return m0 + share * (m1 - m0)
    raise AssertionError("the lines do not cross")


def brute_nce(words: Sequence[tuple[float, bool]]) -> float:
    goods, total = sum(right for _, right in words), len(words)
    share = goods / total
    most = -goods * math.log2(share) - (total - goods) * math.log2(1 - share)
    spent = 0.0
    for confidence, right in words:
        clipped = min(max(confidence, 1e-7), 1 - 1e-7)
        spent -= math.log2(clipped) if right else math.log2(1 - clipped)
    return (most - spent) / most


def brute_ece(words: Sequence[tuple[float, bool]]) -> float:
    gap = 0.0
    for index in range(BINS):
        inside = [(c, r) for c, r in words if bin_of(np.array([c]))[0] == index]
        gap += abs(sum(c for c, _ in inside) - sum(r for _, r in inside))
    return gap / len(words)


@given(WORDS)
def test_measures_are_those_of_brute_force(words: list[tuple[float, bool]]) -> None:
    found = judged(words).measures()
    wrong = [not right for _, right in words]
    precision = average_precision_score(wrong, [1 - confidence for confidence, _ in words])
    # 1 - c may make equal what is not: compare where it does not
    if len({1 - c for c, _ in words}) == len({c for c, _ in words}):
        assert found.aucpr == pytest.approx(100 * precision)
    assert found.eer == pytest.approx(100 * brute_eer(words))
    assert found.nce == pytest.approx(100 * brute_nce(words), rel=1e-6, abs=1e-6)
    assert found.ece == pytest.approx(100 * brute_ece(words), abs=1e-9)


@given(WORDS, st.lists(st.integers(0, 3), min_size=30, max_size=30))
def test_a_draw_is_the_measure_of_the_words_drawn(words: list[tuple[float, bool]], times: list[int]) -> None:
    times = times[: len(words)]
    repeated = [word for word, count in zip(words, times, strict=True) for _ in range(count)]
    drawn = judged(words).bootstrap(np.array([times]))[0]
    if 0 < sum(right for _, right in repeated) < len(repeated):
        assert drawn == pytest.approx(judged(repeated).measures(), rel=1e-6, abs=1e-6)
    else:
        assert np.isnan(drawn[[0, 1]]).all()


def test_a_perfect_system() -> None:
    found = judged([(1.0, True), (1.0, True), (0.0, False)]).measures()
    assert found == pytest.approx((0, 100, 100, 0), abs=1e-4)


def test_a_system_that_knows_only_the_mean() -> None:
    found = judged([(0.75, True)] * 3 + [(0.75, False)]).measures()
    assert found == pytest.approx((50, 0, 25, 0))


def test_certain_and_wrong_costs_what_sclite_takes_for_it() -> None:
    found = judged([(1.0, True), (1.0, False)]).measures()
    assert found.nce == pytest.approx(100 * (2 + math.log2(1e-7)) / 2, rel=1e-5)


@pytest.mark.parametrize("right", [True, False])
def test_words_of_one_kind_have_no_error_rates(right: bool) -> None:
    found = judged([(0.8, right), (0.6, right)]).measures()
    assert math.isnan(found.eer)
    assert math.isnan(found.nce)
    assert found.ece == pytest.approx(30 if right else 70)


def test_no_words_have_no_measures() -> None:
    empty = Judged.of([], [])
    assert all(math.isnan(value) for value in Comparison({"a": empty}, replications=3)._of("a", "all")[0][:2])


def test_confidences_must_be_probabilities() -> None:
    for bad in (1.5, -0.1, math.nan):
        with pytest.raises(ValueError, match="lie in"):
            Judged.of([bad], [True])
    with pytest.raises(ValueError, match="shapes"):
        Judged.of([0.5], [True, False])


def test_reliability_and_det() -> None:
    some = judged([(0.0, False), (0.01, True), (1.0, True), (0.95, True)])
    bins = some.reliability()
    assert bins[0] == (2, pytest.approx(0.005), 0.5)
    assert bins[-1] == (2, pytest.approx(0.975), 1.0)
    assert bins[1].words == 0
    assert math.isnan(bins[1].right)
    alarms, misses = some.det()
    assert alarms.tolist() == pytest.approx([1, 0, 0, 0, 0])
    assert misses.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])


def made_up(seed: int, sharpness: float, words: int = 600) -> Judged:
    draw = np.random.default_rng(seed)
    logit = draw.normal(1, 1, words)
    right = draw.random(words) < 1 / (1 + np.exp(-2 * logit))
    confidence = 1 / (1 + np.exp(-sharpness * logit))
    return Judged.of(confidence, right, np.arange(words) // 10)


def test_systems_are_compared_on_the_same_draws() -> None:
    good = made_up(0, 2.0)
    worse = Judged(1 / (1 + np.exp(-0.3 * np.log(good.confidence / (1 - good.confidence)))), good.right, good.group)
    both = Comparison({"good": good, "worse": worse}, {"first half": np.arange(600) < 300}, replications=200)
    for name, found in both.measures("good").items():
        assert name in MEASURES
        assert found.low < found.high
        assert name == "ece" or found.low < found.value < found.high  # chance only adds to ECE
    change = both.relative("worse", "good")
    assert change["eer"] == pytest.approx((0, 0, 0))  # the order is the same
    assert change["nce"].high < 0  # the calibration is not
    assert both.relative("good", "worse")["ece"].high < 0
    half = both.measures("good", "first half")["eer"]
    assert half.high - half.low > both.measures("good")["eer"].high - both.measures("good")["eer"].low


def test_the_interval_covers_the_truth() -> None:
    truth = made_up(123, 2.0, 200_000).measures().eer
    inside = 0
    for seed in range(40):
        found = Comparison({"a": made_up(seed, 2.0)}, replications=200).measures("a")["eer"]
        inside += found.low <= truth <= found.high
    assert inside >= 33  # 95 % of 40 is 38


def test_names_are_numbered_and_lines_can_be_found_by_grep() -> None:
    assert numbered(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]
    shown = lines({"eer": Interval(8.305, 6.9, 9.871)}, "10 speakers", "exp/x")
    assert list(shown) == ["%EER 8.30 [ 6.90 to 9.87, 10 speakers ] exp/x"]
    assert Measures._fields == MEASURES
