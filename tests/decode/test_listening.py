"""A stream of tones: what is reported, when, and that chunks do not matter."""

import io
import itertools
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decode import tones
from voxkit.data import audio
from voxkit.data.detect_config import DetectConfig
from voxkit.data.events import Detection
from voxkit.decode import listening
from voxkit.decode.classifier import Classifier, Posteriors
from voxkit.decode.classifier_apply import Request
from voxkit.decode.listening import Listener, Source, detections, only_stream, pcm
from voxkit.errors import UserError

CONFIG = DetectConfig(threshold=0.8, smoothing=0.2, refractory=0.3)
SCENE = (("quiet", 0.6), ("low", 0.6), ("quiet", 0.8), ("high", 0.5), ("quiet", 0.7), ("mid", 0.4))
STARTS = {"low": 0.6, "high": 2.0, "mid": 3.2}


def heard(cuts: list[int], config: DetectConfig = CONFIG) -> list[Detection]:
    samples = tones.scene(*SCENE)
    edges = [min(edge, len(samples)) for edge in (0, *itertools.accumulate(cuts))] + [len(samples)]
    listener = Listener(tones.classifier(), config, background=[tones.QUIET])
    return list(detections(listener, (samples[begin:end] for begin, end in itertools.pairwise(edges))))


def test_each_tone_is_reported_once_and_soon() -> None:
    found = heard([])
    assert [one.label for one in found] == list(STARTS)
    for one in found:
        assert STARTS[one.label] < one.time < STARTS[one.label] + tones.SECONDS + 0.3
        assert one.score >= 0.8
    assert found[-1].time <= 3.6  # the end of the stream, though the window reaches past it


@settings(max_examples=10)
@given(st.lists(st.integers(0, 9000), max_size=8))
def test_chunks_do_not_matter(cuts: list[int]) -> None:
    for one, other in zip(heard([]), heard(cuts), strict=True):
        assert one[:2] == other[:2]
        assert one.score == pytest.approx(other.score, rel=1e-5)


def test_what_is_at_the_very_beginning_is_heard() -> None:
    listener = Listener(tones.classifier(), CONFIG, background=[tones.QUIET])
    found = list(detections(listener, [tones.scene(("low", 0.4), ("quiet", 1.0))]))
    assert [one.label for one in found] == ["low"]
    assert found[0].time < 0.7


@pytest.mark.parametrize("samples", [1, 799, 800, 4000, 12345])
def test_a_stream_hears_what_a_recording_is_heard_as(monkeypatch: pytest.MonkeyPatch, samples: int) -> None:
    sound = tones.scene(*SCENE)[:samples]
    one = tones.classifier()
    along = one.along(sound, CONFIG.hop)
    heard: list[np.ndarray] = []
    windows = one.windows

    def noted(parts: Iterable[tones.Samples]) -> Posteriors:
        heard.append(windows(parts))
        return heard[-1]

    monkeypatch.setattr(one, "windows", noted)
    list(detections(Listener(one, CONFIG), [sound[:700], sound[700:]]))
    np.testing.assert_allclose(np.concatenate(heard), along, rtol=1e-5)


def test_an_empty_stream_gives_nothing() -> None:
    assert list(detections(Listener(tones.classifier(), CONFIG), [])) == []


def test_raw_stereo_at_another_rate_is_the_mean_resampled(capsys: pytest.CaptureFixture[str]) -> None:
    samples = tones.tone("mid", 0.5, rate=16000)
    stereo = np.stack([samples, samples], 1).astype("<f4").tobytes()
    source = Source("-", "f32le", 16000, 2)
    audio.notice_once.cache_clear()
    found = np.concatenate(list(pcm(io.BytesIO(stereo), source, 8000, 800)))
    assert abs(len(found) - 4000) <= 1
    np.testing.assert_allclose(found[200:-200], tones.tone("mid", 0.5)[200 : len(found) - 200], atol=0.03)
    told = capsys.readouterr().err
    assert "the stream has 2 channels" in told
    assert "resampling audio from 16000 Hz to 8000 Hz" in told


class Bytes(io.BytesIO):
    """Standard input that holds bytes, or that is interrupted after them."""

    def __init__(self, data: bytes, interrupted: bool = False, terminal: bool = False) -> None:
        super().__init__(data)
        self.buffer, self.interrupted, self.terminal = self, interrupted, terminal

    def isatty(self) -> bool:
        return self.terminal

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data and self.interrupted:
            raise KeyboardInterrupt
        return data


@pytest.fixture
def request_of_tones(monkeypatch: pytest.MonkeyPatch) -> Request:
    monkeypatch.setattr(Classifier, "load", lambda path, system: tones.classifier())
    return Request("spoken_term", Path("model"), (Path("-"),), detect=CONFIG, background=(tones.QUIET,))


def scene_as_pcm() -> bytes:
    return (tones.scene(*SCENE) * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("interrupted", [False, True])
def test_standard_input_ends_with_its_end_or_ctrl_c(
    request_of_tones: Request, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], interrupted: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Bytes(scene_as_pcm() + b"\0", interrupted))
    only_stream(request_of_tones, Source("-"), None)
    told = capsys.readouterr()
    labels = [line.split("\t")[1] for line in told.out.splitlines()]
    assert labels == list(STARTS)
    assert ("stopped: by Ctrl-C" in told.err) == interrupted
    assert ("1 bytes after sample" in told.err) != interrupted


def test_a_file_gives_the_same(request_of_tones: Request, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "scene.wav", tones.scene(*SCENE), tones.RATE)
    only_stream(request_of_tones, Source(str(tmp_path / "scene.wav")), None)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[1] for line in lines] == list(STARTS)
    assert [float(line.split("\t")[0]) for line in lines] == pytest.approx([one.time for one in heard([])])


def test_a_file_at_another_rate_is_heard_in_blocks(
    request_of_tones: Request, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(audio, "load")  # which takes memory for all of it
    file = tmp_path / "scene.wav"
    samples = np.concatenate([tones.tone(name, seconds, 16000) for name, seconds in SCENE])
    soundfile.write(file, np.stack([samples, samples], 1), 16000)
    only_stream(request_of_tones, Source(str(file)), None)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[1] for line in lines] == list(STARTS)
    assert [float(line.split("\t")[0]) for line in lines] == pytest.approx([one.time for one in heard([])], abs=0.11)


def test_a_silent_pipe_is_told(
    request_of_tones: Request, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Bytes(b""))
    listening.run(request_of_tones, Source("-"))
    assert "the stream holds no samples" in capsys.readouterr().err


def test_terminals_and_closed_inputs_are_refused(request_of_tones: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Bytes(b"", terminal=True))
    with pytest.raises(UserError, match="is a terminal"):
        listening.run(request_of_tones, Source("-"))
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UserError, match="is closed"):
        listening.run(request_of_tones, Source("-"))


def test_what_does_not_go_with_a_stream_is_refused(request_of_tones: Request, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not go with --out"):
        only_stream(request_of_tones, Source("-"), tmp_path)
    with pytest.raises(UserError, match="--encoding mp3"):
        only_stream(request_of_tones, Source("-", "mp3"), None)
    many = Request("spoken_term", Path("model"), (Path("a"), Path("b")))
    with pytest.raises(UserError, match="listens to one file, not 2"):
        only_stream(many, Source("a"), None)
