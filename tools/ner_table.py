"""What characters, phones, bytes and words are worth for finding entities, alone and together.

Reads what `voxkit ner score --out` wrote: `<exp>/full/<system>/seed<S>/test` of every system, `<exp>/share<X>/...` of
those that learnt from a share of the sentences, `<exp>/full/<system>/seed<S>/<name>` for the corrupted test set
`<exp>/harder/<name>`, and `<exp>/alone/<system>`, scored with nothing else running. Writes tables and a picture into
--out, and scores.txt, whose `%` lines are the headline. Counts of all seeds are added up; intervals are bootstraps over
sentences (the same draws for all systems) and over the seeds of each system.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from voxkit.data.tagged_files import read
from voxkit.data.tagging import Sentence
from voxkit.errors import Problems
from voxkit.metrics.calibration import Interval
from voxkit.metrics.entities import EntityReport, known_entities
from voxkit.metrics.entity_bootstrap import Measure, PartName, over_seeds, paired_difference
from voxkit.metrics.learning_curve import learning_curve

WORDS, CASED = "words", "words_cased"
DRAWS = 2000
Row = tuple[str, ...]


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

    def measured(self, part: PartName = "all", measure: Measure = "f1") -> Interval:
        return over_seeds(self.reports, part, measure, DRAWS)

    def change(
        self, before: Tested, part: PartName = "all", measure: Measure = "f1", same_models: bool = False
    ) -> Interval:
        """By how many points this system is better than another, or (`same_models`) than itself on other sentences."""
        return paired_difference(before.reports, self.reports, part, measure, DRAWS, same_models=same_models)

    @property
    def bytes(self) -> int:
        """Of the bundle."""
        return int(facts(self.folders[0])["size"]["total"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--sentences", type=Path, required=True)
    parser.add_argument("--seeds", type=str.split, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    gold, train = (tagged(args.sentences / f"{part}.conll") for part in ("test", "train"))
    known = known_entities(train)

    def tested(parent: Path) -> dict[str, Tested]:
        names = sorted((path.name for path in parent.iterdir() if path.is_dir()), key=order)
        folders = {name: tuple(parent / name / f"seed{seed}" / "test" for seed in args.seeds) for name in names}
        return {name: Tested(folders[name], gold, known) for name in names}

    systems = tested(args.exp / "full")
    lines = headline(systems)
    args.out.mkdir(parents=True, exist_ok=True)
    save(args.out / "1_systems.tsv", systems_table(systems, args.exp / "alone"))
    if shares := {float(path.name.removeprefix("share")): path for path in args.exp.glob("share*")}:
        curves = {share: tested(shares[share]) for share in sorted(shares)}
        names = list(curves[min(curves)])
        curves[1.0] = {name: systems[name] for name in names}
        sizes = {share: max(1, round(share * len(train))) for share in curves}
        save(args.out / "2_curve.tsv", curve_table(curves, names, sizes))
        points = {name: [(n, *curves[share][name].measured()) for share, n in sizes.items()] for name in names}
        learning_curve(points, args.out / "1_curve.png", "training sentences", "F1 of entities [%]", from_zero=False)
        for share, found in curves.items():
            of = f"with {100 * share:g} % of the sentences"
            lines += [gap(f"{name} {of}", found[WORDS], found[name]) for name in names if name != WORDS]
    if (args.exp / "harder").is_dir():
        save(args.out / "3_harder.tsv", harder_table(args.exp, systems))
    (args.out / "scores.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def tagged(path: Path) -> tuple[Sentence, ...]:
    """The sentences of a file."""
    problems = Problems()
    found, total = read([path], problems, tagged=True)
    problems.settle(total)
    return tuple(found)


def facts(folder: Path) -> dict[str, Any]:
    """What `ner score` measured."""
    return dict(json.loads((folder / "score.json").read_text(encoding="utf-8")))


def order(name: str) -> tuple[bool, bool, int, str]:
    """Words first, then subwords alone, then both."""
    return name not in (WORDS, CASED), name.startswith(f"{WORDS}+"), name.count("+"), name


def title(name: str) -> str:
    return "words, with their case" if name == CASED else name.replace("+", ", ")


def gap(
    name: str, before: Tested, after: Tested, suffix: str = "", part: PartName = "all", measure: Measure = "f1"
) -> str:
    value, low, high = after.change(before, part, measure)
    head = f"{measure.upper()}{suffix}-CHANGE"
    return f"%{head} {value:+.2f} [ {low:+.2f} to {high:+.2f} points, 95 % ] {name}, against words"


def headline(systems: dict[str, Tested]) -> list[str]:
    """Every system's F1, of all entities and of unseen ones; what subwords change; sizes."""
    lines = []
    parts: list[tuple[PartName, Measure, str]] = [
        ("all", "f1", ""),
        ("unseen", "f1", "-unseen"),
        ("unseen", "recall", "-unseen"),
    ]
    for part, measure, suffix in parts:
        for name, system in systems.items():
            value, low, high = system.measured(part, measure)
            seeds = (getattr(report.parts[part].micro, measure) for report in system.reports)
            told = f"95 %: {low:.2f} to {high:.2f}; seeds {' '.join(f'{one:.2f}' for one in seeds)}"
            lines.append(f"%{measure.upper()}{suffix} {value:.2f} [ {told} ] {name}")
    for part, measure, suffix in parts:
        others = [name for name in systems if name != WORDS]
        lines += [gap(name, systems[WORDS], systems[name], suffix, part, measure) for name in others]
    for name, system in systems.items():
        if not name.startswith(WORDS):
            whole = systems[WORDS].bytes
            share = 100 * system.bytes / whole
            lines.append(f"%SIZE {share:.2f} [ {system.bytes} / {whole} bytes ] bundle of {name}, of that of words")
    return lines


