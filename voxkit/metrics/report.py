"""Recognition scored: `%WER` lines, score.json, alignments that people can read, tables, confidence intervals."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from voxkit.data.text import normaliser
from voxkit.metrics.edit import Errors, Pair, align, count, errors


@dataclass(frozen=True)
class Scored:
    """One utterance with reference and hypothesis, both normalised; `groups` such as {"speaker": "fcaw"}."""

    id: str
    ref: str
    hyp: str
    groups: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def pairs(self) -> list[Pair]:
        return align(self.ref.split(), self.hyp.split())

    @cached_property
    def words(self) -> Errors:
        return count(self.pairs)

    @cached_property
    def characters(self) -> Errors:
        """Errors of characters, the spaces between words among them."""
        return errors(self.ref, self.hyp)


class Report:
    """The scores of a set of utterances.

    Args:
        utterances: what was recognised, references and hypotheses as they are.
        normaliser_name: applied to both (voxkit.data.text).
        oracle: the word errors of the best paths in their lattices, if there are any.
    """

    def __init__(
        self, utterances: Sequence[Scored], normaliser_name: str = "none", oracle: Errors | None = None
    ) -> None:
        self.oracle = oracle
        clean = normaliser(normaliser_name)
        self.normaliser = normaliser_name
        self.utterances = [Scored(u.id, clean(u.ref), clean(u.hyp), u.groups) for u in utterances]

    @cached_property
    def words(self) -> Errors:
        return sum((u.words for u in self.utterances), Errors())

    @cached_property
    def characters(self) -> Errors:
        return sum((u.characters for u in self.utterances), Errors())

    @property
    def wrong_sentences(self) -> int:
        return sum(u.words.count > 0 for u in self.utterances)

    def lines(self, path: object) -> list[str]:
        """`%WER`, `%CER`, `%SER` and (oracle) `%OWER` lines, and what they depend on."""
        low, high, unit = self.interval()
        wrong, total = self.wrong_sentences, len(self.utterances)
        return [
            self.words.line("WER", path),
            self.characters.line("CER", path),
            f"%SER {100 * wrong / max(total, 1):.2f} [ {wrong} / {total} ] {path}",
            *([] if self.oracle is None else [self.oracle.line("OWER", path)]),
            f"normaliser {self.normaliser}; WER lies in {low:.2f} to {high:.2f} (95 % bootstrap over {unit})",
        ]

    @cached_property
    def units(self) -> tuple[list[str], str]:
        """What each utterance belongs to that a bootstrap draws, and what these are called.

        Speakers are drawn where there are at least five, since the utterances of one are not independent.
        """
        speakers = [utterance.groups.get("speaker", "") for utterance in self.utterances]
        if len(set(speakers)) >= 5:
            return speakers, "speakers"
        return [str(number) for number in range(len(speakers))], "utterances"

    def interval(self, replications: int = 2000, seed: int = 0) -> tuple[float, float, str]:
        """The 95 % interval of WER by the bootstrap (Bisani and Ney 2004) over `units`, and what was drawn."""
        units: defaultdict[str, Errors] = defaultdict(Errors)
        labels, kind = self.units
        for utterance, label in zip(self.utterances, labels, strict=True):
            units[label] += utterance.words
        drawn = list(units.values())
        if not drawn:
            return 0.0, 0.0, "nothing"
        table = np.array([(e.count, e.total) for e in drawn], dtype=np.float64)
        picks = np.random.default_rng(seed).integers(len(drawn), size=(replications, len(drawn)))
        sums = table[picks].sum(axis=1)
        low, high = np.quantile(100 * sums[:, 0] / np.maximum(sums[:, 1], 1), [0.025, 0.975])
        return float(low), float(high), f"{len(drawn)} {kind}"

    def by(self, group: str) -> dict[str, Errors]:
        """Word errors of each speaker, dialect or the like, sorted by name."""
        found: defaultdict[str, Errors] = defaultdict(Errors)
        for utterance in self.utterances:
            if group in utterance.groups:
                found[utterance.groups[group]] += utterance.words
        return dict(sorted(found.items()))

    def confusions(self) -> list[tuple[int, str, str]]:
        """(count, reference word, recognised word) of all errors, most frequent first; the missing side is empty."""
        found = Counter((p.ref, p.hyp) for u in self.utterances for p in u.pairs if p.op != "cor")
        return sorted(((n, ref, hyp) for (ref, hyp), n in found.items()), key=lambda item: (-item[0], item[1:]))

    def as_dict(self) -> dict[str, Any]:
        """What `score.json` holds."""
        low, high, unit = self.interval()
        total = len(self.utterances)
        return {
            "wer": {**_numbers(self.words), "low": low, "high": high, "bootstrap": unit},
            "cer": _numbers(self.characters),
            "ser": {"rate": 100 * self.wrong_sentences / max(total, 1), "errors": self.wrong_sentences, "total": total},
            **({} if self.oracle is None else {"oracle_wer": _numbers(self.oracle)}),
            "normaliser": self.normaliser,
            **{f"by_{g}": {name: _numbers(e) for name, e in self.by(g).items()} for g in self._groups},
        }

    @property
    def _groups(self) -> list[str]:
        return sorted({group for utterance in self.utterances for group in utterance.groups})

    def write(self, folder: Path) -> None:
        """Write score.json, alignment.txt, confusions.tsv and a table for each group into an existing folder."""
        (folder / "score.json").write_text(json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n", "utf-8")
        (folder / "alignment.txt").write_text("\n".join(map(alignment_text, self.utterances)), "utf-8")
        rows = "".join(f"{n}\t{ref or '-'}\t{hyp or '-'}\n" for n, ref, hyp in self.confusions())
        (folder / "confusions.tsv").write_text("count\treference\trecognised\n" + rows, "utf-8")
        for group in self._groups:
            (folder / f"by_{group}.tsv").write_text(_table(group, self.by(group), self.words), "utf-8")


def alignment_text(utterance: Scored, name: str = "", notes: Sequence[str] = ()) -> str:
    """An utterance as columns of reference, hypothesis and operation; only errors have one (S, D or I).

    Args:
        name: of one more row, with a note for each word of the hypothesis.
    """
    rows: list[list[str]] = [["ref"], ["hyp"], ["op"], *([[name]] if name else [])]
    waiting = iter(notes)
    for pair in utterance.pairs:
        mark = {"cor": "", "sub": "S", "del": "D", "ins": "I"}[pair.op]
        cells = [pair.ref or "*", pair.hyp or "*", mark]
        if name:
            cells.append(next(waiting) if pair.hyp else "")
        width = max(_width(cell) for cell in cells)
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell + " " * (width - _width(cell)))
    rows = [[row[0].ljust(max(len(name), 3)), *row[1:]] for row in rows]
    head = f"{utterance.id}  {utterance.words.count} errors in {utterance.words.total} words"
    return "\n".join([head, *("  ".join(row).rstrip() for row in rows)]) + "\n"


def _width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _numbers(e: Errors) -> dict[str, float]:
    return {"rate": e.rate, "errors": e.count, "total": e.total} | {
        "insertions": e.insertions,
        "deletions": e.deletions,
        "substitutions": e.substitutions,
    }


def _table(group: str, found: Mapping[str, Errors], everything: Errors) -> str:
    rows = [f"{group}\twer\terrors\twords\tins\tdel\tsub"]
    for name, e in [*found.items(), ("(all)", everything)]:
        counts = (e.count, e.total, e.insertions, e.deletions, e.substitutions)
        rows.append("\t".join([name, f"{e.rate:.2f}", *map(str, counts)]))
    return "\n".join(rows) + "\n"
