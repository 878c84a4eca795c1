"""What is done before and after an exported classifier of sounds, told so that others can do it without voxkit.

Each part has values for programs and a text for people. The arithmetic is that of `voxkit.data.frontend` (features),
`voxkit.data.clip_augment` (windows of clips), `voxkit.decode.events` (events) and `voxkit.decode.stream` (a stream).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from voxkit.config import to_dict
from voxkit.data.clip_config import ClipConfig
from voxkit.data.detect_config import DetectConfig
from voxkit.data.feature_config import FeatureConfig
from voxkit.data.frontend import EPSILON, OFFSET

WINDOWS = {
    "povey": "(0.5 - 0.5 cos(2 pi n / (W - 1)))^0.85",
    "hann": "0.5 - 0.5 cos(2 pi n / (W - 1))",
    "hamming": "0.54 - 0.46 cos(2 pi n / (W - 1))",
    "rectangular": "1",
}


def features(config: FeatureConfig, length: int) -> tuple[dict[str, Any], str]:
    """How the features of a window of `length` samples are computed: values and text."""
    before = (config.window_samples - config.shift_samples) // 2
    frames = config.num_frames(length)
    values = {
        **to_dict(config),
        "channels": "mean",
        "sample_range": [-1.0, 1.0],
        "window_samples": config.window_samples,
        "shift_samples": config.shift_samples,
        "frames": frames,
        "dim": config.dim,
        "snip_edges": False,
        "edges": "mirrored, the outermost sample too",
        "samples_before": before,
        "samples_after": max(0, (frames - 1) * config.shift_samples + config.window_samples - before - length),
        "remove_dc": True,
        "window_formula": WINDOWS[config.window],
        "fft_size": config.fft_size,
        "spectrum": "power",
        "log": "natural",
        "normalisation": "in the graph",
    }
    steps = [_frames(config, values), _spectrum(config)]
    if config.kind == "log_stft":
        values["offset"] = OFFSET
        steps.append(f"The features are ln(P[k] + {OFFSET:g}), k = 0 to N / 2.")
    else:
        low, high = (1127 * math.log1p(edge / 700) for edge in (config.low_freq, config.top_freq))
        edges = np.linspace(low, high, config.num_mels + 2)
        values |= {
            "mel_formula": "1127 ln(1 + f / 700)",
            "top_freq": config.top_freq,
            "mel_edges": [round(float(edge), 6) for edge in edges],
            "floor": EPSILON,
        }
        steps.append(_mel(config))
    if config.kind == "mfcc":
        steps.append(_cepstra(config))
    steps.append(
        "These go into the graph as they are, float32 (clips, frames, features): it subtracts the mean and divides by "
        "the deviation itself."
    )
    return values, " ".join(steps)


def _frames(config: FeatureConfig, values: Mapping[str, Any]) -> str:
    size, shift = config.window_samples, config.shift_samples
    told = (
        f"Samples are mono (of several channels the mean), at {config.sampling_rate} Hz, floats in -1 to 1 (16-bit "
        f"integers over 32768); sound at another rate is resampled without aliasing. Frames are {size} samples long "
        f"and begin every {shift} samples. The window of sound is mirrored at both ends so that {values['frames']} of "
        f"them fit: {values['samples_before']} samples before it and {values['samples_after']} after it, the outermost "
        f"sample repeated (numpy.pad with mode='symmetric'); the first frame begins with the first of those. "
    )
    if config.dither:
        told += f"Before that, white Gaussian noise with a deviation of {config.dither:g} is added to the samples. "
    told += "Of each frame x[0 .. W-1] its mean is subtracted. "
    if config.preemphasis:
        c = f"{config.preemphasis:g}"
        told += f"Then pre-emphasis: y[n] = x[n] - {c} x[n-1], and y[0] = x[0] - {c} x[0]. "
    return told + f"It is multiplied by the window w[n] = {WINDOWS[config.window]}, n = 0 to W - 1, W = {size}."


def _spectrum(config: FeatureConfig) -> str:
    return (
        f"Zeros are appended up to N = {config.fft_size} samples, and P[k] = |DFT[k]|^2, k = 0 to N / 2, without any "
        "scaling."
    )


def _mel(config: FeatureConfig) -> str:
    return (
        f"With mel(f) = 1127 ln(1 + f / 700), the {config.num_mels + 2} edges e[0 ..] are equally spaced in mel from "
        f"mel({config.low_freq:g} Hz) to mel({config.top_freq:g} Hz): mel_edges. Channel m weighs bin k, which is at "
        f"z = mel(k {config.sampling_rate} / N), by max(0, min((z - e[m]) / (e[m+1] - e[m]), (e[m+2] - z) / (e[m+2] - "
        f"e[m+1]))); the bin k = N / 2 has no weight. Its energy is the weighted sum of P, at least {EPSILON:.8g}, and "
        f"the natural logarithm of that is taken."
    )


def _cepstra(config: FeatureConfig) -> str:
    told = (
        f"Of the M = {config.num_mels} logarithms the first {config.num_ceps} coefficients of the orthonormal DCT-II "
        "are taken: c[k] = a sum_m log[m] cos(pi k (m + 1/2) / M), a = sqrt(2 / M), for k = 0 sqrt(1 / M)"
    )
    if config.cepstral_lifter > 0:
        lifter = f"{config.cepstral_lifter:g}"
        told += f"; c[k] is multiplied by 1 + {lifter} / 2 sin(pi k / {lifter})"
    return told + "."


def clips(config: ClipConfig, length: int, head: str) -> tuple[dict[str, Any], str]:
    """How a clip becomes windows of `length` samples and their scores one score: values and text."""
    hop = max(1, round(length * config.hop))
    if config.fill == "repeat":
        filled = "is repeated from its beginning until it is that long"
    elif config.place == "centre":
        filled = "is put into the middle of zeros: floor((L - n) / 2) before it, the rest after it"
    else:
        filled = "is followed by zeros"
    told = (
        f"The graph hears windows of L = {length} samples. A clip of n < L samples {filled}. A longer one is heard in "
        f"windows that begin at the samples 0, {hop}, {2 * hop} ... as long as that is below n - L, and at n - L; its "
        "posteriors are the means over its windows of their posteriors, not of logits."
    )
    if head == "single":
        told += (
            " Posteriors of a window are a softmax: the classes exclude each other, and the highest one is the answer."
        )
    else:
        told += (
            " Posteriors of a window are a sigmoid of each logit: a class is there if its own reaches its threshold, "
            "so a clip may have several classes or none."
        )
    return {**to_dict(config), "hop_samples": hop, "average": "posteriors"}, told


def detection(
    config: DetectConfig, length: int, rate: int, head: str, thresholds: Mapping[str, float] | None
) -> tuple[dict[str, Any], str]:
    """How events in long recordings, and in a stream, are found with these settings: values and text."""
    step = max(1, round(config.hop * rate))
    hop, half = step / rate, length // 2
    around = round(config.smoothing / hop) // 2
    last = max(round(config.smoothing / hop), 1)
    values = {
        **to_dict(config),
        "thresholds": {**(thresholds or {}), **config.thresholds},
        "hop_samples": step,
        "samples_before": half,
        "samples_after": half,
        "smoothing_windows": 2 * around + 1,
        "stream_smoothing_windows": last,
    }
    alone = (
        " In a window only the class with the highest smoothed posterior can have an event." if head == "single" else ""
    )
    told = (
        f"These are the defaults of apply. Events in a recording: {half} zeros go before it and after it, and windows "
        f"of {length} samples begin every {step} samples, as many as fit; so window i is centred on i times the hop, "
        f"{hop:g} s. Each posterior is smoothed: the {config.smooth} of it, the {around} before it and the {around} "
        f"after it, of those that there are.{alone} A class has an event where its own is, window after window, at "
        f"least {config.low:g} times its threshold, and reaches the threshold in one of them; the threshold is that in "
        f"thresholds, else {config.threshold:g}. Classes that are named as background have no events. An event lasts "
        f"from half a hop before the centre of its first window to half a hop after that of its last one, as far as "
        f"the recording goes. Events of a class with at most {config.min_gap:g} s between them become one, then those "
        f"shorter than {config.min_duration:g} s are dropped. The score is the highest smoothed posterior. In a "
        f"stream, {half} zeros before and after it too: each posterior is the {config.smooth} of the last {last}, of "
        f"those that there are; the highest class is reported at the end of the window if it is not background, "
        f"reaches its threshold, has been below {config.low:g} times that since it was last reported, and "
        f"{config.refractory:g} s have gone by since any was."
    )
    return values, told
