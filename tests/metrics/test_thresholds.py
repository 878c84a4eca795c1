"""Tuned thresholds against every threshold that there is."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from voxkit.metrics.thresholds import tune_thresholds

LEVELS = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1))
CLIPS = st.lists(st.tuples(LEVELS, st.booleans()), min_size=2, max_size=25).filter(
    lambda clips: 0 < sum(held for _, held in clips) < len(clips)
)


@given(CLIPS)
def test_no_threshold_has_a_higher_f1(clips: list[tuple[float, bool]]) -> None:
    scores, held = map(np.array, zip(*clips, strict=True))
    (found,) = tune_thresholds(held[:, None], scores[:, None])
    best = max(f1_score(held, scores >= level) for level in scores)
    assert f1_score(held, scores >= found) == pytest.approx(best)
    assert 0 <= found <= 1


@given(CLIPS)
def test_no_threshold_has_rates_nearer_to_each_other(clips: list[tuple[float, bool]]) -> None:
    scores, held = map(np.array, zip(*clips, strict=True))

    def gap(threshold: float) -> float:
        said = scores >= threshold
        return abs(float((~said[held]).mean()) - float(said[~held].mean()))

    (found,) = tune_thresholds(held[:, None], scores[:, None], "eer")
    assert gap(found) == pytest.approx(min(gap(level) for level in scores))


@pytest.mark.parametrize("goal", ["f1", "eer"])
def test_the_middle_of_what_is_as_good(goal: str) -> None:
    held = np.array([[True, False, True], [True, False, True], [False, False, True], [False, False, True]])
    scores = np.array([[0.9, 0.1, 0.8], [0.6, 0.2, 0.4], [0.2, 0.3, 0.4], [0.1, 0.4, 0.9]])
    found = tune_thresholds(held, scores, goal)  # type: ignore[arg-type]
    assert found[:2] == pytest.approx([0.4, 0.5])
    assert found[2] == pytest.approx(0.2 if goal == "f1" else 0.5)


def test_of_equally_good_plateaus_the_widest() -> None:
    held = np.array([True, False, True, False])
    high = tune_thresholds(held[:, None], np.array([[0.9], [0.2], [0.15], [0.1]]))
    # accepting one or three of them gives 2/3 and 4/5, so that only the lower plateau is best
    assert high == pytest.approx([0.125])
    held = np.array([True, False, False, True])
    # F1 is 2/3 for the first alone and for all four
    assert tune_thresholds(held[:, None], np.array([[0.9], [0.2], [0.15], [0.1]])) == pytest.approx([0.55])
    assert tune_thresholds(held[:, None], np.array([[0.9], [0.8], [0.75], [0.7]])) == pytest.approx([0.35])


def test_neighbouring_numbers_are_told_apart() -> None:
    low = 0.5
    high = math.nextafter(low, 1)
    assert tune_thresholds([[True], [False]], [[high], [low]]).tolist() == [high]


def test_what_cannot_be_tuned() -> None:
    with pytest.raises(ValueError, match=r"\(N, C\) twice"):
        tune_thresholds([True], [0.5])
    with pytest.raises(ValueError, match="lie in"):
        tune_thresholds([[True]], [[1.5]])
