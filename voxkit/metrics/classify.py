"""Classification scored: accuracy, AUC and EER by class, mAP, F1 at thresholds, confusions, bootstrap intervals.

Of each clip either exactly one class holds (`single`), or any number of them (`multi`). AUC and EER look at one class
against all others and at the order of its scores alone, so they need no threshold; a class of which every clip or none
has it has neither, and the macro means leave it out. Measures are in per cent, thresholds in [0, 1].

Scores of several models, one a fold, are pooled as if one model had given them: where the models are calibrated
differently, the pooled AUC is lower than each model's own, which are those by group.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.errors import UserError
from voxkit.metrics.calibration import (
    Doubles,
    Interval,
    average_precision,
    equal_error_rate,
    lines,
    quantiles,
)
from voxkit.metrics.calibration import Judged as Ranked
from voxkit.metrics.resampling import draws_with_replacement

Kind = Literal["single", "multi"]
Booleans = NDArray[np.bool_]

SCORES = "scores.txt"
THRESHOLD = 0.5  # of a sigmoid, where none was tuned
_ROUNDING = 1e-5  # by which a sum of float32 posteriors may leave [0, 1]
_AT_ONCE = 200_000  # weights handled together by the bootstrap: what a cache holds
_MACRO = ("auc", "eer", "map")  # macro means, in the order of the columns of `_by_class`


@dataclass(frozen=True, eq=False)
class Judged:
    """N clips with a score for each of C classes.

    Attributes:
        ids: (N,) names of the clips, each once.
        classes: (C,) names of the classes.
        reference: (N, C) which classes hold; exactly one a clip if `kind` is "single".
        scores: (N, C) in [0, 1]: softmax rows, or independent sigmoids.
        kind: "single" or "multi".
        groups: (N,) names such as folds or speakers; None if there are none.
        by: what the groups are called.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    reference: Booleans
    scores: Doubles
    kind: Kind
    groups: tuple[str, ...] | None = None
    by: str = "group"

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        classes: Sequence[str],
        reference: ArrayLike,
        scores: ArrayLike,
        kind: Kind,
        groups: Sequence[str] | None = None,
        by: str = "group",
    ) -> Judged:
        """From anything that numpy takes.

        Args:
            reference: (N,) places in `classes` if `kind` is "single", (N, C) bool if it is "multi".

        Raises:
            UserError: there are no clips, one is there twice, or a score is no number.
            ValueError: shapes that differ, a reference that is no class, or a score that is no probability.
        """
        truth, values = np.asarray(reference), np.asarray(scores, dtype=np.float64)
        shape = (len(ids), len(classes))
        if not len(ids):
            raise UserError("no clips to score", fix="check that the reference is the right one")
        known = truth.shape == (shape[:1] if kind == "single" else shape)
        if values.shape != shape or not known or (groups is not None and len(groups) != len(ids)):
            raise ValueError(
                f"scores {values.shape} and {kind}-label reference {truth.shape} of {shape} clips, classes"
            )
        often, times = Counter(ids).most_common(1)[0]
        if times > 1:
            raise UserError(f"{often}: there {times} times", fix="score each clip once")
        if not np.isfinite(values).all():
            first = ids[int(np.argmin(np.isfinite(values).all(axis=1)))]
            raise UserError(f"{first}: its scores are not numbers", fix="the model has diverged; train it again")
        if not ((values >= -_ROUNDING) & (values <= 1 + _ROUNDING)).all():
            raise ValueError("scores lie in [0, 1]")
        if kind == "single":
            if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= len(classes):
                raise ValueError(f"a reference lies in 0 to {len(classes) - 1}")
            truth = truth[:, None] == np.arange(len(classes))
        some = None if groups is None else tuple(groups)
        return cls(tuple(ids), tuple(classes), truth.astype(bool), np.clip(values, 0, 1), kind, some, by)

    def __len__(self) -> int:
        return len(self.ids)


class ByClass(NamedTuple):
    """One class; measures [per cent] are None where they have no meaning.

    Attributes:
        clips: that have it.
        predicted: clips said to have it: those where its score is highest, or reaches the threshold.
        right: clips that have it and are said to.
        precision, recall, f1: of those.
        auc, eer, ap: of its scores: area under the ROC curve, equal error rate, average precision.
        threshold: from which score on the class is taken to hold; None where the highest score decides.
    """

    name: str
    clips: int
    predicted: int
    right: int
    precision: float | None
    recall: float | None
    f1: float | None
    auc: float | None
    eer: float | None
    ap: float | None
    threshold: float | None


