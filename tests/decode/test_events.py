"""Detection against a plain state machine, and onsets of classifiers that hear what they should."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lhotse import SupervisionSegment
from numpy.typing import NDArray

from voxkit.config import build
from voxkit.data.detect_config import DetectConfig
from voxkit.data.events import Detection, Event, Tally, supervisions, table
from voxkit.decode.events import Heard, detect, smooth, thresholds_of, tune
from voxkit.errors import UserError
from voxkit.metrics.events import tallies

PLAIN = DetectConfig(smoothing=0, min_duration=0, min_gap=0, low=1)
LEVELS = st.sampled_from([0.0, 0.2, 0.4, 0.45, 0.5, 0.7, 1.0])


def matrices(rows: int = 25) -> st.SearchStrategy[NDArray[np.float64]]:
    return st.lists(st.tuples(LEVELS, LEVELS, LEVELS), min_size=1, max_size=rows).map(np.array)


def plain_events(column: Sequence[float], threshold: float, low: float, gap: int, least: int) -> list[tuple[int, int]]:
    """First and last + 1 of the windows of each event: one window after the other."""
    runs: list[tuple[int, int]] = []
    begin, loud = None, False
    for place, value in enumerate([*column, -1.0]):
        if value >= low and begin is None:
            begin = place
        loud = loud or value >= threshold
        if value < low:
            if begin is not None and loud:
                if runs and begin - runs[-1][1] <= gap:
                    runs[-1] = (runs[-1][0], place)
                else:
                    runs.append((begin, place))
            begin, loud = None, False
    return [(begin, end) for begin, end in runs if edge(end) - edge(begin) >= least]


def edge(place: int) -> float:
    """Where the cell of a window begins, with a hop of 1: that of the first one is cut in half."""
    return max(place - 0.5, 0)


@given(matrices(), st.sampled_from([0.5, 0.8, 1.0]), st.integers(0, 3), st.integers(0, 3))
def test_events_are_those_of_a_state_machine(scores: NDArray[np.float64], low: float, gap: int, least: int) -> None:
    config = DetectConfig(smoothing=0, low=low, min_gap=float(gap), min_duration=float(least))
    found = detect(scores, ["a", "b", "c"], 1.0, config)
    for column, label in enumerate("abc"):
        expected = plain_events(scores[:, column].tolist(), 0.5, 0.5 * low, gap, least)
        ours = [event for event in found if event.label == label]
        assert [(event.start, event.end) for event in ours] == [(edge(begin), edge(end)) for begin, end in expected]
        for event, (begin, end) in zip(ours, expected, strict=True):
            assert event.score == scores[begin:end, column].max()
    assert found == sorted(found, key=lambda event: event.start)


@given(matrices(), st.integers(0, 4), st.integers(0, 4), st.sampled_from(["mean", "median"]))
def test_smoothing_is_that_of_the_rows_that_there_are(
    rows: NDArray[np.float64], before: int, after: int, how: str
) -> None:
    function = np.mean if how == "mean" else np.median
    expected = [function(rows[max(i - before, 0) : i + after + 1], axis=0) for i in range(len(rows))]
    np.testing.assert_allclose(smooth(rows, before, after, how), expected, atol=1e-12)  # type: ignore[arg-type]


def heard_share(onset: float, offset: float, count: int, hop: float, window: float) -> NDArray[np.float64]:
    """(W, 1) the share of each window that an event fills."""
    begin = np.arange(count) * hop - window / 2
    overlap = np.minimum(begin + window, offset) - np.maximum(begin, onset)
    return (np.clip(overlap, 0, None) / window)[:, None]


@pytest.mark.parametrize("kind", ["share", "step"])
@pytest.mark.parametrize(("hop", "window"), [(0.1, 1.0), (0.25, 1.0), (0.1, 0.5)])
def test_onsets_and_offsets_are_unbiased(kind: str, hop: float, window: float) -> None:
    config = PLAIN.model_copy(update={"smoothing": 3 * hop})
    off = []
    for onset in np.linspace(2, 2 + hop, 41)[:-1] + 1e-4:
        offset = onset + 2.317
        posteriors = heard_share(onset, offset, round(8 / hop), hop, window)
        if kind == "step":
            posteriors = (posteriors > 0.5).astype(float)
        (event,) = detect(posteriors, ["x"], hop, config)
        off.append((event.start - onset, event.end - offset))
    assert np.abs(off).max() <= hop / 2 + 1e-6
    assert np.abs(np.mean(off, axis=0)).max() < 0.04 * hop


@pytest.mark.parametrize(("onset", "offset"), [(0.3, 3.8), (0.07, 3.97), (0.45, 1.2)])
def test_times_near_the_ends_are_as_good_as_others(onset: float, offset: float) -> None:
    window, hop, duration = 1.0, 0.1, 4.0
    posteriors = heard_share(onset, offset, 1 + round(duration / hop), hop, window)
    (event,) = detect(posteriors, ["x"], hop, PLAIN, duration=duration)
    assert (event.start, event.end) == pytest.approx((onset, offset), abs=hop / 2 + 1e-6)


def test_cells_are_those_of_the_recording() -> None:
    assert detect([[1.0]], ["x"], 1.0, PLAIN, duration=0.3) == [Event("x", 0.0, 0.3, 1.0)]
    assert detect(np.ones((11, 1)), ["x"], 0.1, PLAIN, duration=1.0) == [Event("x", 0.0, 1.0, 1.0)]
    (event,) = detect(np.r_[np.zeros(10), 1.0][:, None], ["x"], 0.1, PLAIN)
    assert event == pytest.approx(("x", 0.95, 1.05, 1.0))
    assert detect(np.zeros((0, 1)), ["x"], 0.1, PLAIN, duration=3.0) == []


def test_a_wavering_posterior_is_one_event_with_a_low_threshold() -> None:
    posteriors = np.array([0, 0.7, 0.42, 0.7, 0, 0.42, 0])[:, None]
    assert len(detect(posteriors, ["x"], 1, PLAIN)) == 2
    assert detect(posteriors, ["x"], 1, PLAIN.model_copy(update={"low": 0.8})) == [Event("x", 0.5, 3.5, 0.7)]


def test_in_a_single_head_only_the_best_class_is_active_and_background_is_none() -> None:
    posteriors = np.array([[0.6, 0.4, 0.0], [0.4, 0.5, 0.1], [0.3, 0.3, 0.4], [0.45, 0.45, 0.1]])
    config, labels = DetectConfig(smoothing=0, min_duration=0, threshold=0.3), ["a", "b", "noise"]
    found = detect(posteriors, labels, 1, config, head="single", background=["noise"])
    assert [(event.label, event.start, event.end) for event in found] == [
        ("a", 0, 0.5),
        ("b", 0.5, 1.5),
        ("a", 2.5, 3.5),
    ]
    found = detect(posteriors, labels, 1, config, head="multi", background=["noise"])
    assert [(event.label, event.start, event.end) for event in found] == [("a", 0, 3.5), ("b", 0, 3.5)]


def test_thresholds_of_the_config_go_before_tuned_ones() -> None:
    config = build(DetectConfig, sets=["threshold=0.4", "thresholds.a=0.9"])
    assert thresholds_of(["a", "b", "c"], config, {"a": 0.1, "b": 0.2}).tolist() == [0.9, 0.2, 0.4]
    with pytest.raises(UserError, match="thresholds of classes that the model does not know: a"):
        thresholds_of(["b"], config)
    with pytest.raises(UserError, match=r"thresholds\.a: Input should be less than or equal to 1"):
        build(DetectConfig, sets=["thresholds.a=2"])
    with pytest.raises(UserError, match="background of classes that the model does not know: z"):
        detect(np.ones((1, 1)), ["x"], 1, PLAIN, background=["z"])


@pytest.mark.parametrize("bad", [np.ones((3, 2)), np.ones(3), np.full((3, 1), np.nan)])
def test_posteriors_of_another_shape_are_refused(bad: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="posteriors"):
        detect(bad, ["x"], 1, PLAIN)


def noisy(seed: int, levels: Sequence[float]) -> tuple[Heard, list[Event]]:
    """Events of two classes whose posteriors peak at different levels above the same noise."""
    draw = np.random.default_rng(seed)
    posteriors = draw.uniform(0, 0.1, size=(300, len(levels) + 1))
    reference = []
    for column, level in enumerate(levels):
        for begin in range(10 + 7 * column, 280, 40):
            posteriors[begin : begin + 10, column] = level
            reference.append(Event("ab"[column], begin * 0.1, begin * 0.1 + 1))
    posteriors[75:85, 1] = 0.35  # a false alarm of the louder class
    return Heard(posteriors, 30.0), reference


def test_tuning_finds_the_threshold_of_each_class() -> None:
    config = DetectConfig(smoothing=0, threshold=0.55)
    recordings, references = zip(*(noisy(seed, [0.3, 0.8]) for seed in range(3)), strict=True)
    labels = ["a", "b", "c"]
    tuned = tune(recordings, references, labels, 0.1, config, tallies)
    assert tuned["a"] == 0.2  # the middle of 0.1 (where noise still joins in) or 0.15 to 0.3
    assert 0.35 < tuned["b"] < 0.8
    assert tuned["c"] == 0.55
    assert tuned == tune(recordings, references, labels, 0.1, config, tallies)
    for heard, reference in zip(recordings, references, strict=True):
        counted = tallies(reference, detect(heard.posteriors, labels, 0.1, config, tuned))
        assert counted == {"a": Tally(7, 0, 0), "b": Tally(7, 0, 0)}


def test_of_thresholds_that_find_nothing_that_with_the_fewest_false_alarms_is_taken() -> None:
    posteriors = np.zeros((100, 1))
    posteriors[20:24] = 0.7  # nothing of the reference is there
    heard, reference = Heard(posteriors, 10.0), [Event("a", 6.0, 7.0)]
    config = DetectConfig(smoothing=0)
    tuned = tune([heard], [reference], ["a"], 0.1, config, tallies)
    assert tuned["a"] > 0.7
    assert detect(posteriors, ["a"], 0.1, config, tuned) == []


@given(st.integers(0, 1000))
def test_no_threshold_of_the_grid_is_better_than_the_tuned_one(seed: int) -> None:
    draw = np.random.default_rng(seed)
    posteriors, grid = draw.uniform(size=(60, 2)), (0.2, 0.4, 0.6, 0.8)
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    starts = draw.uniform(0, 50, size=6)
    reference = [Event("ab"[n % 2], start, start + 2) for n, start in enumerate(starts.tolist())]
    config = DetectConfig(smoothing=0, min_gap=0)

    def f1(thresholds: Mapping[str, float]) -> dict[str, float]:
        found = detect(posteriors, ["a", "b"], 1.0, config, thresholds, head="single")
        counted = tallies(reference, found)
        return {label: tally.f1 for label, tally in counted.items()}

    tuned = tune([Heard(posteriors)], [reference], ["a", "b"], 1.0, config, tallies, head="single", grid=grid)
    best = f1(tuned)
    for one in grid:
        for other in grid:
            values = f1({"a": one, "b": other})
            assert values["a"] <= best["a"] + 1e-9
            assert values["b"] <= best["b"] + 1e-9


def test_hours_are_quick() -> None:
    posteriors = np.random.default_rng(0).uniform(size=(36000, 10))
    begin = time.perf_counter()
    found = detect(posteriors, [str(n) for n in range(10)], 0.1, DetectConfig(threshold=0.8))
    assert len(found) > 1000
    assert time.perf_counter() - begin < 2


def test_a_table_is_aligned() -> None:
    events = [Event("dog", 1.25, 3.0, 0.875), Event("baby cry", 12345.5, 12346, 1)]
    assert table(events) == [
        "   start      end  label     score",
        "    1.25     3.00  dog       0.875",
        "12345.50 12346.00  baby cry  1.000",
    ]
    assert table([]) == ["  start     end  label  score"]


def test_supervisions_are_lhotses() -> None:
    (one, two) = supervisions([Event("dog", 1.25, 3.0, 0.875), Event("cat", 4, 5)], "r", channel=1, offset=10)
    segment = SupervisionSegment.from_dict(one)
    assert (segment.start, segment.duration, segment.channel, segment.text) == (11.25, 1.75, 1, "dog")
    assert segment.custom == {"class": "dog", "score": 0.875}
    assert one["id"] != two["id"]
    assert Detection("a", 1.0, 0.5).label == "a"
