"""`apply --stream`: a classifier that listens to samples as they come and reports what it hears at once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from voxkit.data import audio
from voxkit.data.audio import Samples, notice_once
from voxkit.data.detect_config import DetectConfig
from voxkit.data.events import Detection
from voxkit.data.resampling import StreamResampler
from voxkit.decode import classifier_apply
from voxkit.decode.classifier import TOGETHER, Classifier, Posteriors
from voxkit.decode.classifier_apply import Request
from voxkit.decode.detecting import notice_events_everywhere
from voxkit.decode.labelling import read_thresholds
from voxkit.decode.stream import DTYPES, Encoding, KeywordDetector, SlidingWindow, read_pcm
from voxkit.errors import UserError
from voxkit.progress import say

STDIN = "-"


@dataclass(frozen=True)
class Source:
    """Where sound comes from: an audio file, or `-` for samples without a header on standard input."""

    path: str
    encoding: str = "s16le"
    rate: int | None = None  # Hz; the model's if None
    channels: int = 1


class Listener:
    """Turns a stream of samples at the classifier's rate into detections.

    Window i is centred on i times the hop: half a window of silence goes before the stream and follows it, so that
    what is said at its very beginning and end is heard in the middle of a window too. A detection has the time at which
    its window ends, which is when it is reported.

    Args:
        background: classes that are not reported.
        thresholds: by class; those of `config` go before them.
    """

    def __init__(
        self,
        classifier: Classifier,
        config: DetectConfig,
        background: Sequence[str] = (),
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        self._classifier = classifier
        step = classifier.step(config.hop)
        self._sliding = SlidingWindow(classifier.length, step)
        hop = step / classifier.rate
        self._detector = KeywordDetector(classifier.classes, config, hop, background=background, thresholds=thresholds)
        self.heard = 0  # samples of the stream so far
        self._begun = False

    def feed(self, samples: Samples) -> list[Detection]:
        """Take samples (N,) and give the detections that they complete; chunks of any length give the same ones."""
        found = [] if self._begun else self._take(np.zeros(self._classifier.half, np.float32))
        self._begun = True
        self.heard += len(samples)
        return found + self._take(samples)

    def finish(self) -> list[Detection]:
        """End the stream."""
        if not self.heard:
            return []
        return self._take(np.zeros(self._classifier.half, np.float32))

    def _take(self, samples: Samples) -> list[Detection]:
        first = self._sliding.count
        windows = self._sliding.feed(samples)
        if not len(windows):
            return []
        posteriors: Posteriors = self._classifier.windows(iter(windows))
        centres = (first + np.arange(len(windows))) * self._sliding.hop
        ends = centres + self._sliding.size - self._classifier.half
        return self._detector.feed(posteriors, np.minimum(ends, self.heard) / self._classifier.rate)


def detections(listener: Listener, chunks: Iterable[Samples]) -> Iterator[Detection]:
    """What is heard in chunks of samples, as soon as it is."""
    for samples in chunks:
        yield from listener.feed(samples)
    yield from listener.finish()


def label_or_listen(request: Request, source: Source | None, out: Path | None) -> None:
    """`apply`: listen to a source, if there is one, else label what the request names."""
    if source is None:
        classifier_apply.run(request, out)
    else:
        only_stream(request, source, out)


def only_stream(request: Request, source: Source, out: Path | None) -> None:
    """`apply --stream`, with what does not go with it refused; see `run`."""
    given: dict[str, object] = {
        "--out": out,
        "--plot": request.plots,
        "--top": request.top,
        "--detect and --clips": request.detects,
    }
    given |= {"--shard": request.shard, "--merge": True if request.merged else None}
    wrong = [name for name, value in given.items() if value not in (None, ())]
    if wrong:
        raise UserError(f"--stream prints what it hears, and does not go with {wrong[0]}", fix="leave one of them out")
    if len(request.inputs) != 1:
        raise UserError(f"--stream listens to one file, not {len(request.inputs)}", fix="name one, or - for stdin")
    run(request, source)


def run(request: Request, source: Source) -> None:
    """Print `time<TAB>label<TAB>score` for each detection at once; ends with the stream or by Ctrl-C.

    Raises:
        UserError: no such model or file, a terminal for standard input, or samples that are not numbers.
    """
    if source.encoding not in DTYPES:
        raise UserError(f"--encoding {source.encoding}: unknown", fix=f"one of {', '.join(DTYPES)}")
    classifier = Classifier.load(request.model, request.system)
    tuned = None if request.thresholds is None else read_thresholds(request.thresholds, classifier.classes)
    notice_events_everywhere(classifier, request.detect, request.background, tuned or {})
    listener = Listener(classifier, request.detect, request.background, tuned)
    try:
        for label, time, score in detections(listener, _chunks(source, classifier, request.detect)):
            print(f"{time:.3f}\t{label}\t{score:.3f}", flush=True)
        if not listener.heard:
            say("notice: the stream holds no samples")
    except KeyboardInterrupt:  # how one ends listening
        say("stopped: by Ctrl-C")


def _chunks(source: Source, classifier: Classifier, config: DetectConfig) -> Iterator[Samples]:
    if source.path == STDIN:
        return pcm(_standard_input(), source, classifier.rate, classifier.step(config.hop))
    rate = audio.info(source.path).sampling_rate
    size = max(1, round(TOGETHER * config.hop * rate))
    return resampled(audio.blocks(source.path, size), rate, classifier.rate)


def pcm(stream: BinaryIO, source: Source, wanted: int, hop: int) -> Iterator[Samples]:
    """Samples of a stream at `wanted` Hz, mono, about `hop` of them at a time.

    Raises:
        UserError: floats that are not numbers.
    """
    rate = wanted if source.rate is None else source.rate
    mean = source.channels > 1
    if mean:
        notice_once(f"notice: the stream has {source.channels} channels; the mean of them is used")
    chunk = max(1, round(hop * rate / wanted))
    parts = read_pcm(stream, cast(Encoding, source.encoding), source.channels, None if mean else 0, chunk)
    return resampled(parts, rate, wanted)


def resampled(parts: Iterable[Samples], rate: int, wanted: int) -> Iterator[Samples]:
    """Samples that come in parts at `rate` Hz, at `wanted` Hz."""
    if rate == wanted:
        yield from parts
        return
    notice_once(f"notice: resampling audio from {rate} Hz to {wanted} Hz")
    resampler = StreamResampler(rate, wanted)
    for samples in parts:
        yield resampler.feed(samples)
    yield resampler.finish()


def _standard_input() -> BinaryIO:
    if sys.stdin is None or sys.stdin.closed:
        raise UserError("standard input is closed", fix="pipe samples in, or name an audio file")
    if sys.stdin.isatty():
        raise UserError(
            "standard input is a terminal, which has no sound",
            fix="pipe samples in, for example: sox recording.wav -t raw -r 16000 -e signed -b 16 -c 1 - | voxkit ...",
        )
    return sys.stdin.buffer
