"""What rescoring does to users' names: how many come out whole, before and after, and the word errors elsewhere.

Reads what `voxkit lm-nce rescore --out` wrote into `<exp>/seed<S>/`: `words`, `classes`, `names` and `words_strong` of
one first pass; and the table of names in the test text that `names_text.py` writes. A name is whole if each word of it
is recognised, with nothing in between; errors that are not between the first and the last word of a name are outside of
names. Writes a table into --out, and scores.txt, whose `%` lines are the headline. Intervals are bootstraps over
speakers, with the same draws before and after, and over seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rescore_table import FIRST, Errors, Row, interval

from voxkit.commands.lm_nce.second_pass import before_and_after
from voxkit.data.text import normaliser
from voxkit.metrics.edit import Pair, count
from voxkit.metrics.report import Report, Scored

SYSTEMS = {
    "words": "rescored by words alone",
    "classes": "rescored with classes, without names",
    "names": "rescored with classes and users' names",
    "words_strong": "rescored by words alone, weighted as with names",
}
COUNTED = {
    "WER": "% of all words",
    "OUTSIDE": "% of words outside of names",
    "NAMES": "% of names are not whole",
    "LOST": "% of names that the first pass had whole",
    "MENDED": "% of names that the first pass had not whole",
}
OF_FIRST = ("LOST", "MENDED")  # 0 in the first pass
Span = tuple[int, int]
Spans = Mapping[str, Sequence[Span]]


@dataclass(frozen=True)
class Heard:
    """What a system makes of all utterances, (U,) of each seed, and of the N names in them.

    Attributes:
        outside: (S, U) errors outside of names, and `words` (U,) outside of names.
        whole: (S, N) names that are whole; `owners` (N,) are the utterances that they are in.
    """

    scored: Sequence[Sequence[Scored]]
    outside: NDArray[np.int64]
    words: NDArray[np.int64]
    whole: NDArray[np.bool_]
    owners: NDArray[np.int64]

    @classmethod
    def of(cls, scored: Sequence[Sequence[Scored]], spans: Spans) -> Heard:
        outside, words, whole, owners = [], [], [], []
        for seed in scored:
            utterances = Report(seed, "none").utterances
            left = [count(elsewhere(one.pairs, spans.get(one.ref, ()))) for one in utterances]
            outside.append([one.count for one in left])
            words.append([one.total for one in left])
            whole.append([is_whole(one.pairs, span) for one in utterances for span in spans.get(one.ref, ())])
            owners.append([n for n, one in enumerate(utterances) for _ in spans.get(one.ref, ())])
        return cls(scored, np.array(outside), np.array(words[0]), np.array(whole, dtype=bool), np.array(owners[0]))

    def errors(self, first: Heard) -> dict[str, Errors]:
        """What is counted, see COUNTED; the last two of names that the first pass had or had not."""
        units, _ = Report(self.scored[0], "none").units
        owners = [units[owner] for owner in self.owners]
        had = first.whole[0]
        return {
            "WER": Errors.of(self.scored),
            "OUTSIDE": by_unit(units, self.outside, self.words),
            "NAMES": by_unit(owners, ~self.whole, np.ones(len(owners))),
            "LOST": by_unit(owners, ~self.whole & had, had),
            "MENDED": by_unit(owners, self.whole & ~had, ~had),
        }


def by_unit(units: Sequence[str], errors: NDArray[np.generic], of: NDArray[np.generic]) -> Errors:
    """(S, N) errors of (N,) items of these units, summed."""
    known, places = np.unique(units, return_inverse=True)
    sums = [np.bincount(places, row.astype(np.float64), len(known)) for row in (*errors, of)]
    return Errors(np.array(sums[:-1]), sums[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--names", type=Path, required=True, help="sentence, first word, word after the last")
    parser.add_argument("--seeds", type=str.split, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    spans = read_spans(args.names)
    heard: dict[str, Heard] = {}
    for name, text in SYSTEMS.items():
        pairs = [before_and_after(args.exp / f"seed{seed}" / name / "hypotheses.jsonl.gz") for seed in args.seeds]
        if not any(one.ref in spans for one in pairs[0][0]):
            sys.exit(f"{args.names}: has none of the sentences that were recognised")
        heard.setdefault(FIRST, Heard.of([pairs[0][0]], spans))
        heard[text] = Heard.of([after for _, after in pairs], spans)
    found = {name: one.errors(heard[FIRST]) for name, one in heard.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "scores.txt").write_text("".join(f"{line}\n" for line in headline(found)), encoding="utf-8")
    table = "".join("\t".join(row) + "\n" for row in rows(found))
    (args.out / "1_names.tsv").write_text(table, encoding="utf-8")


def read_spans(path: Path) -> Spans:
    """The words [first, end) that are names, by sentence."""
    clean, spans = normaliser("asr_en"), defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        sentence, begin, end = line.split("\t")
        spans[clean(sentence)].append((int(begin), int(end)))
    return spans


def columns(pairs: Sequence[Pair], span: Span) -> slice:
    """Those of an alignment from the first to the last word of a name."""
    places = [place for place, pair in enumerate(pairs) if pair.op != "ins"]
    return slice(places[span[0]], places[span[1] - 1] + 1)


def is_whole(pairs: Sequence[Pair], span: Span) -> bool:
    return all(pair.op == "cor" for pair in pairs[columns(pairs, span)])


def elsewhere(pairs: Sequence[Pair], spans: Sequence[Span]) -> list[Pair]:
    """An alignment without its names."""
    left = list(pairs)
    for span in sorted(spans, reverse=True):
        del left[columns(pairs, span)]
    return left


def headline(found: Mapping[str, Mapping[str, Errors]]) -> list[str]:
    """Every count, and relative changes against the first pass, and of users' names against words alone."""
    lines = []
    for kind, unit in COUNTED.items():
        for name, errors in found.items():
            one = errors[kind]
            if one.words.any() and (name != FIRST or kind not in OF_FIRST):
                each = " ".join(f"{rate:.2f}" for rate in one.rates)
                lines.append(f"%{kind} {one.rate:.2f} [ {unit}, {one.words.sum():.0f}; seeds {each} ] {name}")
    compared = [(name, FIRST) for name in SYSTEMS.values()] + [(SYSTEMS["names"], SYSTEMS["words"])]
    for kind in ("WER", "NAMES"):
        for name, before in compared:
            if found[before][kind].errors.any():
                value, low, high = found[name][kind].change(found[before][kind])
                told = f"{value:+.1f} [ {kind}, {low:+.1f} to {high:+.1f} %, 95 % ]"
                lines.append(f"%RELATIVE {told} {name}, against {before}")
    return lines


def rows(found: Mapping[str, Mapping[str, Errors]]) -> list[Row]:
    head = ("", "WER", "relative change", "WER outside names", "relative change", "names that are not whole [%]")
    table: list[Row] = [(*head, "relative change", "lost of the first pass's [%]", "mended of its others [%]")]
    for name, errors in found.items():
        row = [name]
        for kind in ("WER", "OUTSIDE", "NAMES"):
            before = found[FIRST][kind]
            changes = name != FIRST and before.errors.any()
            row += [f"{errors[kind].rate:.2f}", interval(errors[kind].change(before)) if changes else ""]
        told = (errors[kind] for kind in OF_FIRST)
        table.append((*row, *(f"{one.rate:.1f}" if name != FIRST and one.words.any() else "" for one in told)))
    return table


if __name__ == "__main__":
    main()
