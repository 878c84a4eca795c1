"""Keywords in a stream: raw PCM read as it comes, cut into windows, and posteriors turned into detections.

However the stream is cut into chunks, the windows and the detections are the same; memory does not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.data.audio import LOUDEST
from voxkit.data.detect_config import DetectConfig
from voxkit.data.events import Detection
from voxkit.decode.events import Doubles, require_known, smooth, thresholds_of
from voxkit.errors import UserError
from voxkit.progress import say

Samples = NDArray[np.float32]
Encoding = Literal["s16le", "f32le"]
HEADERS = {  # what audio files begin with: four bytes, and four more from the ninth on if they have a meaning
    (b"RIFF", b"WAVE"): "WAV",
    (b"RF64", b"WAVE"): "WAV",
    (b"FORM", b"AIFF"): "AIFF",
    (b"fLaC", b""): "FLAC",
    (b"OggS", b""): "Ogg",
}
DTYPES: dict[Encoding, np.dtype[np.generic]] = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}


def read_pcm(
    stream: BinaryIO, encoding: Encoding = "s16le", channels: int = 1, channel: int | None = 0, chunk: int = 1600
) -> Iterator[Samples]:
    """Read samples without a header from a file or a pipe until it ends.

    A read may give fewer bytes than were asked for and end inside a sample; what is left waits for the next one. What
    is left at the end is no whole frame of all channels, and is dropped with a notice.

    Args:
        encoding: little-endian 16-bit integers, or 32-bit floats of which 1 is full scale.
        channels: interleaved in the stream.
        channel: which of them is wanted, the first is 0; None is the mean of all.
        chunk: how many samples to read at once, of each channel; a live source is heard with that delay.

    Yields:
        float32 (N,), N from 1 to `chunk`.

    Raises:
        UserError: no such channel; floats that are no numbers; an audio file with its header.
    """
    if not 0 <= (channel or 0) < channels:
        raise UserError(f"channel {channel} of {channels}", fix="the first is 0; say how many the stream has")
    frame = DTYPES[encoding].itemsize * channels
    rest, done = b"", 0
    begin = b""
    while data := stream.read(chunk * frame - len(rest)):
        if len(begin) < 12:
            begin = (begin + data)[:12]
            _require_samples(begin)
        data = rest + data
        whole = len(data) // frame
        rest = data[whole * frame :]
        if whole:
            yield _decoded(data[: whole * frame], encoding, channels, channel, done)
            done += whole
    if rest:
        say(f"the stream ends inside a sample: {len(rest)} bytes after sample {done} of {frame} bytes each are dropped")


def _require_samples(begin: bytes) -> None:
    """Refuse the beginning of an audio file."""
    for (first, third), kind in HEADERS.items():
        if begin[:4] == first and begin[8:12].startswith(third):
            raise UserError(
                f"the stream begins with the header of {kind} audio, where samples without a header should be",
                fix="name the file, or pipe its samples without the header",
            )


def _decoded(data: bytes, encoding: Encoding, channels: int, channel: int | None, done: int) -> Samples:
    """(N,) of one channel, or the mean of all, from whole frames; `done` samples were before them."""
    values = np.frombuffer(data, DTYPES[encoding]).reshape(-1, channels).astype(np.float32)
    if encoding == "s16le":
        values /= 32768
    elif not (sound := np.abs(values) <= LOUDEST).all():
        row, column = np.argwhere(~sound)[0]
        what = "is not a number" if not np.isfinite(values[row, column]) else f"is {values[row, column]:.3g}"
        raise UserError(
            f"sample {done + row} of the stream {what}", fix="is it f32le from -1 to 1, with that many channels?"
        )
    return values.mean(axis=1, dtype=np.float32) if channel is None else np.ascontiguousarray(values[:, channel])


class SlidingWindow:
    """Cuts a stream of samples into windows of equal length.

    Window i holds samples [i hop, i hop + size). Less than a window and a hop of the stream is kept.

    Args:
        size, hop: length of a window, and from one to the next [samples]. A hop above the size leaves samples out.

    Raises:
        ValueError: one of them is below 1.
    """

    def __init__(self, size: int, hop: int) -> None:
        if size < 1 or hop < 1:
            raise ValueError(f"windows of {size} samples every {hop}")
        self.size, self.hop = size, hop
        self._rest: Samples = np.zeros(0, np.float32)
        self._skip = 0  # samples to come that no window holds
        self.count = 0  # windows given so far: the next one begins at sample count * hop

    def feed(self, samples: ArrayLike) -> Samples:
        """Take samples (N,), and give the windows that they complete, float32 (W, size): a view not to be written to.

        Raises:
            ValueError: more than one channel.
        """
        new = np.asarray(samples, dtype=np.float32)
        if new.ndim != 1:
            raise ValueError(f"samples of shape {new.shape} where (N,) should be")
        skipped = min(self._skip, len(new))
        self._skip -= skipped
        held = np.concatenate([self._rest, new[skipped:]])
        number = max(0, (len(held) - self.size) // self.hop + 1)
        used = number * self.hop
        self._rest = held[used:].copy()
        self._skip += max(0, used - len(held))
        self.count += number
        if not number:
            return np.zeros((0, self.size), np.float32)
        return np.lib.stride_tricks.sliding_window_view(held, self.size)[:: self.hop]


class KeywordDetector:
    """Reports each keyword of a stream once.

    Posteriors are smoothed over the last `config.smoothing` seconds, or those that there are (Chen, Parada and Heigold
    2014, Small-footprint keyword spotting using deep neural networks, equation 2). The class with the highest is
    reported when it reaches its threshold, if since its last report it has been below `low` of that, and if
    `config.refractory` seconds have passed since the last report of any class.

    Args:
        labels: C names.
        hop: from one posterior to the next [s].
        background: classes that are no keywords; while one has the highest posterior nothing is reported.
        thresholds: by class, tuned ones for example; see `thresholds_of`.

    Raises:
        UserError: thresholds or background of classes that there are not.
    """

    def __init__(
        self,
        labels: Sequence[str],
        config: DetectConfig,
        hop: float,
        *,
        background: Sequence[str] = (),
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        require_known(background, labels, "background")
        self.labels, self.config = tuple(labels), config
        self._thresholds = thresholds_of(labels, config, thresholds)
        self._is_keyword = np.array([label not in background for label in labels], dtype=bool)
        self._before = max(round(config.smoothing / hop), 1) - 1
        self.reset()

    def reset(self) -> None:
        """Forget the stream; the next posterior is the first of another."""
        self._history: Doubles = np.zeros((0, len(self.labels)))
        self._lows = np.ones(len(self.labels), dtype=np.int64)  # how often each class has been below its low threshold
        self._lows_then = np.zeros(len(self.labels), dtype=np.int64)  # the same at its last report
        self._deaf_until = -np.inf

    def feed(self, posteriors: ArrayLike, times: ArrayLike) -> list[Detection]:
        """Take posteriors (N, C) of `times` (N,) [s], which ascend, and give the detections among them.

        Raises:
            ValueError: other shapes, or posteriors that are no numbers.
        """
        block, when = np.asarray(posteriors, dtype=np.float64), np.asarray(times, dtype=np.float64)
        if block.ndim != 2 or block.shape[1] != len(self.labels) or when.shape != (len(block),):
            raise ValueError(f"posteriors {block.shape} and times {when.shape} where (N, {len(self.labels)}) belong")
        if not np.isfinite(block).all():
            raise ValueError("posteriors that are no numbers")
        joined = np.concatenate([self._history, block])
        scores = smooth(joined, self._before, 0, self.config.smooth)[len(self._history) :]
        self._history = joined[max(len(joined) - self._before, 0) :].copy()
        if not len(scores):
            return []
        lows = self._lows + np.cumsum(scores < self._thresholds * self.config.low, axis=0)
        self._lows = lows[-1]
        best = scores.argmax(axis=1)
        top = scores[np.arange(len(scores)), best]
        found: list[Detection] = []
        for row in np.flatnonzero((top >= self._thresholds[best]) & self._is_keyword[best]).tolist():
            column = int(best[row])
            if when[row] >= self._deaf_until and lows[row, column] > self._lows_then[column]:
                found.append(Detection(self.labels[column], float(when[row]), float(top[row])))
                self._lows_then[column] = lows[row, column]
                self._deaf_until = when[row] + self.config.refractory - 1e-9
        return found
