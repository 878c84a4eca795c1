"""`apply` on long recordings: windows along each, their posteriors, and events with times, labels and scores."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from voxkit.data.audio import AudioError, Samples
from voxkit.data.clips import Clip, load_clip
from voxkit.data.detect_config import DetectConfig
from voxkit.data.events import Event, supervisions, table
from voxkit.data.manifests import CUTS, read_lines, write_cuts
from voxkit.decode.classifier import Classifier
from voxkit.decode.events import Heard, detect, thresholds_of
from voxkit.errors import Problems, UserError
from voxkit.metrics.detection_plots import event_plot
from voxkit.progress import say, track
from voxkit.rundir import write_atomic

SUPERVISIONS, EVENTS, PLOTS = "supervisions.jsonl.gz", "events.tsv", "plots"
REJECTED, REJECTED_AUDIO = "rejected.jsonl", "rejected_audio.jsonl"  # lines that are bad, and clips that are
HEAD = ("recording", "start", "end", "label", "score")


@dataclass(frozen=True)
class Detector:
    """A classifier with how its posteriors become events.

    Attributes:
        background: classes that are no events.
        thresholds: by class; those of `config` go before them.
    """

    classifier: Classifier
    config: DetectConfig
    background: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def hop(self) -> float:
        """From one window to the next, in whole samples [s]."""
        return self.classifier.step(self.config.hop) / self.classifier.rate

    def heard(self, samples: Samples) -> Heard:
        """A recording (N,) as the classifier hears it."""
        return Heard(self.classifier.along(samples, self.config.hop), len(samples) / self.classifier.rate)

    def events(self, heard: Heard) -> list[Event]:
        """Those of a recording, sorted by start."""
        return detect(
            heard.posteriors,
            self.classifier.classes,
            self.hop,
            self.config,
            self.thresholds,
            head=self.classifier.head,
            background=self.background,
            duration=heard.duration,
        )


def notice_events_everywhere(
    classifier: Classifier, config: DetectConfig, background: Sequence[str], thresholds: Mapping[str, float]
) -> None:
    """Tell that nothing is left for what is no event: a single head, no background, and no threshold that was set."""
    told = background or thresholds or config.thresholds or config.threshold > DetectConfig().threshold
    if classifier.head == "single" and not told:
        say(
            "notice: this model gives every stretch one of its classes (head=single), so that what is none of them is "
            "an event too; name a class that is no event (--background NAME), raise --threshold, or train with "
            "--set head=multi or with a class of other sounds"
        )


def listen(
    detector: Detector, clips: Sequence[Clip], max_bad: float = 0.0, rejected: Path | None = None
) -> Iterator[tuple[Clip, Samples, Heard]]:
    """Each recording with its samples and posteriors; those that cannot be used are left out, and told at the end.

    Raises:
        DataError: more than `max_bad` of the recordings cannot be decoded, or hold values that are not numbers.
    """
    problems = Problems()
    total = sum(clip.duration for clip in clips)
    for clip in track(clips, total, "listening", "s of audio", amount=lambda clip: clip.duration):
        try:
            samples = load_clip(clip, detector.classifier.rate)
        except AudioError as error:
            problems.add(error.kind, clip.where, clip.id, error.what, error.fix)
            continue
        yield clip, samples, detector.heard(samples)
    problems.settle(len(clips), max_bad, rejected)


def find(
    detector: Detector, clips: Sequence[Clip], max_bad: float, work: Path | None = None, plots: Sequence[str] = ()
) -> list[tuple[Clip, list[Event]]]:
    """The events of each recording.

    Args:
        work: where pictures and the list of rejected recordings go.
        plots: ids of recordings to draw.

    Raises:
        DataError: see `listen`.
    """
    found = []
    for clip, samples, heard in listen(detector, clips, max_bad, work and work / REJECTED_AUDIO):
        events = detector.events(heard)
        found.append((clip, events))
        if work is not None and clip.id in plots:
            (work / PLOTS).mkdir(exist_ok=True)
            file = work / PLOTS / f"{clip.id.replace('/', '_')}.png"
            centres = [number * detector.hop for number in range(len(heard.posteriors))]
            classes = detector.classifier.classes
            thresholds = thresholds_of(classes, detector.config, detector.thresholds).tolist()
            event_plot(samples, detector.classifier.rate, events, centres, heard.posteriors, classes, clip.id, file,
                       thresholds)  # fmt: skip
    return found


def require_known(plots: Sequence[str], clips: Sequence[Clip]) -> None:
    """Raise a UserError for recordings to draw that are not there."""
    strange = sorted(set(plots) - {clip.id for clip in clips})
    if strange:
        known = ", ".join(clip.id for clip in clips[:5])
        raise UserError(f"--plot {', '.join(strange)}: no such recording", fix=f"name one of {known} ...")


def require_recordings(clips: Sequence[Clip]) -> None:
    """Raise a DataError for mixed cuts, of which no recording can have the events."""
    problems = Problems()
    for clip in clips:
        if "recording" not in clip.cut:
            what = "is not of one recording, which its events could be written for"
            problems.add("mixed cut", clip.where, clip.id, what, "write it as an audio file, or leave out --out")
    problems.settle(len(clips))


def write(found: Sequence[tuple[Clip, Sequence[Event]]], work: Path) -> None:
    """Write cuts and supervisions with the events in place of the recordings' own, and a table of them."""
    cuts: list[Mapping[str, Any]] = []
    lines: list[Mapping[str, Any]] = []
    for clip, events in found:
        place = {"recording_id": clip.cut["recording"]["id"], "channel": clip.cut["channel"]}
        cuts.append({**clip.cut, "supervisions": [{**one, **place} for one in supervisions(events, clip.id)]})
        lines += [{**one, **place} for one in supervisions(events, clip.id, offset=float(clip.cut["start"]))]
    write_cuts(cuts, work / CUTS)
    write_cuts(lines, work / SUPERVISIONS)
    rows = ["\t".join(HEAD), *tsv(((clip.id, events) for clip, events in found), named=True)]
    write_atomic(work / EVENTS, "".join(f"{row}\n" for row in rows))


