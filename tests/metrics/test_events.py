"""Scores of events against brute force and by hand."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.data.events import Detection, Event, Tally
from voxkit.errors import UserError
from voxkit.metrics.events import (
    Collars,
    EventReport,
    OperatingPoint,
    ScoredRecording,
    SpottedRecording,
    operating_point,
    pairs,
    tallies,
)

TIMES = st.integers(0, 12).map(lambda tenths: tenths / 10)
EVENTS = st.lists(
    st.builds(
        lambda label, start, length, score: Event(label, start, start + length, score),
        st.sampled_from("ab"),
        TIMES,
        st.sampled_from([0.1, 0.3, 1.0, 2.0]),
        st.sampled_from([0.3, 0.6, 0.9]),
    ),
    max_size=5,
)


def fits(reference: Event, found: Event, collars: Collars) -> bool:
    slack = (
        math.inf if collars.offset is None else max(collars.offset, collars.share * (reference.end - reference.start))
    )
    return (
        reference.label == found.label
        and abs(reference.start - found.start) <= collars.onset + 1e-6
        and abs(reference.end - found.end) <= slack + 1e-6
    )


def most_pairs(reference: list[Event], found: list[Event], collars: Collars) -> int:
    """Every way to pair each reference with one of the found events or none."""
    if not reference:
        return 0
    first, rest = reference[0], reference[1:]
    ways = [most_pairs(rest, found, collars)]
    for place, event in enumerate(found):
        if fits(first, event, collars):
            ways.append(1 + most_pairs(rest, found[:place] + found[place + 1 :], collars))
    return max(ways)


@given(EVENTS, EVENTS, st.sampled_from([Collars(), Collars(onset=0.4, offset=None), Collars(0.1, 0.1, 0.5)]))
def test_as_many_are_paired_as_can_be(reference: list[Event], found: list[Event], collars: Collars) -> None:
    matched = pairs(reference, found, collars)
    assert len(matched) == most_pairs(reference, found, collars)
    assert len({i for i, _ in matched}) == len({j for _, j in matched}) == len(matched)
    assert all(fits(reference[i], found[j], collars) for i, j in matched)
    total = sum(tallies(reference, found, collars).values(), Tally())
    assert total == Tally(len(matched), len(reference) - len(matched), len(found) - len(matched))


def test_pairing_gives_way_where_greed_would_not() -> None:
    # the first found event fits both, the second one only the first
    reference = [Event("a", 1.0, 2.0), Event("a", 1.3, 2.2)]
    found = [Event("a", 1.15, 2.1, 0.9), Event("a", 0.85, 1.9, 0.5)]
    assert pairs(reference, found) == [(0, 1), (1, 0)]


def test_the_collar_of_the_offset_grows_with_the_event() -> None:
    assert tallies([Event("a", 0, 1)], [Event("a", 0.2, 1.2)])["a"] == Tally(1, 0, 0)
    assert tallies([Event("a", 0, 1)], [Event("a", 0, 1.21)])["a"] == Tally(0, 1, 1)
    assert tallies([Event("a", 0, 10)], [Event("a", 0, 12)])["a"] == Tally(1, 0, 0)
    assert tallies([Event("a", 0, 10)], [Event("a", 0, 12.1)])["a"] == Tally(0, 1, 1)
    assert tallies([Event("a", 0, 10)], [Event("a", 0.21, 10)])["a"] == Tally(0, 1, 1)
    assert tallies([Event("a", 0, 1)], [Event("b", 0, 1)]) == {"a": Tally(0, 1, 0), "b": Tally(0, 0, 1)}


@pytest.mark.parametrize(
    ("tally", "rates"),
    [
        (Tally(2, 1, 2), (0.5, 2 / 3, 4 / 7)),
        (Tally(), (1, 1, 1)),
        (Tally(0, 3, 0), (0, 0, 0)),
        (Tally(0, 0, 3), (0, 0, 0)),
    ],
)
def test_rates_of_a_tally(tally: Tally, rates: tuple[float, float, float]) -> None:
    assert (tally.precision, tally.recall, tally.f1) == pytest.approx(rates)


def plain_segments(recording: ScoredRecording, segment: float) -> tuple[list[int], float]:
    """Hits, misses and alarms, and errors of segments, one after the other."""
    counts, errors = [0, 0, 0], 0
    for number in range(max(1, math.ceil(recording.duration / segment - 1e-6))):
        begin, end = number * segment, (number + 1) * segment
        wanted, found = (
            {e.label for e in events if e.start < end - 1e-6 and e.end > begin + 1e-6}
            for events in (recording.reference, recording.found)
        )
        missed, wrong = len(wanted - found), len(found - wanted)
        counts = [counts[0] + len(wanted & found), counts[1] + missed, counts[2] + wrong]
        errors += min(missed, wrong) + max(0, missed - wrong) + max(0, wrong - missed)
    return counts, errors


@given(st.lists(st.tuples(EVENTS, EVENTS), min_size=1, max_size=3), st.sampled_from([1.0, 0.5]))
def test_segments_are_those_of_brute_force(recordings: list[tuple[list[Event], list[Event]]], segment: float) -> None:
    scored = [ScoredRecording(str(n), 3.25, one, other) for n, (one, other) in enumerate(recordings)]
    report = EventReport(scored, ["a", "b"], segment=segment)
    parts = [plain_segments(one, segment) for one in scored]
    hits, misses, alarms = (sum(counts[column] for counts, _ in parts) for column in range(3))
    assert sum(report.segments_by_class.values(), Tally()) == Tally(hits, misses, alarms)
    assert report.segments.f1 == pytest.approx(Tally(hits, misses, alarms).f1)
    if hits + misses:
        assert report.segments.error_rate == pytest.approx(sum(errors for _, errors in parts) / (hits + misses))
    else:
        assert math.isnan(report.segments.error_rate)


def example() -> EventReport:
    return EventReport(
        [
            ScoredRecording("r", 10, [Event("a", 1, 2), Event("a", 5, 6)], [Event("a", 1.1, 2.1), Event("b", 5, 6)]),
            ScoredRecording("s", 4.5, [Event("b", 0, 4.5)], [Event("b", 0, 4)]),
        ],
        ["a", "b", "c"],
    )


def test_the_lines_of_a_report() -> None:
    assert example().lines("exp/x") == [
        "%F1 66.67 [ precision 66.67, recall 66.67, 2 of 3 events, 1 false alarms, onset within 200 ms, "
        "offset 200 ms or 20 % ] exp/x",
        "%MF1 66.67 [ mean of 2 classes ] exp/x",
        "%SEGF1 71.43 [ segments of 1 s ] exp/x",  # 5 hits, 2 misses, 2 false alarms
        "%SEGER 42.86 [ segments of 1 s ] exp/x",  # a miss and a false alarm are one substitution
    ]


def test_a_report_is_written(tmp_path: Path) -> None:
    report = example()
    report.write(tmp_path)
    saved = json.loads((tmp_path / "score.json").read_text("utf-8"))
    assert saved == report.as_dict()
    assert saved["f1"]["rate"] == pytest.approx(200 / 3)
    rows = [row.split("\t") for row in (tmp_path / "by_class.tsv").read_text("utf-8").splitlines()]
    assert rows[1][:7] == ["a", "66.67", "100.00", "50.00", "1", "1", "0"]
    assert len({len(row) for row in rows}) == 1
    empty = EventReport([ScoredRecording("r", 1, [], [])], ["a"])
    json.dumps(empty.as_dict(), allow_nan=False)
    assert empty.lines("x")[1] == "%MF1 nan [ mean of 0 classes ] x"


def test_strange_classes_and_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="does not know: b"):
        EventReport([ScoredRecording("r", 1, [Event("b", 0, 1)], [])], ["a"])
    with pytest.raises(UserError, match="no recordings"):
        EventReport([])
    with pytest.raises(UserError, match="no audio"):
        operating_point([], 0.5)


def test_a_second_report_of_a_keyword_is_a_false_alarm() -> None:
    said = [Event("yes", 1, 1.5), Event("yes", 5, 5.5), Event("no", 8, 8.5)]
    made = [("yes", 1.2, 0.9), ("yes", 1.4, 0.8), ("yes", 6.0, 0.7), ("no", 9.1, 0.6), ("no", 3.0, 0.5)]
    recording = SpottedRecording(3600, said, [Detection(*one) for one in made])
    point = operating_point([recording], 0.5)
    assert point == OperatingPoint(0.5, 1, 3, 3, 1.0)
    assert point.line("x") == "%FRR 33.33 [ at 3.00 FA/h, threshold 0.500, 1 / 3 missed, 3 false alarms in 1.00 h ] x"


def test_without_keywords_there_is_no_rate_of_misses() -> None:
    assert np.isnan(OperatingPoint(0.5, 0, 0, 0, 1.0).frr)


def test_hours_of_events_are_quick() -> None:
    starts = np.sort(np.random.default_rng(0).uniform(0, 36000, size=4000)).tolist()
    events = [Event("a", start, start + 1, 0.5) for start in starts]
    moved = [Event("a", start + 0.15, start + 1.1, 0.5) for start in starts]
    assert tallies(events, moved)["a"].hits == 4000
    assert len(list(itertools.islice(pairs(events, moved), 3))) == 3
