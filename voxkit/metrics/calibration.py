"""How good confidences are: EER, NCE, AUC-PR and ECE of words that are right or wrong, with bootstrap intervals.

A confidence is the probability, by the system's own account, that a word is right. Deleted words have none, so none of
these measures sees them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]

CLIP = 1e-7  # sclite's: confidences are taken to lie in [CLIP, 1 - CLIP], so that one of 0 or 1 costs 23 bits if wrong
BINS = 15  # of equal width, for ECE and the reliability diagram
MEASURES = ("eer", "nce", "aucpr", "ece")
_AT_ONCE = 2_000_000  # weights held in memory together by the bootstrap


class Measures(NamedTuple):
    """All in per cent. NaN where a measure has no meaning: without right or without wrong words.

    Attributes:
        eer: equal error rate.
        nce: normalised cross entropy, 100 at best, 0 for knowing only how many words are right.
        aucpr: area under the precision-recall curve of the errors.
        ece: expected calibration error.
    """

    eer: float
    nce: float
    aucpr: float
    ece: float


class Bin(NamedTuple):
    """A bin of the reliability diagram: how many words, their mean confidence, and the share that is right."""

    words: int
    confidence: float
    right: float


@dataclass(frozen=True, eq=False)
class Judged:
    """N words with a confidence each.

    Attributes:
        confidence: (N,) in [0, 1].
        right: (N,) bool.
        group: (N,) what cannot be taken apart in the bootstrap (speakers or utterances), numbered from 0.
    """

    confidence: Doubles
    right: NDArray[np.bool_]
    group: NDArray[np.int64]

    @classmethod
    def of(cls, confidence: ArrayLike, right: ArrayLike, group: ArrayLike | None = None) -> Judged:
        """From anything that numpy takes; without groups each word is its own.

        Raises:
            ValueError: shapes that differ, or a confidence that is no probability.
        """
        values, rights = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=bool)
        groups = np.arange(len(values)) if group is None else np.asarray(group, dtype=np.int64)
        if not values.shape == rights.shape == groups.shape or values.ndim != 1:
            raise ValueError(f"shapes {values.shape}, {rights.shape}, {groups.shape} where (N,) three times should be")
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError("confidences lie in [0, 1]")
        return cls(values, rights, groups)

    def __len__(self) -> int:
        return len(self.confidence)

    def part(self, chosen: NDArray[np.bool_]) -> Judged:
        """Some of the words, (N,) bool; the groups keep their numbers."""
        return Judged(self.confidence[chosen], self.right[chosen], self.group[chosen])

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self.confidence, kind="stable")

    @cached_property
    def _last_of_equals(self) -> NDArray[np.int64]:
        """Where, in order of confidence, each run of equal ones ends."""
        ordered = self.confidence[self._order]
        return np.flatnonzero(np.diff(ordered, append=np.inf) > 0)

    def measures(self) -> Measures:
        return Measures(*map(float, self._weighted(np.ones((1, len(self))))[0]))

    def bootstrap(self, picks: NDArray[np.int64]) -> Doubles:
        """(R, 4) the measures when groups are drawn (Bisani and Ney 2004): `picks` (R, groups) says how often each."""
        rows = max(1, _AT_ONCE // max(len(self), 1))
        found = [
            self._weighted(picks[begin : begin + rows, self.group].astype(np.float64))
            for begin in range(0, len(picks), rows)
        ]
        return np.concatenate(found) if found else np.zeros((0, len(MEASURES)))

    def _weighted(self, weight: Doubles) -> Doubles:
        """(R, 4) the measures where each word counts `weight` (R, N) times."""
        weight = weight[:, self._order]
        right = self.right[self._order]
        good, bad = weight * right, weight * ~right
        goods, bads = self._sums(good), self._sums(bad)
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = equal_error_rate(goods, bads), self._nce(good, bad), average_precision(goods, bads)
            return 100 * np.stack([*rates, self._ece(weight)], axis=1)

    def below(self, weight: Doubles) -> tuple[Doubles, Doubles]:
        """(R, K + 1) twice: the right and the wrong words below each threshold, the lowest first.

        Args:
            weight: (R, N) how often each word counts. A threshold lies under each of the K distinct confidences, and
                the last one above them all.
        """
        weight = weight[:, self._order]
        right = self.right[self._order]
        return self._sums(weight * right), self._sums(weight * ~right)

    def _sums(self, weight: Doubles) -> Doubles:
        """(R, K + 1) what (R, N) weights in order of confidence come to below each threshold."""
        sums = np.cumsum(weight, axis=1)[:, self._last_of_equals]
        return np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)

    def _nce(self, good: Doubles, bad: Doubles) -> Doubles:
        """(Hmax - H) / Hmax as in sclite, with H the cross entropy of the confidences and Hmax that of the mean."""
        clipped = np.clip(self.confidence[self._order], CLIP, 1 - CLIP)
        spent = -good @ np.log2(clipped) - bad @ np.log2(1 - clipped)
        goods, bads = good.sum(axis=1), bad.sum(axis=1)
        share = goods / (goods + bads)
        most = -goods * np.log2(share) - bads * np.log2(1 - share)
        return (most - spent) / most

    def _ece(self, weight: Doubles) -> Doubles:
        """The gap between mean confidence and share of right words in each bin, averaged over the words."""
        ordered = self.confidence[self._order]
        gaps = np.cumsum(weight * (ordered - self.right[self._order]), axis=1)
        ends = np.searchsorted(bin_of(ordered), np.arange(BINS), side="right")
        sums = np.diff(np.concatenate([np.zeros((len(weight), 1)), gaps], axis=1)[:, np.r_[0, ends]], axis=1)
        return np.abs(sums).sum(axis=1) / weight.sum(axis=1)

    def reliability(self) -> list[Bin]:
        """The `BINS` bins of confidence, those without words with NaN."""
        place = bin_of(self.confidence)
        counts, sums, rights = (
            np.bincount(place, some, minlength=BINS) for some in (None, self.confidence, self.right.astype(float))
        )
        with np.errstate(invalid="ignore"):
            means = zip(counts, sums / counts, rights / counts, strict=True)
        return [Bin(int(count), float(confidence), float(right)) for count, confidence, right in means]

    def det(self) -> tuple[Doubles, Doubles]:
        """(K,) false alarms, (K,) misses: the share of wrong words accepted and of right words rejected, for every
        threshold from the lowest (all accepted) to the highest."""
        goods, bads = self.below(np.ones((1, len(self))))
        with np.errstate(invalid="ignore"):
            return 1 - bads[0] / bads[0, -1], goods[0] / goods[0, -1]


def bin_of(confidence: Doubles) -> NDArray[np.int64]:
    """(N,) the bin of each confidence: [0, 1/BINS), [1/BINS, 2/BINS) ... and the last with 1."""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def equal_error_rate(goods: Doubles, bads: Doubles) -> Doubles:
    """(R,) where the rates of misses and of false alarms are equal, on straight lines between operating points.

    This is the plain ROC curve, of which every distinct confidence is a point; not its convex hull.

    Args:
        goods, bads: (R, K) weight of the right and wrong words below each threshold, the lowest first.
    """
    misses, alarms = goods / goods[:, -1:], 1 - bads / bads[:, -1:]
    gap = misses - alarms  # rises from -1 to 1
    before = np.maximum((gap <= 0).sum(axis=1) - 1, 0)[:, None]
    after = np.minimum(before + 1, gap.shape[1] - 1)
    low, high = (np.take_along_axis(gap, at, axis=1) for at in (before, after))
    first, second = (np.take_along_axis(misses, at, axis=1) for at in (before, after))
    return (first - low / (high - low) * (second - first))[:, 0]


def average_precision(goods: Doubles, bads: Doubles) -> Doubles:
    """(R,) average precision of finding errors by low confidence: precision summed over the steps of recall."""
    precision = np.where(bads > 0, bads / np.where(bads > 0, goods + bads, 1), 0)
    return (precision * np.diff(bads, axis=1, prepend=0)).sum(axis=1) / bads[:, -1]


class Interval(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class Comparison:
    """Several systems' confidences for the same words, compared on the same draws of the bootstrap.

    Args:
        systems: by name, each with the same `right` and `group`; at least one.
        parts: (N,) bool masks by name, each measured on its own; "all" is always there.
    """

    def __init__(
        self,
        systems: Mapping[str, Judged],
        parts: Mapping[str, NDArray[np.bool_]] | None = None,
        replications: int = 1000,
        seed: int = 0,
    ) -> None:
        first = next(iter(systems.values()))
        self.systems = dict(systems)
        self.parts = {"all": np.ones(len(first), dtype=bool), **(parts or {})}
        count = int(first.group.max(initial=-1)) + 1
        drawn = np.random.default_rng(seed).integers(max(count, 1), size=(replications, max(count, 1)))
        self._picks = np.stack([np.bincount(row, minlength=max(count, 1)) for row in drawn])
        self._draws: dict[tuple[str, str], tuple[Measures, Doubles]] = {}

    def _of(self, system: str, part: str) -> tuple[Measures, Doubles]:
        if (system, part) not in self._draws:
            judged = self.systems[system].part(self.parts[part])
            self._draws[system, part] = judged.measures(), judged.bootstrap(self._picks)
        return self._draws[system, part]

    def measures(self, system: str, part: str = "all") -> dict[str, Interval]:
        """Each measure [per cent] with its interval; NaN where it has none.

        Chance gaps add to ECE and never cancel, the more so in a draw: its interval is not to be read as one of the
        truth, and may lie above the value.
        """
        values, draws = self._of(system, part)
        return {
            name: Interval(value, *quantiles(draws[:, column]))
            for column, (name, value) in enumerate(values._asdict().items())
        }

    def relative(self, system: str, reference: str, part: str = "all") -> dict[str, Interval]:
        """How much larger each measure is than a reference system's, in per cent of that one's."""
        (new, news), (old, olds) = self._of(system, part), self._of(reference, part)
        with np.errstate(invalid="ignore", divide="ignore"):
            changes = 100 * (news - olds) / np.abs(olds)
            change = 100 * (np.array(new) - np.array(old)) / np.abs(np.array(old))
        return {
            name: Interval(float(change[column]), *quantiles(changes[:, column]))
            for column, name in enumerate(MEASURES)
        }


def quantiles(draws: Doubles) -> tuple[float, float]:
    """The 95 % interval of those draws that have a value."""
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """(N,) names as numbers in order of appearance, for `Judged.group`."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)


def lines(measures: Mapping[str, Interval], detail: str, path: object) -> Iterator[str]:
    """`%EER 8.31 [ 6.90 to 9.87, detail ] path` and so on."""
    for name, found in measures.items():
        yield f"%{name.upper()} {found.value:.2f} [ {found.low:.2f} to {found.high:.2f}, {detail} ] {path}"