def join(parts: Sequence[Path], order: Sequence[str], work: Path) -> set[str]:
    """Write what `write` and `find` wrote into several folders as one, in the order of the recordings' ids.

    Returns:
        The ids of the recordings that are there.
    """
    found: dict[str, tuple[Mapping[str, Any], list[Mapping[str, Any]], list[str]]] = {}
    for part in parts:
        events = iter(_data(part / SUPERVISIONS))
        rows = iter((part / EVENTS).read_text(encoding="utf-8").splitlines()[1:])
        for cut in _data(part / CUTS):
            count = len(cut["supervisions"])
            found[cut["id"]] = cut, list(islice(events, count)), list(islice(rows, count))
        for picture in (part / PLOTS).glob("*"):
            (work / PLOTS).mkdir(exist_ok=True)
            shutil.copyfile(picture, work / PLOTS / picture.name)
    heard = [found[id] for id in order if id in found]
    write_cuts((cut for cut, _, _ in heard), work / CUTS)
    write_cuts((event for _, events, _ in heard for event in events), work / SUPERVISIONS)
    table = ["\t".join(HEAD), *(row for _, _, rows in heard for row in rows)]
    write_atomic(work / EVENTS, "".join(f"{row}\n" for row in table))
    return set(found)


def _data(file: Path) -> Iterator[Mapping[str, Any]]:
    for line in read_lines([file]):
        if line.data is None:
            raise UserError(f"{line.where}: {line.error}", fix="make this part again")
        yield line.data


def tsv(found: Iterable[tuple[str, Sequence[Event]]], named: bool) -> Iterator[str]:
    """Start and end [s], label and score of each event, after the recording's id if `named`."""
    for id, events in found:
        for event in events:
            cells = [f"{event.start:.3f}", f"{event.end:.3f}", event.label, f"{event.score:.4f}"]
            yield "\t".join([id, *cells] if named else cells)


def show(found: Sequence[tuple[str, Sequence[Event]]], named: bool) -> None:
    """Print the events of recordings by id: tables on a terminal, otherwise tab-separated lines.

    Args:
        named: tell the ids.
    """
    if not sys.stdout.isatty():
        print("".join(f"{row}\n" for row in tsv(found, named)), end="")
        return
    for id, events in found:
        if named:
            print(f"{id}:")
        print("\n".join(table(events)) if events else "no events")


def found_in(folder: Path) -> dict[str, list[Event]]:
    """The events that `write` wrote into a folder, by the cut's id; of a cut without any there are none.

    Raises:
        UserError: the manifest cannot be read, or is damaged.
    """
    found: dict[str, list[Event]] = {}
    for cut in _data(folder / CUTS):
        try:
            found[cut["id"]] = [
                Event(one["text"], one["start"], one["start"] + one["duration"], one["custom"]["score"])
                for one in cut["supervisions"]
            ]
        except (KeyError, TypeError) as error:
            raise UserError(f"{folder / CUTS}: holds no events: {error!r}", fix="apply the model again") from error
    return found


def read_events(file: Path) -> dict[str, list[Event]]:
    """What `write` wrote into `events.tsv`, by the recording's id."""
    found: dict[str, list[Event]] = {}
    for line in file.read_text(encoding="utf-8").splitlines()[1:]:
        id, start, end, label, score = line.split("\t")
        found.setdefault(id, []).append(Event(label, float(start), float(end), float(score)))
    return found