class ByGroup(NamedTuple):
    """One group's accuracy, and the macro means over the classes that have a value in it [per cent]."""

    clips: int
    right: int
    accuracy: float
    auc: float | None
    eer: float | None
    map: float | None


class ClassifyReport:
    """The scores of a classifier.

    Args:
        judged: its clips.
        thresholds: (C,) in [0, 1], from which on a class holds in multi-label classification; otherwise 0.5.
        replications, seed: of the bootstrap; without replications there are no intervals, whose ends are NaN.

    Raises:
        ValueError: thresholds where one class holds, or not one a class; replications below 0.
    """

    def __init__(
        self,
        judged: Judged,
        thresholds: ArrayLike | None = None,
        replications: int = 1000,
        seed: int = 0,
    ) -> None:
        if thresholds is not None and judged.kind == "single":
            raise ValueError("where exactly one class holds, the highest score decides and no threshold")
        given = np.full(len(judged.classes), THRESHOLD) if thresholds is None else np.asarray(thresholds, np.float64)
        if replications < 0:
            raise ValueError(f"{replications} replications")
        if given.shape != (len(judged.classes),):
            raise ValueError(f"thresholds {given.shape} for {len(judged.classes)} classes")
        self.judged, self.thresholds = judged, given
        self._replications, self._seed = replications, seed

    @cached_property
    def predicted(self) -> Booleans:
        """(N, C) the classes said to hold: the first of the highest scores, or all that reach their threshold."""
        scores = self.judged.scores
        if self.judged.kind == "single":
            return scores.argmax(axis=1)[:, None] == np.arange(scores.shape[1])
        return scores >= self.thresholds

    @property
    def right(self) -> Booleans:
        """(N,) whether all is right about a clip: its one class, or every one of its classes (exact match)."""
        return (self.predicted == self.judged.reference).all(axis=1)

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """(C, C) clips by class (rows) and by the class they were taken for; of single labels only."""
        if self.judged.kind != "single":
            raise ValueError("clips with several classes have no confusion matrix")
        return self.judged.reference.astype(np.int64).T @ self.predicted.astype(np.int64)

    @cached_property
    def ranked(self) -> list[Ranked]:
        """(C) the scores of each class as confidences, `right` for the clips that have it."""
        return [Ranked.of(*both) for both in zip(self.judged.scores.T, self.judged.reference.T, strict=True)]

    def _by_class(self, weight: Doubles) -> Doubles:
        """(R, C, 3) AUC, EER and average precision where each clip counts `weight` (R, N) times; NaN for none."""
        found = np.empty((len(weight), len(self.ranked), len(_MACRO)))
        with np.errstate(invalid="ignore", divide="ignore"):
            for index, ranked in enumerate(self.ranked):
                wanted, others = ranked.below(weight)
                from_top = [sums[:, -1:] - sums[:, ::-1] for sums in (others, wanted)]
                rates = _auc(wanted, others), equal_error_rate(wanted, others), average_precision(*from_top)
                found[:, index] = 100 * np.stack(rates, axis=1)
        # without negatives average precision is 1 whatever the scores, and says nothing
        found[~np.isfinite(found).all(axis=2)] = np.nan
        return found

    def measures(self, weight: Doubles) -> Doubles:
        """(R, 4) accuracy, macro AUC, EER and average precision where each clip counts `weight` (R, N) times."""
        by_class = self._by_class(weight)
        known = np.isfinite(by_class)
        with np.errstate(invalid="ignore"):
            macro = np.where(known, by_class, 0).sum(axis=1) / known.sum(axis=1)
        return np.concatenate([100 * (weight @ self.right / weight.sum(axis=1))[:, None], macro], axis=1)

    @cached_property
    def _intervals(self) -> list[Interval]:
        values = self.measures(np.ones((1, len(self.judged))))[0]
        draws = np.concatenate([np.zeros((0, len(values))), *(self.measures(weight) for weight in self._weights())])
        return [Interval(float(value), *quantiles(draws[:, column])) for column, value in enumerate(values)]

    def _weights(self) -> Iterator[Doubles]:
        """(rows, N) how often each clip is drawn in some of the replications (Bisani and Ney 2004)."""
        total = len(self.judged)
        rng, at_once = np.random.default_rng(self._seed), max(1, _AT_ONCE // total)
        for begin in range(0, self._replications, at_once):
            yield draws_with_replacement(rng, min(at_once, self._replications - begin), total)

    @property
    def accuracy(self) -> Interval:
        """Share of clips about which all is right [per cent], with its 95 % interval."""
        return self._intervals[0]

    @property
    def auc(self) -> Interval | None:
        """Macro mean area under the ROC curve [per cent], with its 95 % interval; None if no class has a value."""
        return self._macro("auc")

    @property
    def eer(self) -> Interval | None:
        """Macro mean equal error rate [per cent], on straight lines between operating points; else as `auc`."""
        return self._macro("eer")

    @property
    def mean_ap(self) -> Interval | None:
        """Mean average precision [per cent]; else as `auc`."""
        return self._macro("map")

    def _macro(self, name: str) -> Interval | None:
        found = self._intervals[1 + _MACRO.index(name)]
        return found if np.isfinite(found.value) else None

    @cached_property
    def by_class(self) -> list[ByClass]:
        """In the order of the classes."""
        reference, predicted = self.judged.reference, self.predicted
        multi = self.judged.kind == "multi"
        sums = zip(reference.sum(axis=0), predicted.sum(axis=0), (reference & predicted).sum(axis=0), strict=True)
        ranked = self._by_class(np.ones((1, len(self.judged))))[0]
        rows = []
        for index, counts in enumerate(sums):
            count, said, right = map(int, counts)
            precision, recall, f1 = _percent(right, said), _percent(right, count), _percent(2 * right, said + count)
            auc, eer, ap = map(_known, ranked[index])
            threshold = float(self.thresholds[index]) if multi else None
            name = self.judged.classes[index]
            rows.append(ByClass(name, count, said, right, precision, recall, f1, auc, eer, ap, threshold))
        return rows

    @property
    def macro_recall(self) -> float:
        """Mean recall over the classes that have clips [per cent]; known as unweighted average recall."""
        found = [row.recall for row in self.by_class if row.recall is not None]
        return sum(found) / max(len(found), 1)

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that have clips [per cent]."""
        found = [row.f1 for row in self.by_class if row.clips and row.f1 is not None]
        return sum(found) / max(len(found), 1)

    @cached_property
    def by_group(self) -> dict[str, ByGroup]:
        """Sorted by group; empty if there are none."""
        names = np.array(self.judged.groups or ())
        if not len(names):
            return {}
        groups = sorted(set(names.tolist()))
        inside = names == np.array(groups)[:, None]
        found = {}
        for name, mask, (accuracy, *macro) in zip(groups, inside, self.measures(inside.astype(float)), strict=True):
            auc, eer, mean_ap = map(_known, macro)
            found[name] = ByGroup(int(mask.sum()), int(self.right[mask].sum()), float(accuracy), auc, eer, mean_ap)
        return found

    @property
    def mean_over_groups(self) -> float | None:
        """The plain mean of the groups' accuracies [per cent], such as that over folds; None without groups."""
        found = [group.accuracy for group in self.by_group.values()]
        return sum(found) / len(found) if found else None

    def lines(self, path: object) -> list[str]:
        """`%ACC`, `%UAR`, `%AUC` and `%EER` lines of single labels, `%AUC`, `%EER`, `%MAP` and `%F1` of several."""
        scored = [row for row in self.by_class if row.auc is not None]
        over = f"macro over {len(scored)} classes"
        macro = {name: mean for name in _MACRO if (mean := self._macro(name)) is not None}
        if self.judged.kind == "single":
            macro.pop("map", None)
            value, low, high = self.accuracy
            counts = f"{self.right.sum()} / {len(self.judged)}"
            within = f", {low:.2f} to {high:.2f}" if self._replications else ""
            found = [f"%ACC {value:.2f} [ {counts}{within} ] {path}", *self._over_groups(path)]
            found.append(f"%UAR {self.macro_recall:.2f} [ macro over {self._present} classes ] {path}")
            found += self._macro_lines(macro, over, path)
        else:
            at = f"at thresholds {self.thresholds.min():.2f} to {self.thresholds.max():.2f}"
            found = [*self._macro_lines(macro, over, path)]
            found.append(f"%F1 {self.macro_f1:.2f} [ macro over {self._present} classes, {at} ] {path}")
        left_out = [row.name for row in self.by_class if row.auc is None]
        if left_out:
            found.append(f"AUC and EER leave out, as all clips have them or none: {', '.join(left_out)}")
        return [*found, "intervals are 95 % bootstrap over clips"] if self._replications else found

    def _macro_lines(self, macro: Mapping[str, Interval], over: str, path: object) -> Iterator[str]:
        if self._replications:
            return lines(macro, over, path)
        return (f"%{name.upper()} {found.value:.2f} [ {over} ] {path}" for name, found in macro.items())

    def _over_groups(self, path: object) -> Iterator[str]:
        mean = self.mean_over_groups
        if mean is not None:
            found = sorted(group.accuracy for group in self.by_group.values())
            over = f"mean over {len(found)} {plural(self.judged.by)}, lowest {found[0]:.2f}, highest {found[-1]:.2f}"
            yield f"%ACC {mean:.2f} [ {over} ] {path}"

    @property
    def _present(self) -> int:
        return sum(row.clips > 0 for row in self.by_class)

    def as_dict(self) -> dict[str, Any]:
        """What `score.json` holds."""
        macro = {name: self._macro(name) for name in _MACRO}
        return {
            "kind": self.judged.kind,
            "accuracy": {**_bounds(self.accuracy), "right": int(self.right.sum()), "total": len(self.judged)},
            **{name: None if found is None else _bounds(found) for name, found in macro.items()},
            "macro_recall": self.macro_recall,
            "macro_f1": self.macro_f1,
            "classes": len(self.judged.classes),
            "without_auc_and_eer": [row.name for row in self.by_class if row.auc is None],
            "bootstrap": f"{self._replications} times, over clips",
            **(
                {}
                if self.mean_over_groups is None
                else {f"mean_accuracy_over_{plural(self.judged.by)}": self.mean_over_groups}
            ),
            "by_class": {row.name: {k: v for k, v in row._asdict().items() if k != "name"} for row in self.by_class},
            **(
                {f"by_{self.judged.by}": {k: row._asdict() for k, row in self.by_group.items()}}
                if self.by_group
                else {}
            ),
        }

    def write(self, folder: Path, path: object, title: str = "", more: Mapping[str, object] | None = None) -> None:
        """Write the scores into an existing folder.

        These are score.json, scores.txt (`lines`), by_class.txt, det.png, by_group.txt if there are groups, and of
        single labels confusion.txt and confusion.png.

        Args:
            path: what the lines name, such as the folder that this one will be.
            title: of the pictures.
            more: further entries of score.json, such as the size of the model.
        """
        from voxkit.metrics.classify_plots import confusion_matrix_plot, det_plot

        scores = {**self.as_dict(), **(more or {})}
        (folder / "score.json").write_text(json.dumps(scores, indent=2, ensure_ascii=False) + "\n", "utf-8")
        (folder / SCORES).write_text("".join(f"{line}\n" for line in self.lines(path)), "utf-8")
        classes = [(*row[:-1], None if row.threshold is None else f"{row.threshold:.4f}") for row in self.by_class]
        _write_table(folder / "by_class.txt", ("class", *ByClass._fields[1:]), classes)
        if self.by_group:
            rows = [(name, *group) for name, group in self.by_group.items()]
            _write_table(folder / "by_group.txt", (self.judged.by, *ByGroup._fields), rows)
        if self.judged.kind == "single":
            names = self.judged.classes
            counts = [(name, *row) for name, row in zip(names, self.confusion.tolist(), strict=True)]
            _write_table(folder / "confusion.txt", ("class", *names), counts)
            confusion_matrix_plot(self, folder / "confusion.png", title)
        det_plot(self, folder / "det.png", title)


def _auc(wanted: Doubles, others: Doubles) -> Doubles:
    """(R,) how likely a positive scores higher than a negative, equal scores counted half (Mann and Whitney 1947).

    Args:
        wanted, others: (R, K + 1) weight of positives and negatives below each threshold, the lowest first.
    """
    above = 1 - (wanted[:, :-1] + wanted[:, 1:]) / (2 * wanted[:, -1:])
    return (above * np.diff(others, axis=1)).sum(axis=1) / others[:, -1]


def _bounds(found: Interval) -> dict[str, float | None]:
    return {name: _known(value) for name, value in found._asdict().items()}


def plural(noun: str) -> str:
    """Of a name such as `fold`, `speaker` or `class`."""
    return f"{noun}es" if noun.endswith(("s", "x", "z", "ch", "sh")) else f"{noun}s"


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _write_table(path: Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns in line, two spaces or more apart; `-` where there is no value."""
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    first, *widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    with path.open("w", encoding="utf-8") as file:
        for name, *values in cells:
            right = (value.rjust(width) for value, width in zip(values, widths, strict=True))
            file.write("  ".join([name.ljust(first), *right]) + "\n")


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
