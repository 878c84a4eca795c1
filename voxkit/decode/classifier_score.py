"""`score` of the classifiers of sound: clips or events whose classes are known, from a model or from what it said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from voxkit.data.clips import Clip, clip_digests, reference_events
from voxkit.decode import event_score
from voxkit.decode.classifier import Classifier
from voxkit.decode.classifier_export import counted
from voxkit.decode.detecting import REJECTED, REJECTED_AUDIO
from voxkit.decode.examination import LONG, Examination, Known, clips_of
from voxkit.decode.labelling import of_classes, predict, read_thresholds, write_thresholds
from voxkit.decode.predictions import PREDICTIONS, Predictions, pooled
from voxkit.errors import UserError
from voxkit.metrics.classify import SCORES, THRESHOLD, ClassifyReport
from voxkit.metrics.thresholds import tune_thresholds
from voxkit.progress import say
from voxkit.rundir import digest, output


def run(examined: Examination, out: Path | None) -> None:
    """Score, print the lines, and write a folder if one is named.

    Raises:
        UserError, DataError: no such model or file; clips that are bad, without a class, or of an unknown one.
    """
    if examined.tune and out is None:
        raise UserError("--tune writes a file", fix="name a folder for it: --out DIR")
    known = Known.of(examined)
    if known.head == "single" and not examined.events and _wants_thresholds(examined):
        raise UserError(
            "thresholds are for models that give a clip several classes, and for --events; here the highest wins",
            fix="leave out --threshold, --thresholds and --tune",
        )
    if examined.events:
        event_score.run(examined, known, out)
        return
    if out is None:
        print("\n".join(_scored(examined, known, None)[1].lines(examined.model)))
        return
    with output(out, examined.command, spec(examined, known), resumable=False) as place:
        if not place.done:
            model, report, predictions = _scored(examined, known, place.work / REJECTED)
            report.write(place.work, out, more={} if model is None else counted(model))
            predictions.write(place.work)
            if examined.tune:
                write_thresholds(dict(zip(known.classes, report.thresholds.tolist(), strict=True)), place.work)
    print((out / SCORES).read_text(encoding="utf-8"), end="")


def _wants_thresholds(examined: Examination) -> bool:
    return examined.tune or examined.threshold is not None or examined.thresholds is not None


def spec(examined: Examination, known: Known) -> dict[str, Any]:
    """What decides the result; `head` and `classes` are for those who read the predictions."""
    return {
        "head": known.head,
        "classes": known.classes,
        "model": known.identity,
        "test": clip_digests(examined.test),
        "label": known.field(examined.label),
        "by": examined.by,
        "threshold": examined.threshold,
        "thresholds": None if examined.thresholds is None else read_thresholds(examined.thresholds, known.classes),
        "tune": examined.tune,
        "max_bad": examined.max_bad,
    }


def _scored(
    examined: Examination, known: Known, rejected: Path | None
) -> tuple[nn.Module | None, ClassifyReport, Predictions]:
    """The model if it was applied here, the scores, and what it said."""
    clips = clips_of(examined, known, rejected)
    groups = [group_of(clip, examined.by) for clip in clips] if examined.by else None
    if groups is not None:
        require_groups(clips, groups, examined.by)
    model = None
    if examined.is_applied:
        said = Predictions.read(examined.model).labelled({clip.id: clip.labels for clip in clips}, str(examined.model))
        if groups is not None:
            said = said.grouped(groups)
    else:
        _notice_parts(clips, known.seconds)
        bad = None if rejected is None else rejected.with_name(REJECTED_AUDIO)
        classifier = Classifier.load(examined.model, examined.system)
        model = classifier.model
        said = predict(classifier, clips, groups, examined.max_bad, bad)
    return model, said.report(_thresholds(examined, known, said), examined.by), said


def _notice_parts(clips: Sequence[Clip], seconds: float) -> None:
    """Tell of clips far longer than the model's window in which the classes have times of their own."""
    timed = [
        clip
        for clip in clips
        if clip.duration > LONG * seconds
        and any(event.end - event.start < clip.duration / 2 for event in reference_events(clip))
    ]
    if timed:
        say(
            f"notice: {len(timed)} of {len(clips)} clips last more than {LONG * seconds:g} s ({LONG:g} windows of the "
            "model) and have classes in parts of them; each is scored as one clip. Give --events to score the times"
        )


def _thresholds(examined: Examination, known: Known, said: Predictions) -> list[float] | None:
    if known.head == "single":
        return None
    if examined.tune:
        found = tune_thresholds(said.truth(), [item.scores for item in said.items])
        return [max(float(value), 1e-6) for value in found]
    file = {} if examined.thresholds is None else read_thresholds(examined.thresholds, known.classes)
    return of_classes(file, known.classes, THRESHOLD if examined.threshold is None else examined.threshold)


def group_of(clip: Clip, by: str) -> str:
    """What a clip's first supervision has under the name `by`, in its custom fields or as `speaker` and the like."""
    for supervision in clip.supervisions:
        for fields in (supervision.get("custom") or {}, supervision):
            if fields.get(by) is not None:
                return str(fields[by])
    return ""


def require_groups(clips: Sequence[Clip], groups: Sequence[str], by: str) -> None:
    """Raise a UserError if some clips belong to no group."""
    without = [clip for clip, group in zip(clips, groups, strict=True) if not group]
    if without:
        raise UserError(
            f"{len(without)} of {len(clips)} clips have no {by}, the first at {without[0].where}: {without[0].id}",
            fix="name another field of their supervisions with --by",
        )


def pool(system: str, runs: Sequence[Path], thresholds: Path | None, by: str, out: Path | None) -> None:
    """Measures of the predictions of several runs on different clips together, and the mean over runs.

    Raises:
        UserError: see `voxkit.decode.predictions.pooled`.
    """
    said = pooled(runs)
    values = None
    if said.head == "multi":
        file = {} if thresholds is None else read_thresholds(thresholds, said.classes)
        values = of_classes(file, said.classes, THRESHOLD)
    elif thresholds is not None:
        raise UserError("thresholds are for models that give a clip several classes", fix="leave out --thresholds")
    by = by or "run"
    if out is None:
        print("\n".join(said.report(values, by).lines("pooled")))
        return
    inputs = {str(run): digest(run / PREDICTIONS) for run in runs}
    decides = {"head": said.head, "classes": list(said.classes), "predictions": inputs, "by": by, "thresholds": values}
    with output(out, f"{system.replace('_', '-')} score", decides, resumable=False) as place:
        if not place.done:
            said.report(values, by).write(place.work, out)
            said.write(place.work)
    print((out / SCORES).read_text(encoding="utf-8"), end="")
