"""`score --events`: what a classifier finds in recordings whose events are known, with their times."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from voxkit.config import to_dict
from voxkit.data.clips import Clip, reference_events
from voxkit.data.events import Event
from voxkit.decode import events
from voxkit.decode.classifier import TOGETHER, Classifier
from voxkit.decode.detecting import EVENTS, HEAD, REJECTED, REJECTED_AUDIO, Detector, listen, tsv
from voxkit.decode.events import Heard, thresholds_of
from voxkit.decode.examination import Examination, Known, clips_of, digests
from voxkit.decode.labelling import read_thresholds, write_thresholds
from voxkit.decode.listening import Listener, detections
from voxkit.errors import UserError
from voxkit.metrics.classify import SCORES
from voxkit.metrics.events import Collars, EventReport, ScoredRecording, SpottedRecording, operating_point, tallies
from voxkit.rundir import output, write_atomic


def run(examined: Examination, known: Known, out: Path | None) -> None:
    """Score, print the lines, and write a folder if one is named.

    Raises:
        UserError, DataError: predictions where a model is needed; recordings that are bad or have unknown classes.
    """
    if examined.is_applied or examined.by:
        what = "--by" if examined.by else "a folder of predictions"
        raise UserError(f"--events does not go with {what}", fix="give a model and recordings alone")
    if out is None:
        print("\n".join(_Scoring(examined, known, None).lines(examined.model)))
        return
    spec = {
        "events": True,
        "classes": known.classes,
        "model": known.identity,
        "test": digests(examined.test),
        "label": examined.label,
        "detect": to_dict(examined.detect),
        "background": list(examined.background),
        "thresholds": None if examined.thresholds is None else read_thresholds(examined.thresholds, known.classes),
        "tune": examined.tune,
        "collar": examined.collar,
        "max_bad": examined.max_bad,
    }
    with output(out, examined.command, spec, resumable=False) as place:
        if not place.done:
            scoring = _Scoring(examined, known, place.work)
            scoring.report.write(place.work)
            write_atomic(place.work / SCORES, "".join(f"{line}\n" for line in scoring.lines(out)))
            found = ((clip.id, some) for clip, some in zip(scoring.clips, scoring.found, strict=True))
            rows = ["\t".join(HEAD), *tsv(found, named=True)]
            write_atomic(place.work / EVENTS, "".join(f"{row}\n" for row in rows))
            if examined.tune:
                write_thresholds(dict(scoring.detector.thresholds), place.work)
    print((out / SCORES).read_text(encoding="utf-8"), end="")


class _Scoring:
    """Recordings heard, and what was found in them.

    Args:
        work: where rejected recordings are listed.
    """

    def __init__(self, examined: Examination, known: Known, work: Path | None) -> None:
        self.examined = examined
        file = {} if examined.thresholds is None else read_thresholds(examined.thresholds, known.classes)
        classifier = Classifier.load(examined.model, examined.system)
        self.detector = Detector(classifier, examined.detect, examined.background, file)
        self.clips: list[Clip] = []
        self.spotted: list[SpottedRecording] = []
        heard: list[Heard] = []
        references: list[list[Event]] = []
        clips = clips_of(examined, known, work and work / REJECTED)
        for clip, samples, one in listen(self.detector, clips, examined.max_bad, work and work / REJECTED_AUDIO):
            reference = [event for event in reference_events(clip) if event.label not in examined.background]
            self.clips.append(clip)
            heard.append(one)
            references.append(reference)
            if examined.as_stream and not examined.tune:
                self.spotted.append(self._spotted(samples, reference))
        if examined.tune:
            self.detector = self._tuned(heard, references)
        self.found = [self.detector.events(one) for one in heard]
        scored = [
            ScoredRecording(clip.id, clip.duration, *both)
            for clip, *both in zip(self.clips, references, self.found, strict=True)
        ]
        labels = [name for name in known.classes if name not in examined.background]
        collars = Collars(examined.collar, examined.collar)
        self.report = EventReport(scored, labels, collars)

    def _spotted(self, samples: Any, reference: Sequence[Event]) -> SpottedRecording:
        detector = self.detector
        classifier = detector.classifier
        listener = Listener(classifier, detector.config, detector.background, detector.thresholds)
        size = TOGETHER * classifier.step(detector.config.hop)
        chunks = (samples[begin : begin + size] for begin in range(0, len(samples), size))
        return SpottedRecording(len(samples) / classifier.rate, reference, list(detections(listener, chunks)))

    def _tuned(self, heard: Sequence[Heard], references: Sequence[Sequence[Event]]) -> Detector:
        """With the thresholds of the highest event F1; those of the config would go before them."""
        old = self.detector
        config = old.config.model_copy(update={"thresholds": {}})
        match = partial(tallies, collars=Collars(self.examined.collar, self.examined.collar))
        found = events.tune(
            heard, references, old.classifier.classes, old.hop, config, match,
            head=old.classifier.head, background=old.background,
        )  # fmt: skip
        return Detector(old.classifier, config, old.background, found)

    def lines(self, path: object) -> list[str]:
        """Of the report; for keywords what a stream of the recordings would report, too."""
        found = self.report.lines(path)
        if self.spotted:
            detector = self.detector
            least = float(thresholds_of(detector.classifier.classes, detector.config, detector.thresholds).min())
            found.append(operating_point(self.spotted, least).line(f"{path} (stream)"))
        return found
