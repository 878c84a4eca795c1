"""What `export` tells of features, clips and events is enough to do without voxkit what voxkit does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.commands.audio_event import made_model
from tests.decode import tones
from voxkit.commands.audio_event.command import export
from voxkit.data.clip_config import ClipConfig
from voxkit.data.detect_config import DetectConfig
from voxkit.data.feature_config import FeatureConfig
from voxkit.data.frontend import FrontEnd
from voxkit.decode import deployment
from voxkit.decode.classifier import Classifier
from voxkit.decode.detecting import Detector

Array = NDArray[np.float64]
SHAPES = {"hann": (0.5, 0.5, 1.0), "povey": (0.5, 0.5, 0.85), "hamming": (0.54, 0.46, 1.0), "rectangular": (1, 0, 1.0)}


def features(told: dict[str, Any], window: Array) -> Array:
    """(T, F) of a window of sound, in numpy alone from the values of `features`."""
    width, shift, size = told["window_samples"], told["shift_samples"], told["fft_size"]
    signal = np.pad(window, (told["samples_before"], told["samples_after"]), mode="symmetric")
    frames = np.stack([signal[t * shift : t * shift + width] for t in range(told["frames"])])
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    offset, swing, power = SHAPES[told["window"]]
    shape = (offset - swing * np.cos(2 * np.pi * np.arange(width) / (width - 1))) ** power
    spectrum = np.abs(np.fft.rfft((frames - told["preemphasis"] * before) * shape, size)) ** 2
    if told["kind"] == "log_stft":
        return np.log(spectrum + told["offset"])
    edges = np.array(told["mel_edges"])
    places = 1127 * np.log(1 + np.arange(size // 2 + 1) * told["sampling_rate"] / size / 700)[:, None]
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0, np.minimum(rising, falling))
    bank[-1] = 0
    logs = np.log(np.maximum(spectrum @ bank, told["floor"]))
    if told["kind"] == "fbank":
        return logs
    channels, orders = told["num_mels"], np.arange(told["num_ceps"])
    cosines = np.cos(np.pi * orders * (np.arange(channels)[:, None] + 0.5) / channels)
    scales = np.where(orders == 0, np.sqrt(1 / channels), np.sqrt(2 / channels))
    lifter = told["cepstral_lifter"]
    return logs @ cosines * scales * (1 + lifter / 2 * np.sin(np.pi * orders / lifter))


def windows(told: dict[str, Any], sound: Array) -> list[Array]:
    """Those that a clip is heard in, from the values of `window` and `clip`."""
    length, missing = told["window"]["samples"], told["window"]["samples"] - len(sound)
    if missing >= 0:
        assert (told["clip"]["fill"], told["clip"]["place"]) == ("silence", "centre")
        return [np.pad(sound, (missing // 2, missing - missing // 2))]
    return [sound[n : n + length] for n in [*range(0, -missing, told["clip"]["hop_samples"]), -missing]]


def events(told: dict[str, Any], posteriors: Array, seconds: float) -> list[tuple[str, float, float, float]]:
    """Label, start, end and score, from the values of `detection`."""
    how, found = told["detection"], []
    hop, around = how["hop_samples"] / told["window"]["sampling_rate"], how["smoothing_windows"] // 2
    scores = np.stack([posteriors[max(0, n - around) : n + around + 1].mean(0) for n in range(len(posteriors))])
    for column, label in enumerate(told["classes"]):
        line = scores[:, column] * (scores.argmax(1) == column if told["head"] == "single" else 1)
        level = how["thresholds"].get(label, how["threshold"])
        runs = np.split(np.arange(len(line)), np.flatnonzero(np.diff(line >= how["low"] * level)) + 1)
        spans: list[list[float]] = []
        for run in runs:
            if line[run].max() < level:
                continue
            start, end = max(0.0, (run[0] - 0.5) * hop), min(seconds, (run[-1] + 0.5) * hop)
            if spans and start - spans[-1][1] <= how["min_gap"] + 1e-9:
                spans[-1][1:] = end, max(spans[-1][2], line[run].max())
            else:
                spans.append([start, end, line[run].max()])
        found += [(label, *span) for span in spans if span[1] - span[0] >= how["min_duration"] - 1e-9]
    return sorted(found, key=lambda event: event[1])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models of tones, `single` and `multi`."""
    folder = tmp_path_factory.mktemp("place")
    data = tones.write(folder / "tones", 4)
    made_model.make(data, folder / "single", "train.epochs=12", "features.preemphasis=0.9")
    made_model.make(data, folder / "multi", "head=multi", "train.epochs=8")
    return folder


