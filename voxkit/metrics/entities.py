"""Entities scored: precision, recall and F1 by type, of entities seen and not seen in training, what is taken for what.

An entity is right if its label and its words are. Precision, recall and F1 are those of seqeval (Nakayama 2018), and so
are entities: those of its strict mode with the scheme IOB2, but with labels as they are, also where these begin or end
with a hyphen. There an `I-` that goes on with nothing is no entity, where
conlleval (Tjong Kim Sang and Buchholz 2000) begins one. As seqeval has it, precision is 0 where nothing was found, and
recall 0 where there is nothing to find. Where there is neither, measures are NaN here, `-` in tables and null in JSON.

Entities not seen in training are what a tagger is for (Augenstein, Derczynski and Bontcheva 2017), so they are scored
apart. Distinct surface forms are the second measure of WNUT-17 (Derczynski et al. 2017): each form with its label
counts once, however often it is there, and is right if it was found rightly at any place.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voxkit.data.tagging import Entity, Sentence, entities
from voxkit.errors import UserError
from voxkit.metrics.calibration import Interval, quantiles
from voxkit.metrics.entity_bootstrap import Ints, PartName, measured
from voxkit.metrics.resampling import resampled

Measures = tuple[float, float, float]  # precision, recall, F1 [per cent]

NAN = float("nan")
_BIO = re.compile(r"O|[BI]-.+", re.DOTALL)
_ABSENT = "-"  # in tables: no value, no label


class Scores(NamedTuple):
    """Entities compared.

    Attributes:
        precision, recall, f1: [per cent]; NaN where nothing is tagged and nothing was found.
        right: entities that were found as they are.
        found: entities that were found.
        entities: those that there are.
    """

    precision: float
    recall: float
    f1: float
    right: int
    found: int
    entities: int

    @classmethod
    def of(cls, right: int, found: int, entities: int) -> Scores:
        """From counts, the measures as seqeval has them."""
        if not found + entities:
            return cls(NAN, NAN, NAN, 0, 0, 0)
        precision, recall, f1 = right / max(found, 1), right / max(entities, 1), 2 * right / (found + entities)
        return cls(100 * precision, 100 * recall, 100 * f1, right, found, entities)

    def line(self, name: str, path: object, more: str = "") -> str:
        """A score line, made for `grep | sort`.

        >>> Scores.of(3, 4, 6).line("F1", "exp/a")
        '%F1 60.00 [ P 75.00, R 50.00, 3 right, 4 found, 6 entities ] exp/a'
        """
        counts = f"{self.right} right, {self.found} found, {self.entities} entities"
        return f"%{name} {self.f1:.2f} [ P {self.precision:.2f}, R {self.recall:.2f}, {counts}{more} ] {path}"


class Means(NamedTuple):
    """Plain means over the types that are tagged or were found [per cent], and how many these are; NaN over none."""

    precision: float
    recall: float
    f1: float
    types: int


@dataclass(frozen=True)
class Part:
    """Some of the entities: `micro` counts each alike, `macro` each type; `by_type` is sorted by label."""

    micro: Scores
    macro: Means
    by_type: dict[str, Scores]


class Confusion(NamedTuple):
    """Entities taken for others with which they share words; the missing side is empty.

    Attributes:
        times: how often.
        gold, found: labels.
        exact: whether the words are the same.
    """

    times: int
    gold: str
    found: str
    exact: bool


class EntityReport:
    """The scores of a tagger.

    Args:
        sentences: tagged, the reference.
        found: the BIO tags that each was given.
        known: pairs of label and surface in the training data (`known_entities`), to score unseen entities apart. An
            entity, tagged or found, is unseen if it is not among them.
        replications, seed: of the bootstrap; without replications there are no intervals, whose ends are NaN.

    Raises:
        UserError: there are no sentences.
        ValueError: a sentence without tags, numbers of tags that differ, or tags that are not BIO.
    """

    def __init__(
        self,
        sentences: Sequence[Sentence],
        found: Sequence[Sequence[str]],
        known: Collection[tuple[str, str]] | None = None,
        replications: int = 1000,
        seed: int = 0,
    ) -> None:
        if not sentences:
            raise UserError("no sentences to score", fix="check that the file with the reference is the right one")
        for sentence, tags in zip(sentences, found, strict=True):
            if sentence.tags is None or len(sentence.tags) != len(tags):
                expected = "no tags" if sentence.tags is None else f"{len(sentence.tags)} tags"
                raise ValueError(f"{sentence.id}: {expected}, and {len(tags)} were found")
        self.sentences = tuple(sentences)
        self._known = None if known is None else frozenset(known)
        self._replications, self._seed = replications, seed
        self.gold = _strict(sentence.tags or () for sentence in sentences)
        self.found = _strict(found)

    @cached_property
    def parts(self) -> dict[PartName, Part]:
        """All entities; and those seen and unseen in training, where that is known."""
        names: tuple[PartName, ...] = ("all",) if self._known is None else ("all", "seen", "unseen")
        return {name: self._part(name) for name in names}

    @property
    def seen(self) -> Part | None:
        """The entities that are in the training data; None if that is not known."""
        return self.parts.get("seen")

    @property
    def unseen(self) -> Part | None:
        """The entities that are not in the training data; None if that is not known."""
        return self.parts.get("unseen")

    @property
    def micro(self) -> Scores:
        """Of all entities, each counted alike."""
        return self.parts["all"].micro

    @property
    def macro(self) -> Means:
        """Of all entities, each type counted alike."""
        return self.parts["all"].macro

    @property
    def by_type(self) -> dict[str, Scores]:
        """Of all entities, sorted by label."""
        return self.parts["all"].by_type

    @cached_property
    def by_group(self) -> dict[str, Scores]:
        """Of the sentences of each group, sorted by name; empty if no sentence has one."""
        groups = np.array([sentence.group for sentence in self.sentences])
        counts = self.counts()
        names = sorted({sentence.group for sentence in self.sentences} - {""})
        return {name: Scores.of(*map(int, counts[groups == name].sum(axis=0))) for name in names}

    def counts(self, part: PartName = "all") -> Ints:
        """(N, 3) entities that are right, that were found, and that there are, in each sentence."""
        rows = [(len(gold & found), len(found), len(gold)) for gold, found in zip(*self._sides(part), strict=True)]
        return np.array(rows, dtype=np.int64)

    @cached_property
    def spans(self) -> Scores:
        """With labels left out of account: only the words of an entity must be right."""
        gold, found = (
            {(number, entity.begin, entity.end) for number, some in enumerate(side) for entity in some}
            for side in (self.gold, self.found)
        )
        return Scores.of(len(gold & found), len(found), len(gold))

    @cached_property
    def surfaces(self) -> Scores:
        """Of distinct surface forms with their labels, as in WNUT-17; upper and lower case are different."""
        right = [gold & found for gold, found in zip(self.gold, self.found, strict=True)]
        forms = (
            {
                (entity.label, sentence.words[entity.begin : entity.end])
                for sentence, some in zip(self.sentences, side, strict=True)
                for entity in some
            }
            for side in (right, self.found, self.gold)
        )
        return Scores.of(*map(len, forms))

    @property
    def right_sentences(self) -> int:
        """How many sentences have no error."""
        return sum(gold == found for gold, found in zip(self.gold, self.found, strict=True))

    @cached_property
    def intervals(self) -> dict[PartName, Interval]:
        """Micro F1 [per cent] of each part with its 95 % interval, by the bootstrap over sentences.

        Draws without any entity of the part are left out.
        """
        counts = [self.counts(name)[None] for name in self.parts]
        draws = measured(resampled(counts, self._replications, self._seed), "f1")
        return {
            name: Interval(part.micro.f1, *quantiles(draws[:, place]))
            for place, (name, part) in enumerate(self.parts.items())
        }

    @cached_property
    def pairs(self) -> Counter[tuple[str, str, bool]]:
        """How often a label was given to what has a label, right ones too; the keys are those of `Confusion`.

        Each entity is paired with at most one that was found, first those with most words in common.
        """
        every: Counter[tuple[str, str, bool]] = Counter()
        for gold, found in zip(self.gold, self.found, strict=True):
            every.update(_paired(gold, found))
        return every

    def confusions(self) -> list[Confusion]:
        """All errors, the most frequent first."""
        errors = [Confusion(n, *what) for what, n in self.pairs.items() if what[0] != what[1] or not what[2]]
        return sorted(errors, key=lambda one: (-one.times, one[1:]))

    def lines(self, path: object) -> list[str]:
        """`%F1` lines: all, unseen and seen entities, surfaces, spans, macro; and `%SENTENCES` without an error."""
        heads: dict[PartName, str] = {"all": "F1", "unseen": "F1-unseen", "seen": "F1-seen"}
        scores = [
            (head, self.parts[name].micro, self._within(name)) for name, head in heads.items() if name in self.parts
        ]
        found, without = [], []
        for head, one, within in [*scores, ("F1-surface", self.surfaces, ""), ("F1-span", self.spans, "")]:
            if one.found + one.entities:
                found.append(one.line(head, path, within))
            else:
                without.append(f"no %{head}: no such entities, tagged or found")
        if self.macro.types:
            precision, recall, f1, types = self.macro
            found.append(f"%F1-macro {f1:.2f} [ P {precision:.2f}, R {recall:.2f}, mean over {types} types ] {path}")
        right, total = self.right_sentences, len(self.sentences)
        found.append(f"%SENTENCES {100 * right / total:.2f} [ {right} / {total} ] {path}")
        return [*found, *without] if self.macro.types else [*without, *found]

    def as_dict(self) -> dict[str, Any]:
        """What `score.json` holds."""
        right, total = self.right_sentences, len(self.sentences)
        numbers: dict[str, Any] = {}
        for name, part in self.parts.items():
            numbers[name] = {
                "micro": {**_known(part.micro), "interval": _known(self.intervals[name])},
                "macro": _known(part.macro),
                "by_type": {label: _known(scores) for label, scores in part.by_type.items()},
            }
        if self.by_group:
            numbers["by_group"] = {name: _known(scores) for name, scores in self.by_group.items()}
        return {
            **numbers,
            "surfaces": _known(self.surfaces),
            "spans": _known(self.spans),
            "sentences": {"rate": 100 * right / total, "right": right, "total": total},
            "bootstrap": f"{self._replications} times, over sentences",
        }

    def write(self, folder: Path, more: Mapping[str, object] | None = None) -> None:
        """Write the scores into an existing folder.

        These are score.json, by_type.tsv, by_group.tsv if there are groups, confusions.tsv, and errors.txt: every
        sentence with errors, as it is tagged and as it was found.

        Args:
            more: further entries of score.json.
        """
        numbers = {**self.as_dict(), **(more or {})}
        (folder / "score.json").write_text(json.dumps(numbers, indent=2, ensure_ascii=False) + "\n", "utf-8")
        (folder / "by_type.tsv").write_text(_table(self._type_rows()), "utf-8")
        if self.by_group:
            rows = ((name, *scores) for name, scores in [*self.by_group.items(), ("(all)", self.micro)])
            (folder / "by_group.tsv").write_text(_table([("group", *Scores._fields), *rows]), "utf-8")
        errors = [(n, gold, found, _words(gold, found, exact)) for n, gold, found, exact in self.confusions()]
        (folder / "confusions.tsv").write_text(_table([("count", "gold", "found", "words"), *errors]), "utf-8")
        (folder / "errors.txt").write_text("\n".join(self._wrong_sentences()), "utf-8")

    def _part(self, part: PartName) -> Part:
        gold, found = self._sides(part)
        labels = sorted({entity.label for side in (gold, found) for some in side for entity in some})
        if not labels:
            return Part(Scores.of(0, 0, 0), Means(NAN, NAN, NAN, 0), {})
        right = [a & b for a, b in zip(gold, found, strict=True)]
        by_label = [Counter(entity.label for some in side for entity in some) for side in (right, found, gold)]
        micro, macro, types = _seqeval(gold, found)
        by_type = {
            label: Scores(*one, *(side[label] for side in by_label)) for label, one in zip(labels, types, strict=True)
        }
        sums = (side.total() for side in by_label)
        return Part(Scores(*micro, *sums), Means(*macro, len(labels)), by_type)

    def _sides(self, part: PartName) -> tuple[list[frozenset[Entity]], list[frozenset[Entity]]]:
        """The entities of each sentence that belong to a part: those tagged, those found."""
        if part == "all":
            return self.gold, self.found
        if self._known is None:
            raise ValueError("which entities were seen in training is not known")
        known, wanted = self._known, part == "seen"
        gold, found = (
            [
                frozenset(entity for entity in some if (_form(sentence, entity) in known) == wanted)
                for sentence, some in zip(self.sentences, side, strict=True)
            ]
            for side in (self.gold, self.found)
        )
        return gold, found

    def _within(self, part: PartName) -> str:
        if not self._replications:
            return ""
        _, low, high = self.intervals[part]
        return f", 95 %: {low:.2f} to {high:.2f}"

    def _type_rows(self) -> Iterator[tuple[object, ...]]:
        """The lines of by_type.tsv; with F1 and numbers of seen and unseen entities where these are known."""
        parts = {name: part for name, part in self.parts.items() if name != "all"}
        yield ("type", *Scores._fields, *(head for name in parts for head in (f"{name}_f1", f"{name}_entities")))
        none = Scores.of(0, 0, 0)
        for label, scores in [*self.by_type.items(), ("(all)", self.micro)]:
            others = (part.micro if label == "(all)" else part.by_type.get(label, none) for part in parts.values())
            yield (label, *scores, *(cell for one in others for cell in (one.f1, one.entities)))

    def _wrong_sentences(self) -> Iterator[str]:
        """Sentences with errors; right entities are in square brackets, wrong ones in double angles."""
        for sentence, gold, found in zip(self.sentences, self.gold, self.found, strict=True):
            if gold != found:
                head = "  ".join(filter(None, (sentence.id, sentence.group, sentence.where)))
                yield f"{head}\n  gold   {_marked(sentence, gold, found)}\n  found  {_marked(sentence, found, gold)}\n"


def known_entities(sentences: Iterable[Sentence]) -> frozenset[tuple[str, str]]:
    """(label, surface in lower case, with single spaces) of every entity of tagged sentences.

    >>> sorted(known_entities([Sentence.of("1", ["New", "York"], ["B-city", "I-city"])]))
    [('city', 'new york')]
    """
    return frozenset(_form(sentence, entity) for sentence in sentences for entity in sentence.entities())


def _strict(tags: Iterable[Sequence[str]]) -> list[frozenset[Entity]]:
    """The entities in BIO tags of each sentence that begin with a `B-`.

    Raises:
        ValueError: a tag that is not BIO.
    """
    found = []
    for some in tags:
        if strange := [tag for tag in some if not _BIO.fullmatch(tag)]:
            raise ValueError(f"{strange[0]!r} is no BIO tag")
        found.append(frozenset(entity for entity in entities(some) if some[entity.begin].startswith("B")))
    return found


def _seqeval(
    gold: Sequence[frozenset[Entity]], found: Sequence[frozenset[Entity]]
) -> tuple[Measures, Measures, list[Measures]]:
    """Precision, recall and F1 [per cent]: micro, macro, and of each type in the order of the labels."""
    from seqeval.metrics.v1 import precision_recall_fscore_support
    from seqeval.scheme import IOB2, Entities
    from seqeval.scheme import Entity as Found

    given = {}
    for name, side in (("entities_true", gold), ("entities_pred", found)):
        given[name] = Entities([], IOB2)
        given[name].entities = [
            [Found(n, begin, end, label) for label, begin, end in some] for n, some in enumerate(side)
        ]
    empty: list[list[str]] = [[]]  # the tags, which it does not read again where it is given their entities
    micro, macro, types = (
        precision_recall_fscore_support(empty, empty, average=average, scheme=IOB2, zero_division=0, **given)[:3]
        for average in ("micro", "macro", None)
    )
    return _per_cent(*micro), _per_cent(*macro), [_per_cent(*one) for one in zip(*types, strict=True)]


def _per_cent(precision: float, recall: float, f1: float) -> Measures:
    return 100 * float(precision), 100 * float(recall), 100 * float(f1)


def _form(sentence: Sentence, entity: Entity) -> tuple[str, str]:
    return entity.label, " ".join(sentence.surface(entity).lower().split())


def _paired(gold: frozenset[Entity], found: frozenset[Entity]) -> Iterator[tuple[str, str, bool]]:
    """Pairs of entities that share words, each in at most one, and those that are in none."""
    common = {
        (a, b): min(a.end, b.end) - max(a.begin, b.begin)
        for a in gold
        for b in found
        if min(a.end, b.end) > max(a.begin, b.begin)
    }
    left, over = set(gold), set(found)
    for a, b in sorted(common, key=lambda pair: (-common[pair], pair[0].label != pair[1].label, pair)):
        if a in left and b in over:
            left.remove(a)
            over.remove(b)
            yield a.label, b.label, a[1:] == b[1:]
    yield from ((entity.label, "", False) for entity in left)
    yield from (("", entity.label, False) for entity in over)


def _marked(sentence: Sentence, some: frozenset[Entity], others: frozenset[Entity]) -> str:
    """The words of a sentence with some entities, in double angles those that are not among the others."""
    words = list(sentence.words)
    for entity in some:
        before, after = ("[", "]") if entity in others else ("<<", ">>")
        words[entity.begin] = before + words[entity.begin]
        words[entity.end - 1] += after + entity.label
    return " ".join(words)


def _words(gold: str, found: str, exact: bool) -> str:
    return ("same" if exact else "other") if gold and found else ""


def _known(scores: Scores | Means | Interval) -> dict[str, float | None]:
    """NaN is no JSON."""
    return {name: None if np.isnan(value) else value for name, value in scores._asdict().items()}


def _table(rows: Iterable[Sequence[object]]) -> str:
    return "".join("\t".join(map(_cell, row)) + "\n" for row in rows)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return _ABSENT if np.isnan(value) else f"{value:.2f}"
    return str(value) or _ABSENT
