"""Features against lhotse and torchaudio; statistics against numpy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxkit.config import build
from voxkit.data.cmvn import CmvnStats
from voxkit.data.feature_config import FeatureConfig
from voxkit.data.features import Extractor
from voxkit.data.spectrum import PowerSpectrum
from voxkit.errors import UserError


def signal(num_samples: int, seed: int = 0) -> np.ndarray:
    """Coloured noise with an offset: every step of the front end has something to do."""
    white = np.random.default_rng(seed).standard_normal(num_samples + 4)
    return (0.05 + 0.1 * np.convolve(white, [1, 0.9, 0.5, 0.2, 0.1], "valid")).astype(np.float32)


def lhotse_features(config: FeatureConfig, samples: np.ndarray) -> np.ndarray:
    from lhotse.features.kaldi.extractors import (
        Fbank,
        FbankConfig,
        LogSpectrogram,
        LogSpectrogramConfig,
        Mfcc,
        MfccConfig,
    )

    shared = {
        "sampling_rate": config.sampling_rate,
        "frame_length": config.frame_length,
        "frame_shift": config.frame_shift,
        "preemph_coeff": config.preemphasis,
    }
    if config.kind == "log_stft":
        return LogSpectrogram(LogSpectrogramConfig(**shared)).extract(samples, config.sampling_rate)
    mels = {"num_filters": config.num_mels, "low_freq": config.low_freq, "high_freq": config.high_freq}
    if config.kind == "mfcc":
        mfcc = MfccConfig(**shared, **mels, num_ceps=config.num_ceps, cepstral_lifter=int(config.cepstral_lifter))
        return Mfcc(mfcc).extract(samples, config.sampling_rate)
    return Fbank(FbankConfig(**shared, **mels)).extract(samples, config.sampling_rate)


@pytest.mark.parametrize("num_samples", [400, 8000, 16079, 16080, 99_999])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"kind": "mfcc", "num_mels": 23},
        {"kind": "mfcc", "num_mels": 40, "num_ceps": 40, "cepstral_lifter": 30},
        {"kind": "log_stft"},
        {"sampling_rate": 8000, "num_mels": 40, "high_freq": 3700, "preemphasis": 0},
        {"frame_length": 0.032, "frame_shift": 0.008, "num_mels": 64, "high_freq": 0},
    ],
)
def test_equal_to_lhotse(given: dict, num_samples: int) -> None:
    config = FeatureConfig(**given)
    samples = signal(num_samples)
    ours, theirs = Extractor(config)(samples).numpy(), lhotse_features(config, samples)
    assert ours.shape == theirs.shape == (config.num_frames(num_samples), config.dim)
    if config.kind == "log_stft":  # single bins may be all but zero, where a logarithm shows rounding
        ours, theirs = np.exp(ours / 2), np.exp(theirs / 2)
    np.testing.assert_allclose(ours, theirs, atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize("window", ["povey", "hamming", "rectangular"])
def test_equal_to_kaldi_by_torchaudio(window: str) -> None:
    from torchaudio.compliance.kaldi import fbank

    samples = signal(32_000)
    theirs = fbank(
        torch.from_numpy(samples)[None],
        num_mel_bins=80,
        high_freq=-400,
        snip_edges=False,
        window_type=window,
        energy_floor=0.0,
    )
    torch.testing.assert_close(Extractor(FeatureConfig(window=window))(samples), theirs, atol=2e-3, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3000))
def test_any_length_has_as_many_frames_as_lhotse_says(num_samples: int) -> None:
    from lhotse.utils import compute_num_frames_from_samples

    extractor = Extractor(FeatureConfig())
    features = extractor(signal(num_samples))
    assert features.shape == (compute_num_frames_from_samples(num_samples, 0.01, 16000), 80)
    assert features.dtype == torch.float32
    assert torch.isfinite(features).all()


@pytest.mark.parametrize(
    ("length", "size"), [(1, 2), (3, 4), (37, 64), (200, 256), (400, 512), (1024, 1024), (1103, 2048)]
)
def test_power_spectra_are_those_of_numpy(length: int, size: int) -> None:
    frames = np.random.default_rng(0).standard_normal((length, 5))
    spectrum = PowerSpectrum(length, size)
    padded = np.zeros((spectrum.rows, 5), np.float32)
    padded[:length] = frames
    expected = np.abs(np.fft.rfft(frames, size, axis=0)) ** 2
    np.testing.assert_allclose(spectrum(padded)[spectrum.place], expected, atol=2e-6 * expected.max())


def test_blocks_and_batches_change_nothing() -> None:
    extractor = Extractor(FeatureConfig())
    long, short = signal(200_000), torch.from_numpy(signal(5000))
    features, lengths = extractor.batch([long, short], padding=-1.0)
    assert features.shape == (2, 1250, 80)
    assert lengths.tolist() == [1250, 31]
    assert torch.equal(features[1, :31], extractor(short))
    assert torch.equal(features[1, 31:], torch.full((1219, 80), -1.0))
    middle = extractor(long[160 * 100 : 160 * 200])[5:-5]  # away from the ends, where the signal is mirrored
    torch.testing.assert_close(features[0, 105:195], middle, atol=1e-4, rtol=1e-5)


def test_dither_is_noise_that_repeats() -> None:
    extractor = Extractor(FeatureConfig(dither=1e-3))
    silence = np.zeros(16000, np.float32)
    assert torch.equal(extractor(silence), extractor(silence))
    assert extractor(silence).std() > 0.1
    assert Extractor(FeatureConfig())(silence).std() < 1e-4


def test_only_mono() -> None:
    with pytest.raises(ValueError, match=r"\(2, 100\)"):
        Extractor(FeatureConfig())(np.zeros((2, 100), np.float32))


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["sampling_rate=22050"], "220.5 samples at 22050 Hz, which must be a whole number; the nearest is"),
        (["frame_length=0.005"], "shorter than frame_shift"),
        (["high_freq=9000"], "do not fit below half the sampling rate"),
        (["kind=mfcc", "num_mels=10"], "num_ceps 13 is more than num_mels 10"),
        (["kind=plp"], "kind"),
        (["num_mel=40"], "did you mean 'num_mels'"),
    ],
)
def test_settings_that_make_no_sense(sets: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(FeatureConfig, None, sets)


def test_statistics_of_speakers_and_of_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(5, 2, (length, 7)).astype(np.float32) for length in (30, 50, 20))
    parts = [CmvnStats(7), CmvnStats(7)]
    parts[0].add(a, "x/1")
    parts[0].add(b, "y")
    parts[1].add(c, "x/1")
    CmvnStats.merged(parts, 7).save(tmp_path / "cmvn.safetensors")
    stats = CmvnStats.load(tmp_path / "cmvn.safetensors")
    assert stats.keys == ["x/1", "y"]
    assert (stats.frames(), stats.frames("x/1"), stats.frames("z")) == (100, 50, 0)
    for key, frames in (("x/1", np.concatenate([a, c])), (None, np.concatenate([a, b, c]))):
        mean, std = stats.mean_std(key)
        np.testing.assert_allclose(mean, frames.mean(0), rtol=1e-5)
        np.testing.assert_allclose(std, frames.std(0), rtol=1e-4)
    normalised = stats.apply(b, "y")
    np.testing.assert_allclose(normalised.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std(0), 1, atol=1e-4)
    with pytest.raises(KeyError):
        stats.mean_std("z")
    with pytest.raises(ValueError, match="7 values"):
        CmvnStats(3).merge(stats)


def test_statistics_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="not CMVN statistics"):
        CmvnStats.load(tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="no such file"):
        CmvnStats.load(tmp_path / "y.safetensors")