@pytest.mark.parametrize("head", ["single", "multi"])
def test_numpy_and_the_facts_give_the_scores_and_events_of_voxkit(place: Path, tmp_path: Path, head: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    export(place / head, tmp_path / "onnx")
    told = json.loads((tmp_path / "onnx" / "model.json").read_text())
    session = runtime.InferenceSession(tmp_path / "onnx" / told["graph"]["file"], providers=["CPUExecutionProvider"])

    def posteriors(parts: list[Array]) -> Array:
        given = np.stack([features(told["features"], part) for part in parts]).astype(np.float32)
        logits = session.run([told["output"]["name"]], {told["input"]["name"]: given})[0].astype(np.float64)
        powers = np.exp(logits)
        return powers / powers.sum(1, keepdims=True) if told["head"] == "single" else powers / (1 + powers)

    classifier = Classifier.load(place / head, "audio_event")
    scene = tones.scene(("quiet", 0.5), ("low", 1.0), ("high", 1.0), ("low", 0.7), ("quiet", 0.5))
    for sound in (scene[:1001], scene[4000:8000], scene[:9001]):
        found = posteriors(windows(told, sound)).mean(0)
        np.testing.assert_allclose(found, classifier.clips([sound])[0], atol=1e-3)
    how, length = told["detection"], told["window"]["samples"]
    padded = np.pad(scene, (how["samples_before"], how["samples_after"]))
    along = posteriors([padded[n : n + length] for n in range(0, len(padded) - length + 1, how["hop_samples"])])
    detector = Detector(classifier, DetectConfig())
    wanted = detector.events(detector.heard(scene))
    assert wanted
    ours = events(told, along, len(scene) / told["window"]["sampling_rate"])
    assert [event[0] for event in ours] == [event.label for event in wanted]
    np.testing.assert_allclose(
        [event[1:] for event in ours], [(one.start, one.end, one.score) for one in wanted], atol=1e-3
    )


@pytest.mark.parametrize(
    "config",
    [
        FeatureConfig(),
        FeatureConfig(kind="mfcc", num_mels=23, window="hamming"),
        FeatureConfig(kind="log_stft", window="hann", preemphasis=0.0),
        FeatureConfig(sampling_rate=8000, frame_length=0.032, window="rectangular", high_freq=0.0, num_mels=40),
    ],
)
def test_features_of_every_kind_can_be_computed_from_the_facts(config: FeatureConfig) -> None:
    sound = np.random.default_rng(0).normal(0.01, 0.1, 5003)
    told, text = deployment.features(config, len(sound))
    found = features(told, sound)
    np.testing.assert_allclose(found, FrontEnd(config)(sound.astype(np.float32)), atol=5e-3)
    assert found.shape == (told["frames"], told["dim"])
    for part in (f"{config.sampling_rate} Hz", "-1 to 1", "symmetric", "mean is subtracted", f"N = {told['fft_size']}"):
        assert part in text
    assert ("pre-emphasis" in text) == (config.preemphasis > 0)
    assert ("mel_edges" in text) == (config.kind != "log_stft")


def test_texts_tell_what_the_settings_do() -> None:
    clip = ClipConfig(fill="repeat")
    assert "is repeated from its beginning" in deployment.clips(clip, 100, "multi")[1]
    values, told = deployment.clips(ClipConfig(place="start", hop=0.25), 100, "single")
    assert values["hop_samples"] == 25
    assert "is followed by zeros" in told
    assert "softmax" in told
    values, told = deployment.detection(DetectConfig(smoothing=0.5), 8000, 8000, "single", {"a": 0.4})
    assert values["thresholds"] == {"a": 0.4}
    assert (values["smoothing_windows"], values["stream_smoothing_windows"], values["hop_samples"]) == (5, 5, 800)
    assert "only the class with the highest" in told
