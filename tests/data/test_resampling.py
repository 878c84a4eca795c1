"""However a stream is cut, it is resampled as the whole is."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxkit.data.audio import resample
from voxkit.data.resampling import StreamResampler

RATES = [(16000, 8000), (8000, 16000), (44100, 16000), (16000, 16000), (22050, 8000), (11025, 16000)]


@settings(max_examples=30)
@given(st.sampled_from(RATES), st.integers(1, 4000), st.lists(st.integers(0, 900), max_size=8))
def test_pieces_give_what_the_whole_gives(rates: tuple[int, int], length: int, cuts: list[int]) -> None:
    samples = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    edges = [min(edge, length) for edge in (0, *itertools.accumulate(cuts))] + [length]
    stream = StreamResampler(*rates)
    parts = [stream.feed(samples[begin:end]) for begin, end in itertools.pairwise(edges)]
    found = np.concatenate([*parts, stream.finish()])
    np.testing.assert_allclose(found, resample(samples, *rates), atol=2e-5)


@pytest.mark.parametrize("rates", RATES)
def test_little_is_held_back(rates: tuple[int, int]) -> None:
    stream = StreamResampler(*rates)
    made = sum(len(stream.feed(np.zeros(160, np.float32))) for _ in range(100))
    assert 16000 * rates[1] / rates[0] - made <= 0.06 * rates[1]


def test_nothing_gives_nothing() -> None:
    assert len(StreamResampler(44100, 16000).finish()) == 0