def systems_table(systems: dict[str, Tested], alone: Path) -> list[Row]:
    """A row for each system; the speeds of one core where they were measured with nothing else running."""
    timed = {name: facts(alone / name) for name in systems if (alone / name).is_dir()}
    speeds = ("words/s", "words/s, one sentence at a time") if timed else ()
    rows: list[Row] = [
        (
            *("a word's vector is made of", "F1", "F1 against words", "F1 of unseen entities", "against words"),
            *("recall of unseen ones", "against words", "F1 of seen ones", "bundle [bytes]", "of words' [%]"),
            *speeds,
        )
    ]
    words = systems[WORDS]
    kinds: list[tuple[PartName, Measure]] = [("all", "f1"), ("unseen", "f1"), ("unseen", "recall")]
    for name, system in systems.items():
        cells = [title(name)]
        for kind in kinds:
            cells.append(interval(system.measured(*kind)))
            cells.append("" if name == WORDS else interval(system.change(words, *kind), "+"))
        cells += [
            f"{system.measured('seen').value:.2f}",
            f"{system.bytes:,}",
            f"{100 * system.bytes / words.bytes:.1f}",
        ]
        cells += [speed(timed.get(name), key) for key in ("speed", "speed_alone")] if timed else []
        rows.append(tuple(cells))
    return rows


def speed(found: dict[str, Any] | None, key: str) -> str:
    """Words per second."""
    return "" if found is None else f"{found[key]['words'] / found[key]['seconds']:,.0f}"


def interval(found: Interval, sign: str = "") -> str:
    return f"{found.value:{sign}.2f} ({found.low:{sign}.2f} to {found.high:{sign}.2f})"


def curve_table(curves: dict[float, dict[str, Tested]], names: Sequence[str], sizes: dict[float, int]) -> list[Row]:
    """F1 by share of the training data, and by how much systems differ from words."""
    others = [name for name in names if name != WORDS]
    rows: list[Row] = [("sentences", *map(title, names), *(f"{title(name)} - words" for name in others))]
    for share, found in curves.items():
        values = (interval(found[name].measured()) for name in names)
        changes = (interval(found[name].change(found[WORDS]), "+") for name in others)
        rows.append((f"{100 * share:g} % ({sizes[share]})", *values, *changes))
    return rows


def harder_table(exp: Path, systems: dict[str, Tested]) -> list[Row]:
    """F1 on each corrupted test set, and what it costs against the test set as it is."""
    sets = sorted(path.parent for path in (exp / "harder").glob("*/sentences.conll"))
    names = [name for name, one in systems.items() if all((f.parent / sets[0].name).is_dir() for f in one.folders)]
    rows: list[Row] = [("test set", "words changed", *map(title, names))]
    rows.append(("as it is", "", *(interval(systems[name].measured()) for name in names)))
    for folder in sets:
        changed = (folder / "summary.txt").read_text(encoding="utf-8").splitlines()[0]
        cells = []
        for name in names:
            places = tuple(one.parent / folder.name for one in systems[name].folders)
            found = Tested(places, tagged(folder / "sentences.conll"), systems[name].known)
            change = found.change(systems[name], same_models=True)
            cells.append(f"{found.measured().value:.2f}, {interval(change, '+')}")
        rows.append((folder.name.replace("_", " "), changed, *cells))
    return rows


def save(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
