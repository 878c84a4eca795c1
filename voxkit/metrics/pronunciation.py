"""Pronunciations scored: WER and PER of grapheme-to-phoneme conversion by language, macro means, confusions of phones.

The measures are those of SIGMORPHON 2020, task 1 (Gorman et al. 2020). WER is the percentage of words whose best
hypothesis is not exactly the reference; PER is the edits in all words of a language per 100 of its reference phones;
macro means are plain means over languages. Its `evaluation/evaluate_all.py` reads one reference a word, since words
with several pronunciations were left out of its data, and so says nothing about several. Here, a word that has several
(WikiPron and most lexicons have such) is right if the hypothesis is any of them; its edits are those against the
nearest, of equally near ones against the longest, and the phones of that one are counted.

That script differs in one more respect: its table of distances begins with ones, so that any number of phones inserted
or deleted at the beginning of a word costs one edit. Here each costs one, as Levenshtein's distance has it. WER is the
same, and PER here is never lower.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voxkit.errors import UserError
from voxkit.metrics.calibration import Doubles, Interval
from voxkit.metrics.edit import Errors, Pair, align, count, errors

_AT_ONCE = 2_000_000  # words drawn in one go by the bootstrap
_COLUMNS = 4  # of the tables that it draws from: wrong words, words, phone errors, phones


@dataclass(frozen=True)
class Judged:
    """A word of a language with the pronunciations that are right, and the one that a system gave it.

    Attributes:
        references: one or more, each of one phone or more.
        hypothesis: phones; may be empty.

    Raises:
        ValueError: there is no reference, or an empty one.
    """

    word: str
    language: str
    references: tuple[tuple[str, ...], ...]
    hypothesis: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.references or not all(self.references):
            raise ValueError(f"{self.language} {self.word}: no reference, or one without phones")

    @cached_property
    def nearest(self) -> tuple[str, ...]:
        """The reference with fewest edits; of equals the longest, and of those the first."""
        return min(self.references, key=lambda one: (errors(one, self.hypothesis).count, -len(one)))

    @cached_property
    def pairs(self) -> list[Pair]:
        """The alignment with the nearest reference."""
        return align(self.nearest, self.hypothesis)

    @cached_property
    def errors(self) -> Errors:
        """Of phones, against the nearest reference."""
        return count(self.pairs)

    @property
    def right(self) -> bool:
        return self.hypothesis in self.references


class Rates(NamedTuple):
    """Word and phone error rate [per cent]."""

    wer: float
    per: float


class Intervals(NamedTuple):
    """Both rates [per cent] with their 95 % intervals."""

    wer: Interval
    per: Interval


@dataclass(frozen=True)
class Tally:
    """The words of one language, how many of them are wrong, and the errors of their phones; they add up with `+`."""

    words: int = 0
    wrong: int = 0
    phones: Errors = field(default_factory=Errors)

    @property
    def rates(self) -> Rates:
        return Rates(100 * self.wrong / max(self.words, 1), self.phones.rate)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.words + other.words, self.wrong + other.wrong, self.phones + other.phones)


class Confusion(NamedTuple):
    """A phone taken for another; the missing side is empty.

    Attributes:
        times: how often.
        words: that would be right if this confusion alone were mended.
    """

    times: int
    words: int
    language: str
    reference: str
    hypothesis: str


class PronunciationReport:
    """The scores of a system in one language or more.

    Args:
        items: the words of all languages.
        replications, seed: of the bootstrap.

    Raises:
        UserError: there are no words.
    """

    def __init__(self, items: Sequence[Judged], replications: int = 1000, seed: int = 0) -> None:
        if not items:
            raise UserError("no words to score", fix="check that the file with the references is the right one")
        self.items = list(items)
        self._replications, self._seed = replications, seed

    @cached_property
    def by_language(self) -> dict[str, Tally]:
        """Sorted by language."""
        found: defaultdict[str, Tally] = defaultdict(Tally)
        for item in self.items:
            found[item.language] += Tally(1, not item.right, item.errors)
        return dict(sorted(found.items()))

    @property
    def total(self) -> Tally:
        """The words of all languages, whose rates are micro means."""
        return sum(self.by_language.values(), Tally())

    @cached_property
    def macro(self) -> Rates:
        """The plain mean over languages."""
        wers, pers = zip(*(tally.rates for tally in self.by_language.values()), strict=True)
        return Rates(sum(wers) / len(wers), sum(pers) / len(pers))

    def intervals(self, language: str | None = None) -> Intervals:
        """The 95 % intervals of a language's rates, or of the macro means, by the bootstrap (Bisani and Ney 2004).

        Words are drawn within each language: the languages are those there are, not a sample of all.
        """
        if language is None:
            values, draws = self.macro, self._draws.mean(axis=1)
        else:
            place = list(self.by_language).index(language)
            values, draws = self.by_language[language].rates, self._draws[:, place]
        return Intervals(*(Interval(v, *_quantiles(draws[:, column])) for column, v in enumerate(values)))

    @cached_property
    def _draws(self) -> Doubles:
        """(R, languages, 2) rates in each replication."""
        tables = _by_language((item.language, _row(item)) for item in self.items)
        return _rates(_bootstrap(tables, self._replications, self._seed))

    def lines(self, path: object) -> list[str]:
        """`%WER` and `%PER` lines of each language, of the macro means if there are several, and the intervals."""
        tallies, total = self.by_language, self.total
        found = [
            f"%WER {tally.rates.wer:.2f} [ {tally.wrong} / {tally.words} ] {path} {language}".rstrip()
            for language, tally in tallies.items()
        ]
        found += [tally.phones.line("PER", f"{path} {language}".rstrip()) for language, tally in tallies.items()]
        name = ""
        if len(tallies) > 1:
            name, over = "macro ", f"macro over {len(tallies)} languages"
            wer, per = self.macro
            found.append(f"%WER {wer:.2f} [ {over}, {total.wrong} / {total.words} ] {path}")
            counts = total.phones.line("PER", path).partition("[ ")[2]
            found.append(f"%PER {per:.2f} [ {over}, {counts}")
        spans = (f"{name}{rate.upper()} lies in {i.low:.2f} to {i.high:.2f}" for rate, i in _named(self.intervals()))
        return [*found, f"{', '.join(spans)} (95 % bootstrap over the words of each language)"]

    def confusions(self, top: int | None = None) -> list[Confusion]:
        """The errors of phones that cost most, or all: by the words that each alone makes wrong, then by frequency."""
        counts: Counter[tuple[str, str, str]] = Counter()
        alone: Counter[tuple[str, str, str]] = Counter()
        for item in self.items:
            wrong = [(item.language, pair.ref, pair.hyp) for pair in item.pairs if pair.op != "cor"]
            counts.update(wrong)
            if len(set(wrong)) == 1:
                alone[wrong[0]] += 1
        found = [Confusion(number, alone[what], *what) for what, number in counts.items()]
        return sorted(found, key=lambda one: (-one.words, -one.times, one[2:]))[:top]

    def as_dict(self) -> dict[str, Any]:
        """What `score.json` holds."""
        total = self.total
        by_language = {}
        for language, tally in self.by_language.items():
            wer, per = (interval._asdict() for interval in self.intervals(language))
            phones = {"errors": tally.phones.count, **asdict(tally.phones)}
            by_language[language] = {"wer": {**wer, "errors": tally.wrong, "total": tally.words}, "per": per | phones}
        return {
            "macro": {name: interval._asdict() for name, interval in _named(self.intervals())},
            "micro": total.rates._asdict(),
            "languages": len(by_language),
            "words": total.words,
            "bootstrap": f"{self._replications} times, over the words of each language",
            "by_language": by_language,
        }

    def write(self, folder: Path) -> None:
        """Write score.json, by_language.tsv, confusions.tsv and errors.tsv (wrong words) into an existing folder."""
        (folder / "score.json").write_text(json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n", "utf-8")
        tallies = [(language, tally.rates, tally) for language, tally in self.by_language.items()]
        languages = [
            (name, f"{wer:.2f}", tally.wrong, tally.words, f"{per:.2f}", tally.phones.count, *astuple(tally.phones))
            for name, (wer, per), tally in [*tallies, ("(macro)", self.macro, self.total)]
        ]
        heads = "language wer wrong words per errors phones ins del sub"
        _write_table(folder / "by_language.tsv", heads, languages)
        _write_table(folder / "confusions.tsv", "count words language reference hypothesis", self.confusions())
        wrong = [_wrong(item) for item in sorted(self.items, key=lambda item: item.language) if not item.right]
        _write_table(folder / "errors.tsv", "language word references hypothesis edits", wrong)


class Change(NamedTuple):
    """What became of a macro rate.

    Attributes:
        before, after: the rates [per cent].
        relative: the change in per cent of the rate before, below zero if it fell; NaN where that was zero.
        low, high: its 95 % interval; NaN if the rate before was zero in a draw.
        against: the share of draws in [0, 1] in which the rate did not move that way; small where it is no chance.
    """

    before: float
    after: float
    relative: float
    low: float
    high: float
    against: float

    def __str__(self) -> str:
        return (
            f"{self.before:.2f} to {self.after:.2f}: {self.relative:+.1f} % relative "
            f"({self.low:+.1f} to {self.high:+.1f}; {100 * self.against:.2f} % of draws against it)"
        )


class Changes(NamedTuple):
    """How two systems differ in both macro means."""

    wer: Change
    per: Change


System = Sequence[Judged] | Sequence[Sequence[Judged]]


def paired(a: System, b: System, replications: int = 2000, seed: int = 0) -> Changes:
    """What changes in the macro means from system `a` to system `b`, by the bootstrap on the same words of both.

    Args:
        a, b: the words of a system; or those of several runs of it (seeds), which are averaged for each word first.

    Raises:
        UserError: there are no words, one is there twice, or words or references differ between runs.
    """
    runs = [[_by_word(run) for run in _runs(system)] for system in (a, b)]
    every = [run for some in runs for run in some]
    if not all([*runs, *every]):
        raise UserError("no words to compare", fix="give the words of at least one run of each system")
    for run in every:
        _require_same(every[0], run)
    # sums over runs, not means: whole numbers make the rates of equal systems equal to the last bit
    tables = _by_language(
        (key[0], [n for some in runs for n in np.sum([_row(run[key]) for run in some], axis=0)])
        for key in sorted(every[0])
    )
    observed = _macro_of_both(np.stack([table.sum(axis=0) for table in tables])[None])
    draws = _macro_of_both(_bootstrap(tables, replications, seed))
    relative, relatives = _relative(observed)[0], _relative(draws)
    moved, moves = (values[:, 1] - values[:, 0] for values in (observed, draws))
    against = (np.sign(moves) * np.sign(moved) <= 0).mean(axis=0)
    return Changes(
        *(
            Change(*map(float, (*observed[0, :, i], relative[i], *_quantiles(relatives[:, i]), against[i])))
            for i in range(len(Changes._fields))
        )
    )


def _runs(system: System) -> list[list[Judged]]:
    single = [item for item in system if isinstance(item, Judged)]
    return [single] if single else [list(run) for run in system if not isinstance(run, Judged)]


def _by_word(run: Sequence[Judged]) -> dict[tuple[str, str], Judged]:
    found = {(item.language, item.word): item for item in run}
    if len(found) < len(run):
        often, times = Counter((item.language, item.word) for item in run).most_common(1)[0]
        raise UserError(f"{' '.join(often)}: there {times} times", fix="make one word of it, with all its references")
    return found


def _require_same(first: dict[tuple[str, str], Judged], other: dict[tuple[str, str], Judged]) -> None:
    differing = sorted(first.keys() ^ other.keys())
    what = "are not in both"
    if not differing:
        differing = [key for key, item in first.items() if set(item.references) != set(other[key].references)]
        what = "have other references"
    if differing:
        some = ", ".join(map(" ".join, differing[:5])) + (" ..." if len(differing) > 5 else "")
        raise UserError(f"{len(differing)} of the words to compare {what}: {some}", fix="score both on the same file")


def _wrong(item: Judged) -> tuple[str, ...]:
    """The row of a wrong word in errors.tsv."""
    references, hypothesis = " / ".join(map(" ".join, item.references)), " ".join(item.hypothesis)
    edits = " ".join(f"{pair.ref or '-'}>{pair.hyp or '-'}" for pair in item.pairs if pair.op != "cor")
    return item.language, item.word, references, hypothesis, edits


def _row(item: Judged) -> list[int]:
    return [not item.right, 1, item.errors.count, item.errors.total]


def _by_language(rows: Iterator[tuple[str, Sequence[int]]]) -> list[Doubles]:
    """A table (words, columns) for each language, sorted by language."""
    found: defaultdict[str, list[Sequence[int]]] = defaultdict(list)
    for language, row in rows:
        found[language].append(row)
    return [np.array(table, dtype=np.float64) for _, table in sorted(found.items())]


def _bootstrap(tables: Sequence[Doubles], replications: int, seed: int) -> Doubles:
    """(R, languages, columns) sums over as many words as a language's table (words, columns) has, drawn from it."""
    rng = np.random.default_rng(seed)
    return np.stack([np.concatenate(list(_drawn(table, replications, rng))) for table in tables], axis=1)


