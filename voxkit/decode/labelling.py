"""Clips labelled by a classifier: posteriors, the classes that they decide for, and manifests with both."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from voxkit.data.audio import AudioError, Samples, judge
from voxkit.data.checks import leaves
from voxkit.data.clips import NONE, Clip, Head, load_clip
from voxkit.decode.classifier import Classifier
from voxkit.decode.events import require_known
from voxkit.decode.predictions import Prediction, Predictions, rounded
from voxkit.errors import Problems, UserError
from voxkit.metrics.classify import THRESHOLD
from voxkit.progress import say, track
from voxkit.rundir import write_atomic

THRESHOLDS = "thresholds.yaml"


def predict(
    classifier: Classifier,
    clips: Sequence[Clip],
    groups: Sequence[str] | None = None,
    max_bad: float = 0.0,
    rejected: Path | None = None,
) -> Predictions:
    """Listen to clips.

    Args:
        groups: a name for each clip, such as its fold.
        max_bad: the share of clips that is left out if their audio cannot be used.
        rejected: where to list these.

    Raises:
        DataError: more than `max_bad` of the clips cannot be decoded, or hold values that are not numbers.
    """
    kept: list[int] = []
    problems = Problems()
    silent: list[str] = []

    def sounds() -> Iterator[Samples]:
        for number, clip in enumerate(track(clips, len(clips), "listening", "clips")):
            try:
                samples = load_clip(clip, classifier.rate)
            except AudioError as error:
                problems.add(error.kind, clip.where, clip.id, error.what, error.fix)
                continue
            if judge(samples) is not None:
                silent.append(clip.id)
            kept.append(number)
            yield samples

    posteriors = classifier.clips(sounds())
    problems.settle(len(clips), max_bad, rejected)
    if silent:
        say(f"notice: {len(silent)} clips are silent, and what is said of them means nothing: {', '.join(silent[:5])}")
    items = tuple(
        Prediction(clips[number].id, clips[number].labels, rounded(row), groups[number] if groups else "")
        for number, row in zip(kept, posteriors, strict=True)
    )
    return Predictions(classifier.head, tuple(classifier.classes), items)


def decided(
    scores: Sequence[float], classes: Sequence[str], head: Head, thresholds: Sequence[float] | None
) -> list[str]:
    """The classes that posteriors (C,) decide for.

    Args:
        head: "single": the one with the highest posterior, or none if that is below its threshold; "multi": all that
            reach theirs, the most probable first.
        thresholds: (C,); None is 0 for a single class, 0.5 for several.
    """
    values = np.asarray(scores)
    least = np.full(len(values), 0.0 if head == "single" else THRESHOLD) if thresholds is None else np.array(thresholds)
    order = np.argsort(-values, kind="stable")
    if head == "single":
        order = order[:1]
    return [classes[index] for index in order.tolist() if values[index] >= least[index]]


def rows(
    predictions: Predictions, thresholds: Sequence[float] | None, top: int | None = None
) -> Iterator[tuple[str, str, float]]:
    """Id, class and posterior: of each class that is decided for, or of the `top` most probable ones.

    Where no class is decided for there is one row, with `-` and the highest posterior.
    """
    for item in predictions.items:
        names = decided(item.scores, predictions.classes, predictions.head, thresholds)
        posterior = dict(zip(predictions.classes, item.scores, strict=True))
        if top is not None:
            names = sorted(predictions.classes, key=lambda name: -posterior[name])[:top]
        if not names:
            yield item.id, NONE, max(item.scores)
        yield from ((item.id, name, posterior[name]) for name in names)


def labelled(cut: Mapping[str, Any], item: Prediction, predictions: Predictions, names: Sequence[str]) -> Any:
    """A cut, as a manifest's line, whose supervisions say what was predicted; their own labels are left alone.

    Custom fields are `predicted`, a class (or null) where a clip has one and else a list, and `posteriors`, a map. A
    cut without supervisions gets one.
    """
    changed = copy.deepcopy(dict(cut))
    found = {
        "predicted": (names[0] if names else None) if predictions.head == "single" else list(names),
        "posteriors": dict(zip(predictions.classes, item.scores, strict=True)),
    }
    supervisions = [one for _, some in leaves(changed) for one in some]
    part = _first(changed)
    if not supervisions and part is not None:
        whole = {"id": item.id, "start": 0.0, "duration": part["duration"], "channel": part["channel"]}
        whole["recording_id"] = (part.get("recording") or part)["id"]
        supervisions = part["supervisions"] = [whole]
    for supervision in supervisions:
        supervision["custom"] = {**(supervision.get("custom") or {}), **found}
    return changed


def _first(cut: dict[str, Any]) -> dict[str, Any] | None:
    """The cut itself or, if it is mixed, the first with audio of those that it is made of."""
    if cut.get("type") == "MixedCut":
        parts = (_first(track["cut"]) for track in cut["tracks"] if track.get("type") != "PaddingCut")
        return next((part for part in parts if part is not None), None)
    return cut if "channel" in cut else None


def read_thresholds(path: Path, classes: Sequence[str]) -> dict[str, float]:
    """The thresholds by class of a file that `score --tune` wrote, or of the folder that it is in.

    Raises:
        UserError: it cannot be read, or holds something else than numbers above 0 and up to 1 for the model's classes.
    """
    file = path / THRESHOLDS if path.is_dir() else path
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read: {error}", fix="give the thresholds.yaml of score --tune") from error
    if not isinstance(found, dict) or not all(_is_threshold(value) for value in found.values()):
        raise UserError(f"{file}: not a number above 0 and up to 1 for each class", fix="score with --tune writes such")
    thresholds = {str(name): float(value) for name, value in found.items()}
    require_known(thresholds, classes, f"{file}: thresholds")
    return thresholds


def write_thresholds(thresholds: dict[str, float], folder: Path, note: str = "") -> None:
    """Write `thresholds.yaml`, a number for each class, and a note of one line above them."""
    head = f"# {note}\n" if note else ""
    write_atomic(folder / THRESHOLDS, head + yaml.safe_dump(thresholds, sort_keys=False, allow_unicode=True))
    say(f"thresholds: {', '.join(f'{name} {value:.3g}' for name, value in thresholds.items())}")


def _is_threshold(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def of_classes(known: Mapping[str, float], classes: Sequence[str], other: float) -> list[float]:
    """(C,) thresholds in the order of the classes; `other` where there is none."""
    return [known.get(name, other) for name in classes]
