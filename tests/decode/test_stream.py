"""However a stream is cut, windows and detections are the same."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxkit.data.detect_config import DetectConfig
from voxkit.data.events import Detection
from voxkit.decode.stream import KeywordDetector, SlidingWindow, read_pcm
from voxkit.errors import UserError

CUTS = st.lists(st.integers(0, 12), max_size=12)


def pieces(length: int, cuts: list[int]) -> list[slice]:
    """Slices of so many items each, and one for the rest."""
    edges = [0, *itertools.accumulate(cuts)]
    edges = [min(edge, length) for edge in edges] + [length]
    return [slice(begin, end) for begin, end in itertools.pairwise(edges)]


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 12), CUTS)
def test_windows_do_not_depend_on_the_chunks(length: int, size: int, hop: int, cuts: list[int]) -> None:
    samples = np.arange(1, length + 1, dtype=np.float32)
    cutter = SlidingWindow(size, hop)
    found: list[NDArray[np.float32]] = []
    for piece in pieces(length, cuts):
        found += list(cutter.feed(samples[piece]).copy())
        assert len(cutter._rest) < size + hop
        assert cutter.count == len(found)
    whole = (length - size) // hop + 1 if length >= size else 0
    assert len(found) == whole
    for number, window in enumerate(found):
        np.testing.assert_array_equal(window, samples[number * hop : number * hop + size])


def test_windows_of_nothing_and_stereo_are_refused() -> None:
    with pytest.raises(ValueError, match="windows of 0"):
        SlidingWindow(0, 1)
    with pytest.raises(ValueError, match="shape"):
        SlidingWindow(2, 1).feed(np.zeros((3, 2)))


class Pipe(io.RawIOBase):
    """Gives as many bytes at a read as it likes."""

    def __init__(self, data: bytes, cuts: list[int]) -> None:
        self.data, self.cuts, self.place = data, [cut for cut in cuts if cut], 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0
        number = min(self.cuts.pop(0), size) if self.cuts else size
        self.place += number
        return self.data[self.place - number : self.place]


@given(st.lists(st.integers(-32768, 32767), max_size=30), st.integers(1, 3), st.integers(1, 7), CUTS)
def test_pcm_is_read_whatever_the_pipe_gives(values: list[int], channels: int, chunk: int, cuts: list[int]) -> None:
    values = values[: len(values) // channels * channels]
    table = np.array(values, dtype="<i2").reshape(-1, channels)
    expected = table.astype(np.float32) / 32768
    for encoding, data in (("s16le", table.tobytes()), ("f32le", expected.astype("<f4").tobytes())):
        for channel in (None, channels - 1):
            pipe = Pipe(data, cuts)
            chunks = list(read_pcm(pipe, encoding, channels, channel, chunk))  # type: ignore[arg-type]
            assert all(0 < len(one) <= chunk and one.dtype == np.float32 for one in chunks)
            whole = np.concatenate([np.zeros(0, np.float32), *chunks])
            wanted = expected.mean(axis=1) if channel is None else expected[:, channel]
            np.testing.assert_allclose(whole, wanted, atol=1e-7)


def test_bytes_left_over_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    (samples,) = read_pcm(io.BytesIO(b"\x00\x40\x00\xc0\x07"))
    assert samples.tolist() == [0.5, -0.5]
    assert "1 bytes after sample 2" in capsys.readouterr().err
    list(read_pcm(io.BytesIO(b"\x00\x40")))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("chunk", [1, 5, 1600])
@pytest.mark.parametrize(
    "begin", [b"RIFF\x24\x08\x00\x00WAVEfmt ", b"fLaC\x00\x00\x00\x22", b"OggS\x00\x02", b"FORM\x00\x00\x00\x10AIFF"]
)
def test_an_audio_file_with_its_header_is_no_stream_of_samples(begin: bytes, chunk: int) -> None:
    with pytest.raises(UserError, match="name the file"):
        list(read_pcm(io.BytesIO(begin + bytes(100)), chunk=chunk))
    assert list(read_pcm(io.BytesIO(b"RIFF" + bytes(100)), chunk=chunk))  # such samples there may be


def test_what_is_no_pcm_is_refused() -> None:
    with pytest.raises(UserError, match="channel 2 of 2"):
        list(read_pcm(io.BytesIO(b""), "s16le", channels=2, channel=2))
    data = np.array([0, 1, np.nan], dtype="<f4").tobytes()
    with pytest.raises(UserError, match="sample 2 of the stream"):
        list(read_pcm(io.BytesIO(data), "f32le", chunk=2))
    data = np.array([0, 20000, 1], dtype="<f4").tobytes()
    with pytest.raises(UserError, match=r"sample 1 of the stream is 2e\+04"):
        list(read_pcm(io.BytesIO(data), "f32le", chunk=2))


LEVELS = st.sampled_from([0.0, 0.1, 0.3, 0.45, 0.5, 0.9])
CONFIGS = st.builds(
    DetectConfig,
    smoothing=st.sampled_from([0.0, 0.2, 0.5]),
    smooth=st.sampled_from(["mean", "median"]),
    refractory=st.sampled_from([0.0, 0.3, 1.0]),
    low=st.sampled_from([0.5, 1.0]),
    threshold=st.sampled_from([0.3, 0.45]),
)


def plain_detections(posteriors: NDArray[np.float64], config: DetectConfig) -> list[Detection]:
    """One posterior after the other; the last of three classes is background."""
    found: list[Detection] = []
    armed, last = [True] * 3, -np.inf
    span = max(round(config.smoothing / 0.1), 1)
    for place in range(len(posteriors)):
        near = posteriors[max(place - span + 1, 0) : place + 1]
        score = np.median(near, axis=0) if config.smooth == "median" else sum(near) / len(near)
        armed = [one or score[c] < config.threshold * config.low for c, one in enumerate(armed)]
        best = int(score.argmax())
        ready = best < 2 and armed[best] and place * 0.1 >= last + config.refractory - 1e-9
        if ready and score[best] >= config.threshold:
            found.append(Detection("abc"[best], place * 0.1, float(score[best])))
            armed[best], last = False, place * 0.1
    return found


@given(st.lists(st.tuples(LEVELS, LEVELS, LEVELS), max_size=30), CONFIGS, CUTS)
def test_detections_do_not_depend_on_the_chunks(
    rows: list[tuple[float, float, float]], config: DetectConfig, cuts: list[int]
) -> None:
    posteriors, times = np.array(rows).reshape(-1, 3), np.arange(len(rows)) * 0.1
    detector = KeywordDetector("abc", config, 0.1, background=["c"])
    whole = detector.feed(posteriors, times)
    detector.reset()
    cut = [found for piece in pieces(len(rows), cuts) for found in detector.feed(posteriors[piece], times[piece])]
    assert whole == cut
    assert whole == plain_detections(posteriors, config)


def test_a_keyword_is_reported_once_and_again_after_a_pause() -> None:
    config = DetectConfig(smoothing=0, refractory=0.3, low=0.8)
    detector = KeywordDetector(["yes", "other"], config, 0.1, background=["other"])
    course = [0.1, 0.6, 0.9, 0.45, 0.9, 0.9, 0.2, 0.8, 0.8]  # 0.45 is not low enough to begin anew
    rows = [[value, 1 - value] for value in course]
    found = detector.feed(rows, [0.1 * place for place in range(len(rows))])
    assert [one.time for one in found] == pytest.approx([0.1, 0.7])
    assert found[0] == Detection("yes", 0.1, 0.6)


def test_within_the_refractory_time_nothing_is_reported() -> None:
    detector = KeywordDetector(["a", "b"], DetectConfig(smoothing=0, refractory=0.3), 0.1)
    course = [[1, 0], [0, 1], [0, 0], [0, 0.9], [0, 0.9]]
    assert [one.time for one in detector.feed(course, range(5))] == [0, 1, 3]
    detector.reset()
    found = detector.feed(course, [0.1 * place for place in range(5)])
    assert [(one.label, one.time) for one in found] == [("a", 0), ("b", pytest.approx(0.3))]


def test_bad_posteriors_and_names_are_refused() -> None:
    detector = KeywordDetector(["a", "b"], DetectConfig(), 0.1)
    with pytest.raises(ValueError, match="belong"):
        detector.feed([[0.1]], [0])
    with pytest.raises(ValueError, match="no numbers"):
        detector.feed([[0.1, np.inf]], [0])
    with pytest.raises(UserError, match="background of classes"):
        KeywordDetector(["a"], DetectConfig(), 0.1, background=["z"])
    with pytest.raises(UserError, match="thresholds of classes"):
        KeywordDetector(["a"], DetectConfig(), 0.1, thresholds={"z": 0.3})
