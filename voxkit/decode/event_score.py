"""`score --events`: what a classifier finds, or has found, in recordings whose events are known, with their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from voxkit.config import to_dict
from voxkit.data.clips import Clip, clip_digests, reference_events
from voxkit.data.detect_config import DetectConfig
from voxkit.data.events import Event
from voxkit.decode import events
from voxkit.decode.classifier import TOGETHER, Classifier
from voxkit.decode.detecting import (
    EVENTS,
    HEAD,
    REJECTED,
    REJECTED_AUDIO,
    Detector,
    found_in,
    listen,
    notice_events_everywhere,
    tsv,
)
from voxkit.decode.events import Heard, thresholds_of
from voxkit.decode.examination import Examination, Known, clips_of
from voxkit.decode.labelling import read_thresholds, write_thresholds
from voxkit.decode.listening import Listener, detections
from voxkit.errors import Problems, UserError
from voxkit.metrics.classify import SCORES
from voxkit.metrics.events import Collars, EventReport, ScoredRecording, SpottedRecording, operating_point, tallies
from voxkit.progress import say
from voxkit.rundir import output, write_atomic


def run(examined: Examination, known: Known, out: Path | None) -> None:
    """Score, print the lines, and write a folder if one is named.

    Raises:
        UserError, DataError: predictions where a model is needed; options that change the events where these are found
            already; recordings that are bad or have unknown classes.
    """
    if examined.is_applied or examined.by:
        what = "--by" if examined.by else "a folder of predictions"
        raise UserError(f"--events does not go with {what}", fix="give a model and recordings alone")
    if examined.has_events:
        _require_unchanged(examined)
    if out is None:
        print("\n".join(_Scoring(examined, known, None).lines(examined.model)))
        return
    spec = {
        "events": True,
        "classes": known.classes,
        "model": known.identity,
        "test": clip_digests(examined.test),
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
                write_thresholds(dict(scoring.thresholds), place.work, scoring.never_found())
    print((out / SCORES).read_text(encoding="utf-8"), end="")


def _require_unchanged(examined: Examination) -> None:
    """Refuse what decides which events are found, where they are found already."""
    given = {
        "--tune": examined.tune,
        "--thresholds": examined.thresholds is not None,
        "--threshold, --hop or --set": examined.detect != DetectConfig(),
    }
    wrong = [name for name, is_given in given.items() if is_given]
    if wrong:
        raise UserError(
            f"{wrong[0]} needs the posteriors, and {examined.model} holds the events that apply found",
            fix="give the model in its place, or leave this out",
        )


class _Scoring:
    """Recordings heard, and what was found in them; or what a folder says that was.

    Args:
        work: where rejected recordings are listed.
    """

    def __init__(self, examined: Examination, known: Known, work: Path | None) -> None:
        self.examined = examined
        self.clips: list[Clip] = []
        self.spotted: list[SpottedRecording] = []
        self.thresholds: Mapping[str, float] = {}
        self._background = {*examined.background, *known.background}
        clips = clips_of(examined, known, work and work / REJECTED)
        self.found = self._read(clips, work) if examined.has_events else self._listen(clips, known, work)
        scored = [
            ScoredRecording(clip.id, clip.duration, self._reference(clip), found)
            for clip, found in zip(self.clips, self.found, strict=True)
        ]
        if not any(one.reference for one in scored):
            say("notice: these recordings have no events of their own, so that all that are found are false alarms")
        labels = [name for name in known.classes if name not in self._background]
        collars = Collars(examined.collar, examined.collar)
        self.report = EventReport(scored, labels, collars)

    def _reference(self, clip: Clip) -> list[Event]:
        return [event for event in reference_events(clip) if event.label not in self._background]

    def _read(self, clips: Sequence[Clip], work: Path | None) -> list[list[Event]]:
        """What was found in each of the clips, which are kept if it was applied to them."""
        told, problems = found_in(self.examined.model), Problems()
        for clip in clips:
            if clip.id in told:
                self.clips.append(clip)
            else:
                what = f"no recording of {self.examined.model}"
                problems.add("not applied", clip.where, clip.id, what, "apply the model to it, or score others")
        problems.settle(len(clips), self.examined.max_bad, work and work / REJECTED_AUDIO)
        return [[event for event in told[clip.id] if event.label not in self._background] for clip in self.clips]

    def _listen(self, clips: Sequence[Clip], known: Known, work: Path | None) -> list[list[Event]]:
        """What is found in each of the clips, which are kept if their audio can be used."""
        examined = self.examined
        file = {} if examined.thresholds is None else read_thresholds(examined.thresholds, known.classes)
        classifier = Classifier.load(examined.model, examined.system)
        detector = Detector(classifier, examined.detect, examined.background, file)
        if not examined.tune:
            notice_events_everywhere(classifier, examined.detect, examined.background, file)
        heard: list[Heard] = []
        for clip, samples, one in listen(detector, clips, examined.max_bad, work and work / REJECTED_AUDIO):
            self.clips.append(clip)
            heard.append(one)
            if examined.as_stream and not examined.tune:
                self.spotted.append(self._spotted(detector, samples, self._reference(clip)))
        if examined.tune:
            detector = self._tuned(detector, heard)
        self.thresholds = detector.thresholds
        self._least = float(thresholds_of(classifier.classes, detector.config, detector.thresholds).min())
        return [detector.events(one) for one in heard]

    def _spotted(self, detector: Detector, samples: Any, reference: Sequence[Event]) -> SpottedRecording:
        classifier = detector.classifier
        listener = Listener(classifier, detector.config, detector.background, detector.thresholds)
        size = TOGETHER * classifier.step(detector.config.hop)
        chunks = (samples[begin : begin + size] for begin in range(0, len(samples), size))
        return SpottedRecording(len(samples) / classifier.rate, reference, list(detections(listener, chunks)))

    def _tuned(self, old: Detector, heard: Sequence[Heard]) -> Detector:
        """With the thresholds of the highest event F1; those of the config would go before them."""
        references = [self._reference(clip) for clip in self.clips]
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
            found.append(operating_point(self.spotted, self._least).line(f"{path} (stream)"))
        return found

    def never_found(self) -> str:
        """Of which classes no threshold finds an event, in words that are printed too; empty if there are none."""
        names = [name for name, tally in self.report.by_class.items() if tally.total and not tally.hits]
        if not names:
            return ""
        said = f"no threshold finds an event of {', '.join(names)}: theirs is the one with the fewest false alarms"
        say(f"notice: {said}. See by_class.tsv; --collar is how far off an event may be")
        return said
