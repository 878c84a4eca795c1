"""What characters, phones, bytes and words are worth for finding entities, alone and together.

Reads what `voxkit ner score --out` wrote: `<exp>/full/<system>/seed<S>/test` of every system, `<exp>/share<X>/...` of
those that learnt from a share of the sentences, `<exp>/full/<system>/seed<S>/<name>` for the corrupted test set
`<exp>/harder/<name>`. Writes tables and a picture into --out, and scores.txt, whose `%` lines are the headline. Counts
of all seeds are added up; intervals are bootstraps over sentences, the same draws for all systems.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxkit.data.tagged_files import read
from voxkit.data.tagging import Sentence, spoken
from voxkit.errors import Problems
from voxkit.metrics.calibration import quantiles
from voxkit.metrics.entities import EntityReport, bootstrap, known_entities
from voxkit.metrics.pronunciation_plots import learning_curve

WORDS, SUBWORDS, ALL = "words", "chars+phones+bytes", "words+chars+phones+bytes"
DRAWS = 2000
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tested:
    """One system on one test set: what each seed's model found."""

    folders: tuple[Path, ...]
    sentences: tuple[Sentence, ...]
    known: frozenset[tuple[str, str]]

    @cached_property
    def reports(self) -> list[EntityReport]:
        return [
            EntityReport(
                self.sentences, [one.tags or () for one in tagged(folder / "predictions.conll")], self.known, 0
            )
            for folder in self.folders
        ]

    def counts(self, part: str = "all") -> Ints:
        """(N, 3) right, found, entities in each sentence, all seeds together."""
        return sum((report.counts(part) for report in self.reports), np.zeros((1, 3), dtype=np.int64))

    def f1s(self, part: str = "all") -> list[float]:
        """Of each seed [per cent]."""
        return [100 * f1(report.counts(part).sum(axis=0)) for report in self.reports]

    @cached_property
    def facts(self) -> list[dict[str, dict[str, float]]]:
        """What else was measured with each seed."""
        return [json.loads((folder / "score.json").read_text(encoding="utf-8")) for folder in self.folders]

    def mean(self, name: str) -> float:
        """Words per second."""
        return float(np.mean([fact[name]["words"] / fact[name]["seconds"] for fact in self.facts]))

    @property
    def bytes(self) -> int:
        """Of the bundle."""
        return int(self.facts[0]["size"]["total"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--sentences", type=Path, required=True)
    parser.add_argument("--seeds", type=str.split, required=True)
    parser.add_argument("--asr-text", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    gold, train = (tagged(args.sentences / f"{part}.conll", args.asr_text) for part in ("test", "train"))
    known = known_entities(train)

    def tested(folder: Path, name: str = "test", sentences: Sequence[Sentence] = gold) -> Tested:
        return Tested(tuple(folder / f"seed{seed}" / name for seed in args.seeds), tuple(sentences), known)

    systems = {path.name: tested(path) for path in (args.exp / "full").iterdir() if path.is_dir()}
    systems = {name: systems[name] for name in sorted(systems, key=order)}
    args.out.mkdir(parents=True, exist_ok=True)
    save(args.out / "1_systems.tsv", systems_table(systems))
    lines = headline(systems)
    shares = {float(path.name.removeprefix("share")): path for path in args.exp.glob("share*")}
    if shares:
        curves: dict[float, dict[str, Tested]] = {
            share: {path.name: tested(path) for path in sorted(shares[share].iterdir()) if path.is_dir()}
            for share in sorted(shares)
        }
        names = sorted(next(iter(curves.values())), key=order)
        curves[1.0] = {name: systems[name] for name in names}
        sizes = {share: max(1, round(share * len(train))) for share in curves}
        save(args.out / "2_curve.tsv", curve_table(curves, names, sizes))
        points = {name: [(n, *measured(curves[share][name])) for share, n in sizes.items()] for name in names}
        learning_curve(points, args.out / "1_curve.png", "training sentences", "F1 of entities [%]")
        for share, found in curves.items():
            lines += [
                gap_line(f"{name} with {100 * share:g} % of the sentences", found[WORDS], found[name])
                for name in names
                if name != WORDS
            ]
    if (args.exp / "harder").is_dir():
        save(args.out / "3_harder.tsv", harder_table(args.exp, systems, args.asr_text))
    (args.out / "scores.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def tagged(path: Path, asr: bool = False) -> list[Sentence]:
    """The sentences of a file, in the form that was scored."""
    problems = Problems()
    found, total = read([path], problems, tagged=True)
    problems.settle(total)
    return [one for one in (map(spoken, found) if asr else found) if one.words]


def order(name: str) -> tuple[bool, int, str]:
    """Words first, then subwords alone, then both."""
    return name != WORDS, name.count("+") + 10 * name.startswith(WORDS), name


def f1(counts: Ints) -> float:
    right, found, entities = map(float, counts)
    return 2 * right / (found + entities) if found + entities else float("nan")


def measured(system: Tested, part: str = "all") -> tuple[float, float, float]:
    """F1 of all seeds together, and its interval [per cent]."""
    counts = system.counts(part)
    low, high = quantiles(bootstrap(counts[:, None], DRAWS, 0)[:, 0])
    return 100 * f1(counts.sum(axis=0)), low, high


def change(before: Tested, after: Tested, part: str = "all") -> tuple[float, float, float]:
    """By how many points F1 is higher afterwards, and the interval; the sentences are the same ones."""
    both = np.stack([before.counts(part), after.counts(part)], axis=1)
    draws = bootstrap(both, DRAWS, 0)
    values = [100 * f1(counts) for counts in both.sum(axis=0)]
    return values[1] - values[0], *quantiles(draws[:, 1] - draws[:, 0])


def gap_line(name: str, before: Tested, after: Tested, measure: str = "F1-CHANGE", part: str = "all") -> str:
    value, low, high = change(before, after, part)
    return f"%{measure} {value:+.2f} [ {low:+.2f} to {high:+.2f} points, 95 % ] {name}, against words"


def headline(systems: dict[str, Tested]) -> list[str]:
    """Every system's F1, of all entities and of unseen ones; what subwords change; sizes."""
    lines = []
    for part, measure in (("all", "F1"), ("unseen", "F1-unseen")):
        for name, system in systems.items():
            value, low, high = measured(system, part)
            seeds = " ".join(f"{one:.2f}" for one in system.f1s(part))
            lines.append(f"%{measure} {value:.2f} [ 95 %: {low:.2f} to {high:.2f}; seeds {seeds} ] {name}")
    for part, measure in (("all", "F1-CHANGE"), ("unseen", "F1-unseen-CHANGE")):
        for name, system in systems.items():
            if name != WORDS:
                lines.append(gap_line(name, systems[WORDS], system, measure, part))
    for name, system in systems.items():
        if not name.startswith(WORDS):
            whole = systems[WORDS].bytes
            share = 100 * system.bytes / whole
            lines.append(f"%SIZE {share:.2f} [ {system.bytes} / {whole} bytes ] bundle of {name}, of that of words")
    return lines


def systems_table(systems: dict[str, Tested]) -> list[tuple[str, ...]]:
    """A row for each system."""
    rows = [
        (
            "a word's vector is made of",
            "F1",
            "F1 against words",
            "F1 of unseen entities",
            "against words",
            "F1 of seen ones",
            "bundle [bytes]",
            "of words' [%]",
            "words/s",
            "words/s, one sentence at a time",
        )
    ]
    words = systems[WORDS]
    for name, system in systems.items():
        changes = ["" if name == WORDS else interval(*change(words, system, part), "+") for part in ("all", "unseen")]
        rows.append(
            (
                name.replace("+", ", "),
                interval(*measured(system)),
                changes[0],
                interval(*measured(system, "unseen")),
                changes[1],
                f"{measured(system, 'seen')[0]:.2f}",
                f"{system.bytes:,}",
                f"{100 * system.bytes / words.bytes:.1f}",
                f"{system.mean('speed'):,.0f}",
                f"{system.mean('speed_alone'):,.0f}",
            )
        )
    return rows


def interval(value: float, low: float, high: float, sign: str = "") -> str:
    return f"{value:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


def curve_table(
    curves: dict[float, dict[str, Tested]], names: Sequence[str], sizes: dict[float, int]
) -> list[tuple[str, ...]]:
    """F1 by share of the training data, and by how much systems differ from words."""
    rows: list[tuple[str, ...]] = [
        ("sentences", *(name.replace("+", ", ") for name in names), *(f"{name} - words" for name in names[1:]))
    ]
    for share, found in curves.items():
        rows.append(
            (
                f"{100 * share:g} % ({sizes[share]})",
                *(interval(*measured(found[name])) for name in names),
                *(interval(*change(found[WORDS], found[name]), "+") for name in names[1:]),
            )
        )
    return rows


def harder_table(exp: Path, systems: dict[str, Tested], asr: bool) -> list[tuple[str, ...]]:
    """F1 on each corrupted test set, and what it costs against the test set as it is."""
    sets = sorted(path.parent for path in (exp / "harder").glob("*/sentences.conll"))
    names = [name for name in systems if all((folder / sets[0].name).is_dir() for folder in parents(systems[name]))]
    rows: list[tuple[str, ...]] = [("test set", *(name.replace("+", ", ") for name in names))]
    rows.append(("as it is", *(f"{measured(systems[name])[0]:.2f}" for name in names)))
    for folder in sets:
        gold = tuple(tagged(folder / "sentences.conll", asr))
        cells = []
        for name in names:
            system = systems[name]
            found = Tested(tuple(one / folder.name for one in parents(system)), gold, system.known)
            cells.append(f"{measured(found)[0]:.2f} ({interval(*change(system, found), '+')})")
        rows.append((folder.name.replace("_", " "), *cells))
    return rows


def parents(system: Tested) -> list[Path]:
    """The folders of the seeds."""
    return [folder.parent for folder in system.folders]


def save(path: Path, rows: Sequence[tuple[str, ...]]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
