"""`apply` of the classifiers of sound: clips to classes, long recordings to events."""

from __future__ import annotations

import json
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voxkit.config import to_dict
from voxkit.data import audio
from voxkit.data.audio import AudioError
from voxkit.data.clips import Clip, clip_digests, is_audio, open_clips, require_inputs, unfolded
from voxkit.data.detect_config import DetectConfig
from voxkit.data.manifests import CUTS, parse_shard, write_cuts
from voxkit.data.sharding import PARTS, parts_like, shard_out
from voxkit.decode import detecting
from voxkit.decode.classifier import Classifier
from voxkit.decode.detecting import EVENTS, REJECTED, REJECTED_AUDIO, Detector
from voxkit.decode.examination import LONG, Known
from voxkit.decode.labelling import decided, labelled, of_classes, predict, read_thresholds, rows
from voxkit.decode.predictions import PREDICTIONS, Predictions
from voxkit.errors import UserError
from voxkit.metrics.classify import THRESHOLD
from voxkit.progress import say
from voxkit.rundir import Output, output, write_atomic


@dataclass(frozen=True)
class Request:
    """What `apply` was told; see its help."""

    system: str
    model: Path
    inputs: tuple[Path, ...]
    detects: bool | None = None  # events in recordings, or labels of clips; None: by what the inputs are
    label: str | None = None
    threshold: float | None = None
    thresholds: Path | None = None
    top: int | None = None
    detect: DetectConfig = field(default_factory=DetectConfig)
    background: tuple[str, ...] = ()
    plots: tuple[str, ...] = ()
    max_bad: float = 0.0
    shard: str | None = None  # I/N: every N-th clip from the I-th on
    merged: bool = False  # whether what all shards wrote is joined

    @property
    def command(self) -> str:
        return f"{self.system.replace('_', '-')} apply"

    def tuned(self, known: Known) -> dict[str, float]:
        """The thresholds by class of a file, if one was named."""
        return {} if self.thresholds is None else read_thresholds(self.thresholds, known.classes)

    def limits(self, known: Known) -> list[float] | None:
        """(C,) thresholds of clips; None is what `decided` does without."""
        if self.threshold is None and self.thresholds is None:
            return None
        other = 0.0 if known.head == "single" else THRESHOLD
        return of_classes(self.tuned(known), known.classes, other if self.threshold is None else self.threshold)

    def clips(self, known: Known, rejected: Path | None) -> list[Clip]:
        """The inputs, checked; they need no labels, and may have any. Raises as `open_clips`."""
        label = self.label or known.label
        return open_clips(
            self.inputs, label, "multi", known.shortest, self.max_bad, rejected, classes=None, need_labels=False
        )

    def own(self, clips: Sequence[Clip]) -> Sequence[Clip]:
        """Those of this shard."""
        index, count = parse_shard(self.shard) if self.shard else (1, 1)
        return clips[index - 1 :: count]

    def spec(self, known: Known) -> dict[str, Any]:
        """What decides the result; `head` and `classes` are for those who read the predictions."""
        return {
            "head": known.head,
            "classes": known.classes,
            "model": known.identity,
            "inputs": clip_digests(*self.inputs),
            "threshold": self.threshold,
            "thresholds": self.tuned(known),
            "max_bad": self.max_bad,
        }


def run(request: Request, out: Path | None) -> None:
    """Label clips or find events: to standard output, or into a folder.

    Raises:
        UserError, DataError: no model or file there, or clips that cannot be used, all of them together.
    """
    if request.merged and request.shard is not None:
        raise UserError("--merge joins the parts of all shards; --shard does one", fix="give one of them")
    if out is None and (request.merged or request.shard is not None):
        raise UserError("--shard and --merge need a folder", fix="give --out DIR")
    if Path("-") in request.inputs:
        raise UserError("- is standard input, which is listened to as a stream", fix="give --stream, or name files")
    known = Known.of_bundle(request.model, request.system)
    several = len(request.inputs) > 1 or not is_audio(request.inputs[0])
    request = replace(request, inputs=tuple(unfolded(request.inputs)))
    require_inputs(request.inputs)
    detects = _are_long(request.inputs, LONG * known.seconds) if request.detects is None else request.detects
    if not detects and request.plots:
        raise UserError("--plot draws the events of recordings, and these are clips", fix="give --detect")
    if detects and request.top is not None:
        raise UserError("--top is for clips, and these are long recordings", fix="leave it out, or give --clips")
    if detects:
        _detect(request, known, out, several)
    else:
        _label(request, known, out)


def _are_long(inputs: Sequence[Path], seconds: float) -> bool:
    """Whether all inputs are audio files, and one is longer; what cannot be opened is told later."""
    if not all(map(is_audio, inputs)):
        return False
    lengths = [0.0]
    for path in inputs:
        try:
            lengths.append(audio.info(path).duration)
        except AudioError:
            continue
    return max(lengths) > seconds


