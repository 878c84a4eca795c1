"""What a classifier said of clips: `predictions.jsonl`, one clip a line, which measures can be computed from again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxkit.data.clips import Head
from voxkit.errors import UserError
from voxkit.metrics.classify import ClassifyReport, Judged
from voxkit.rundir import read_config, write_atomic

PREDICTIONS = "predictions.jsonl"


@dataclass(frozen=True)
class Prediction:
    """A clip: the classes that it has (none where they are not known), and a posterior for each class of the model."""

    id: str
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    group: str = ""


@dataclass(frozen=True)
class Predictions:
    """Of some clips, by one model or by models with the same classes."""

    head: Head
    classes: tuple[str, ...]
    items: tuple[Prediction, ...]

    def best(self, item: Prediction) -> str:
        """The class with the highest posterior, of equals the first."""
        return self.classes[int(np.argmax(item.scores))]

    def labelled(self, labels: Mapping[str, Sequence[str]], where: str) -> Predictions:
        """Those of the clips in `labels`, with their classes.

        Raises:
            UserError: there is no prediction for some of them.
        """
        known = {item.id: item for item in self.items}
        missing = [id for id in labels if id not in known]
        if missing:
            raise UserError(
                f"{where}: has no prediction for {len(missing)} of {len(labels)} clips: {', '.join(missing[:5])}",
                fix="apply the model to these clips, or score others",
            )
        items = tuple(replace(known[id], labels=tuple(names)) for id, names in labels.items())
        return replace(self, items=items)

    def grouped(self, groups: Sequence[str]) -> Predictions:
        """With a group for each clip."""
        items = [replace(item, group=group) for item, group in zip(self.items, groups, strict=True)]
        return replace(self, items=tuple(items))

    def report(self, thresholds: Sequence[float] | None = None, by: str = "") -> ClassifyReport:
        """Measures of all clips, which all have labels.

        Args:
            thresholds: of each class, for several classes a clip.
            by: what the groups are called; empty if there are none.

        Raises:
            UserError: a clip without the class that it needs, or with one that the model does not know.
        """
        truth = self.truth()
        reference = truth.argmax(1) if self.head == "single" else truth
        ids, scores = [item.id for item in self.items], [item.scores for item in self.items]
        groups = [item.group for item in self.items] if by else None
        judged = Judged.of(ids, self.classes, reference, np.array(scores), self.head, groups, by or "group")
        return ClassifyReport(judged, thresholds)

    def truth(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(N, C) which classes the clips have; raises as `report`."""
        known = set(self.classes)
        for item in self.items:
            if self.head == "single" and len(item.labels) != 1:
                raise UserError(f"{item.id}: has {len(item.labels)} classes, not one", fix="score labelled clips")
            if strange := sorted(set(item.labels) - known):
                raise UserError(
                    f"{item.id}: {', '.join(strange)}: not among the model's classes",
                    fix=f"these are {', '.join(self.classes)}",
                )
        return np.array([[name in item.labels for name in self.classes] for item in self.items], dtype=np.bool_)

    def write(self, folder: Path) -> None:
        """Write `predictions.jsonl` into an existing folder."""
        write_atomic(folder / PREDICTIONS, "".join(f"{self._line(item)}\n" for item in self.items))

    def _line(self, item: Prediction) -> str:
        line = {
            "id": item.id,
            "labels": list(item.labels),
            "best": self.best(item),
            "scores": dict(zip(self.classes, item.scores, strict=True)),
            **({"group": item.group} if item.group else {}),
        }
        return json.dumps(line, ensure_ascii=False)

    @classmethod
    def read(cls, folder: Path) -> Predictions:
        """What `apply` or `score` wrote into a folder.

        Raises:
            UserError: nothing such is there, or it is damaged.
        """
        file = folder / PREDICTIONS
        if not file.exists():
            raise UserError(
                f"{folder}: holds no {PREDICTIONS}", fix="give a folder that score --out or apply --out made"
            )
        config = read_config(folder)
        head, classes = config.get("head"), tuple(config.get("classes") or ())
        if head not in ("single", "multi") or not classes:
            raise UserError(f"{folder}: its config.yaml names no classes", fix="score the model again")
        items = []
        for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                line = json.loads(text)
                scores = tuple(float(line["scores"][name]) for name in classes)
                items.append(Prediction(str(line["id"]), tuple(line["labels"]), scores, str(line.get("group", ""))))
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{file}:{number}: damaged: {error!r}", fix="score the model again") from error
        if not items:
            raise UserError(f"{file}: holds no clips", fix="score the model again")
        return cls(head, classes, tuple(items))


def rounded(posteriors: Iterable[float]) -> tuple[float, ...]:
    """To six digits, as posteriors are written."""
    return tuple(float(f"{value:.6g}") for value in posteriors)


def pooled(runs: Sequence[Path]) -> Predictions:
    """The predictions of several runs on different clips, such as the folds of cross-validation, as one.

    The group of a clip is its run: the part of the folder's path that tells it from the others.

    Raises:
        UserError: predictions of other classes or heads, or of the same clip twice.
    """
    parts = [Predictions.read(folder) for folder in runs]
    first = parts[0]
    seen: dict[str, str] = {}
    items: list[Prediction] = []
    for name, folder, part in zip(distinct(runs), runs, parts, strict=True):
        if (part.head, part.classes) != (first.head, first.classes):
            raise UserError(f"{folder}: other classes than {runs[0]}", fix="pool runs with the same classes")
        for item in part.items:
            if item.id in seen:
                raise UserError(
                    f"{item.id}: is in {seen[item.id]} and in {name}",
                    fix="pool runs on different clips, such as the folds of a cross-validation",
                )
            seen[item.id] = name
            items.append(replace(item, group=name))
    return replace(first, items=tuple(items))


def distinct(folders: Sequence[Path]) -> list[str]:
    """A short name for each path: what is left without the parts that all have in common at either end.

    >>> distinct([Path("exp/fold1/test"), Path("exp/fold2/test")])
    ['fold1', 'fold2']
    """
    paths = [folder.resolve().parts for folder in folders]
    if len(set(paths)) < 2:
        return [path[-1] for path in paths]
    begin = 0
    while len({path[: begin + 1] for path in paths}) == 1:
        begin += 1
    end = 0
    while all(len(path) > begin + end for path in paths) and len({path[-1 - end] for path in paths}) == 1:
        end += 1
    return ["/".join(path[begin : len(path) - end]) or path[-1] for path in paths]