def _drawn(table: Doubles, replications: int, rng: np.random.Generator) -> Iterator[Doubles]:
    words, at_once = len(table), max(1, _AT_ONCE // len(table))
    for begin in range(0, replications, at_once):
        rows = min(at_once, replications - begin)
        picks = rng.integers(words, size=(rows, words)) + words * np.arange(rows)[:, None]
        yield np.bincount(picks.ravel(), minlength=rows * words).reshape(rows, words) @ table


def _rates(sums: Doubles) -> Doubles:
    """(..., 2) WER and PER from (..., `_COLUMNS`) sums."""
    return 100 * sums[..., 0::2] / sums[..., 1::2]


def _macro_of_both(sums: Doubles) -> Doubles:
    """(R, systems, 2) macro means from (R, languages, systems * `_COLUMNS`)."""
    return _rates(sums.reshape(*sums.shape[:2], -1, _COLUMNS)).mean(axis=1)


def _relative(rates: Doubles) -> Doubles:
    """(R, 2) the change of each rate in per cent of the first system's; no change of nothing is none."""
    before, after = rates[:, 0], rates[:, 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(before > 0, 100 * (after - before) / before, np.where(after > 0, np.nan, 0.0))


def _quantiles(draws: Doubles) -> tuple[float, float]:
    """The 95 % interval; NaN if a draw has no value."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def _named(intervals: Intervals) -> Iterator[tuple[str, Interval]]:
    yield from zip(Intervals._fields, intervals, strict=True)


def _write_table(path: Path, head: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """A table with tabs; an empty cell becomes `-`."""
    lines = ("\t".join("-" if cell == "" else str(cell) for cell in row) for row in [tuple(head.split()), *rows])
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