def _label(request: Request, known: Known, out: Path | None) -> None:
    if out is None:
        clips = request.clips(known, None)
        _notice_long(request, known, clips)
        said = predict(Classifier.load(request.model, request.system), clips, None, request.max_bad)
        for id, name, posterior in rows(said, request.limits(known), request.top):
            print(f"{id}\t{name}\t{posterior:.4f}")
        return
    spec = {"mode": "clips", **request.spec(known), "label": known.field(request.label)}
    with _place(request, out, spec) as (place, folders):
        if not place.done:
            clips = request.clips(known, place.work / REJECTED)
            if request.merged:
                said = _joined(folders, clips, known)
            else:
                classifier = Classifier.load(request.model, request.system)
                own = request.own(clips)
                _notice_long(request, known, own)
                said = predict(classifier, own, None, request.max_bad, place.work / REJECTED_AUDIO)
            said.write(place.work)
            write_cuts(_cuts(said, clips, request.limits(known)), place.work / CUTS)
            say(f"labelled {len(said.items)} clips")
    print(place.out / CUTS)


def _notice_long(request: Request, known: Known, clips: Sequence[Clip]) -> None:
    """Tell of recordings that are labelled as a whole though nobody asked for that."""
    long = [clip for clip in clips if clip.duration > LONG * known.seconds]
    if request.detects is None and long:
        say(
            f"notice: {len(long)} of {len(clips)} clips last more than {LONG * known.seconds:g} s ({LONG:g} windows of "
            "the model); each is labelled as a whole. Give --detect to find events, or --clips if it is meant"
        )


@contextmanager
def _place(request: Request, out: Path, spec: Mapping[str, Any]) -> Iterator[tuple[Output, list[Path]]]:
    """Where the result goes, and the folders of the parts that it is joined from, if it is."""
    folders = parts_like(out, spec) if request.merged else []
    more: dict[str, Any] = {} if request.shard is None else {"shard": request.shard}
    more |= {"merged": len(folders)} if request.merged else {}
    keep = PARTS if request.shard is None else None
    with output(shard_out(out, request.shard), request.command, {**spec, **more}, keep, resumable=False) as place:
        yield place, folders
        if not place.done and folders:
            rejected = [file.read_bytes() for folder in folders if (file := folder / REJECTED_AUDIO).exists()]
            if rejected:
                write_atomic(place.work / REJECTED_AUDIO, b"".join(rejected))


def _joined(folders: Sequence[Path], clips: Sequence[Clip], known: Known) -> Predictions:
    """What all shards said, in the order of the clips."""
    spoken = [folder for folder in folders if (folder / PREDICTIONS).stat().st_size]  # some shards may have no clips
    said = {item.id: item for folder in spoken for item in Predictions.read(folder).items}
    _require_all(folders, clips, said)
    items = tuple(said[clip.id] for clip in clips if clip.id in said)
    return Predictions(known.head, tuple(known.classes), items)


def _require_all(folders: Sequence[Path], clips: Sequence[Clip], said: Container[str]) -> None:
    """Raise a UserError unless each clip is in a part, or was rejected there.

    A clip that could be opened for some shards only is counted by these alone, and they divide the others differently.
    """
    listed = [file for folder in folders for name in (REJECTED, REJECTED_AUDIO) if (file := folder / name).exists()]
    bad = {json.loads(line)["id"] for file in listed for line in file.read_text(encoding="utf-8").split("\n") if line}
    missing = [clip.id for clip in clips if clip.id not in said and clip.id not in bad]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(clips)} clips are in no part: {', '.join(missing[:5])}",
            fix="remove the parts and make them again, all from the same files",
        )


def _cuts(said: Predictions, clips: Sequence[Clip], limits: Sequence[float] | None) -> list[Any]:
    cuts = {clip.id: clip.cut for clip in clips}
    return [
        labelled(cuts[item.id], item, said, decided(item.scores, said.classes, said.head, limits))
        for item in said.items
    ]


def _detect(request: Request, known: Known, out: Path | None, several: bool) -> None:
    """Find events; with `several` the ids of recordings are printed too."""
    if out is None and request.plots:
        raise UserError("--plot writes a picture", fix="name a folder for it: --out DIR")
    if out is None:
        found = detecting.find(_detector(request, known), request.clips(known, None), request.max_bad)
        detecting.show([(clip.id, events) for clip, events in found], several)
        return
    spec = {"mode": "detect", **request.spec(known), "detect": to_dict(request.detect)}
    spec |= {"background": list(request.background), "plots": list(request.plots)}
    label = known.field(request.label)
    spec |= {} if label is None else {"label": label}
    with _place(request, out, spec) as (place, folders):
        if not place.done:
            clips = request.clips(known, place.work / REJECTED)
            detecting.require_recordings(clips)
            detecting.require_known(request.plots, clips)
            if request.merged:
                heard = detecting.join(folders, [clip.id for clip in clips], place.work)
                _require_all(folders, clips, heard)
            else:
                own, detector = request.own(clips), _detector(request, known)
                detecting.write(detecting.find(detector, own, request.max_bad, place.work, request.plots), place.work)
    detecting.show(list(detecting.read_events(place.out / EVENTS).items()), several)
    print(f"events: {place.out / EVENTS}, {place.out / CUTS}", file=sys.stderr)


def _detector(request: Request, known: Known) -> Detector:
    classifier, tuned = Classifier.load(request.model, request.system), request.tuned(known)
    detecting.notice_events_everywhere(classifier, request.detect, request.background, tuned)
    return Detector(classifier, request.detect, request.background, tuned)
