"""Pictures of recognition: they are drawn, and columns of a confusion network do not hide each other."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.metrics.plots import Column, Span, _places, spectrogram


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1), st.booleans()), min_size=1, max_size=12))
def test_columns_stand_side_by_side_where_they_belong(spans: list[tuple[float, float, bool]]) -> None:
    columns = [Column(start, start + length, [("word", 1.0, None)], between) for start, length, between in spans]
    columns.sort(key=lambda column: column.start + column.end)
    places = _places(columns, inches=2.0)
    for (centre, width), (following, other) in pairwise(places):
        assert following - centre >= (width + other) / 2
    lonely = _places(columns[:1], inches=2.0)
    assert lonely[0][0] == pytest.approx((columns[0].start + columns[0].end) / 2)


def test_a_network_is_drawn_under_the_words(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(size=16000).astype(np.float32) * 0.1
    rows = [("heard", [Span("one", 0.1, 0.4, True), Span("two", 0.5, 0.9, False)])]
    columns = [
        Column(0.1, 0.4, [("one", 0.6, True), ("won", 0.36, False), ("", 0.04, False)]),
        Column(0.42, 0.43, [("", 0.95, False), ("a", 0.05, True)], between=True),
        Column(0.5, 0.9, [(word, 0.05, None) for word in "abcdefghijklmnopqrst"]),
    ]
    spectrogram(samples, 16000, rows, "utt", tmp_path / "plain.png")
    spectrogram(samples, 16000, rows, "utt", tmp_path / "network.png", columns)
    from matplotlib.image import imread

    heights = [len(imread(tmp_path / name)) for name in ("plain.png", "network.png")]
    assert heights[1] > heights[0] + 150
