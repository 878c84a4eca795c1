"""However a stream is cut, it is resampled as the whole is."""

import itertools
import math
import time
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchaudio import functional

from voxkit.data.audio import Samples, resample
from voxkit.data.resampling import StreamResampler
from voxkit.data.sinc import Interpolator

RATES = [(16000, 8000), (8000, 16000), (44100, 16000), (16000, 16000), (22050, 8000), (11025, 16000)]


def both_ways(rates: tuple[int, int], length: int, cuts: list[int]) -> tuple[Samples, Samples]:
    """Noise (length,), resampled in pieces of these lengths and what is left, and all at once."""
    samples = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    edges = [min(edge, length) for edge in (0, *itertools.accumulate(cuts))] + [length]
    stream = StreamResampler(*rates)
    parts = [stream.feed(samples[begin:end]) for begin, end in itertools.pairwise(edges)]
    return np.concatenate([*parts, stream.finish()]), resample(samples, *rates)


@settings(max_examples=30)
@given(st.sampled_from(RATES), st.integers(1, 4000), st.lists(st.integers(0, 900), max_size=8))
def test_pieces_give_what_the_whole_gives(rates: tuple[int, int], length: int, cuts: list[int]) -> None:
    in_pieces, whole = both_ways(rates, length, cuts)
    np.testing.assert_allclose(in_pieces, whole, atol=2e-5)


@pytest.mark.parametrize("rates", RATES)
def test_little_is_held_back(rates: tuple[int, int]) -> None:
    stream = StreamResampler(*rates)
    made = sum(len(stream.feed(np.zeros(160, np.float32))) for _ in range(100))
    assert 16000 * rates[1] / rates[0] - made <= 0.06 * rates[1]


def test_nothing_gives_nothing() -> None:
    assert len(StreamResampler(44100, 16000).finish()) == 0
    assert len(StreamResampler(7999, 16000).finish()) == 0


ODD = [(7999, 16000), (16000, 7999), (44101, 16000), (192001, 16000)]  # no large factor in common


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(ODD), st.integers(1, 4000), st.lists(st.integers(0, 900), max_size=8))
def test_pieces_at_any_rate_are_the_whole_to_the_bit(rates: tuple[int, int], length: int, cuts: list[int]) -> None:
    np.testing.assert_array_equal(*both_ways(rates, length, cuts))


@pytest.mark.parametrize("rates", ODD)
def test_any_rate_is_quick_and_takes_little_memory(rates: tuple[int, int]) -> None:
    stream, chunk = StreamResampler(*rates), np.zeros(rates[0] // 10, np.float32)
    tracemalloc.start()
    begin = time.process_time()
    made = sum(len(stream.feed(chunk)) for _ in range(50)) + len(stream.finish())
    took = time.process_time() - begin
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made == math.ceil(50 * len(chunk) * rates[1] / rates[0])
    assert took < 5  # for 5 s; it takes a tenth of that
    assert peak < 2e7


@pytest.mark.parametrize("rates", [(16000, 8000), (8000, 16000), (44100, 16000), (11025, 16000), (48000, 44100)])
def test_the_kernel_is_torchaudios(rates: tuple[int, int]) -> None:
    samples = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    exact = functional.resample(torch.from_numpy(samples).double(), *rates).numpy()
    np.testing.assert_allclose(Interpolator(*rates).whole(samples), exact, atol=1e-6)


@pytest.mark.parametrize("rates", [(7999, 16000), (44101, 16000)])
def test_a_tone_stays_a_tone_at_any_rate(rates: tuple[int, int]) -> None:
    before, after = (np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate) for rate in rates)
    made = resample(before.astype(np.float32), *rates)
    np.testing.assert_allclose(made[500:-500], after[500:-500], atol=1e-2)
