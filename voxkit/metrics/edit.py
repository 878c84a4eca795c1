"""Alignments of token sequences and the errors in them (Levenshtein distance, through kaldialign)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Op = Literal["cor", "sub", "ins", "del"]
_GAP = "\0"


class Pair(NamedTuple):
    """One column of an alignment; `ref` is empty in an insertion, `hyp` in a deletion."""

    op: Op
    ref: str
    hyp: str


@dataclass(frozen=True)
class Errors:
    """Error counts of `total` reference tokens; they add up with `+`."""

    total: int = 0
    insertions: int = 0
    deletions: int = 0
    substitutions: int = 0

    @property
    def count(self) -> int:
        return self.insertions + self.deletions + self.substitutions

    @property
    def rate(self) -> float:
        """Errors per 100 reference tokens (per one, where there is no reference)."""
        return 100 * self.count / max(self.total, 1)

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.total + other.total,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.substitutions + other.substitutions,
        )

    def line(self, name: str, path: object) -> str:
        """Kaldi's score line, made for `grep | sort`.

        >>> Errors(773, 4, 6, 23).line("WER", "exp/a")
        '%WER 4.27 [ 33 / 773, 4 ins, 6 del, 23 sub ] exp/a'
        """
        counts = f"{self.insertions} ins, {self.deletions} del, {self.substitutions} sub"
        return f"%{name} {self.rate:.2f} [ {self.count} / {self.total}, {counts} ] {path}"


def align(ref: Sequence[str], hyp: Sequence[str]) -> list[Pair]:
    """The cheapest alignment, every error costing one.

    >>> [pair.op for pair in align("a b c".split(), "a x c d".split())]
    ['cor', 'sub', 'cor', 'ins']
    """
    import kaldialign

    return list(_pairs(kaldialign.align(list(ref), list(hyp), _GAP)))


def _pairs(columns: Sequence[tuple[str, str]]) -> Iterator[Pair]:
    for ref, hyp in columns:
        if ref == _GAP:
            yield Pair("ins", "", hyp)
        elif hyp == _GAP:
            yield Pair("del", ref, "")
        else:
            yield Pair("cor" if ref == hyp else "sub", ref, hyp)


def errors(ref: Sequence[str], hyp: Sequence[str]) -> Errors:
    """Error counts between two token sequences (strings count by character)."""
    import kaldialign

    found = kaldialign.edit_distance(list(ref), list(hyp))
    return Errors(len(ref), found["ins"], found["del"], found["sub"])


def count(pairs: Sequence[Pair]) -> Errors:
    """Error counts of an alignment."""
    ops = [pair.op for pair in pairs]
    return Errors(len(ops) - ops.count("ins"), ops.count("ins"), ops.count("del"), ops.count("sub"))
