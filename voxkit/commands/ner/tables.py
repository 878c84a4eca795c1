"""Words, characters, phones, bytes and tags as numbers. Free of torch."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.ner.command import Ner, Unit
from voxkit.data.tagging import OUTSIDE, Sentence, to_bioes
from voxkit.errors import UserError

PAD, UNKNOWN = 0, 1
SPECIAL = ("<pad>", "<unk>")
FILE = "tables.json"
LONGEST = 256  # symbols of a word at most, as `subwords.longest` has it, and 4 at least

Pronunciations = Mapping[str, Sequence[str]]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Tables:
    """What a model's numbers mean.

    `symbols`, in the order of the units, has the names of each unit by number (those of bytes are two hexadecimal
    digits); the first two are `SPECIAL`. `tags` are those of the CRF, in the model's scheme. `counts` says how often
    each word was in training.
    """

    symbols: Mapping[Unit, tuple[str, ...]]
    tags: tuple[str, ...]
    lower: bool
    longest: int
    counts: tuple[int, ...] = ()

    @classmethod
    def learn(cls, sentences: Sequence[Sentence], config: Ner, pronunciations: Pronunciations) -> Tables:
        """The symbols of tagged training sentences, the frequent ones first.

        The characters get what bytes and phones leave of `subwords.symbols`.

        Raises:
            UserError: bytes and phones alone are too many.
        """
        words = Counter(word for sentence in sentences for word in sentence.words)
        symbols: dict[Unit, tuple[str, ...]] = {}
        counts: tuple[int, ...] = ()
        if "words" in config.units:
            whole = Counter(word.lower() if config.words.lower else word for word in words.elements())
            kept = [(word, count) for word, count in _ranked(whole) if count >= config.words.least]
            symbols["words"] = (*SPECIAL, *(word for word, _ in kept))
            counts = (0, 0, *(count for _, count in kept))
        if "phones" in config.units:
            said = Counter[str]()
            for word, count in words.items():
                said.update(dict.fromkeys(pronunciations.get(word, ()), count))
            symbols["phones"] = (*SPECIAL, *(phone for phone, _ in _ranked(said)))
        if "bytes" in config.units:
            raw = Counter[str]()
            for word, count in words.items():
                raw.update({f"{byte:02x}": count for byte in word.encode()})
            symbols["bytes"] = (*SPECIAL, *(byte for byte, _ in _ranked(raw)))
        if "chars" in config.units:
            letters = Counter[str]()
            for word, count in words.items():
                letters.update(dict.fromkeys(word, count))
            left = config.subwords.symbols - _subwords(symbols) - len(SPECIAL)
            symbols["chars"] = (*SPECIAL, *(letter for letter, _ in _ranked(letters)[: max(left, 1)]))
        if _subwords(symbols) > config.subwords.symbols:
            told = ", ".join(f"{len(names)} {unit}" for unit, names in symbols.items() if unit != "words")
            raise UserError(
                f"{told}: more symbols than {config.subwords.symbols}", fix="raise it with --set subwords.symbols=N"
            )
        ordered = {unit: symbols[unit] for unit in config.units}
        return cls(ordered, _tags(sentences, config), config.words.lower, config.subwords.longest, counts)

    @property
    def bioes(self) -> bool:
        """Whether the tags tell the last word of an entity."""
        return any(tag.startswith(("S-", "E-")) for tag in self.tags)

    @property
    def labels(self) -> tuple[str, ...]:
        """What entities may be."""
        return tuple(sorted({tag.partition("-")[2] for tag in self.tags} - {""}))

    @property
    def subwords(self) -> int:
        """How many symbols the subword units have together."""
        return _subwords(self.symbols)

    @cached_property
    def _ids(self) -> dict[Unit, dict[str, int]]:
        return {unit: {name: number for number, name in enumerate(names)} for unit, names in self.symbols.items()}

    @cached_property
    def tag_ids(self) -> dict[str, int]:
        """The numbers of the CRF's tags."""
        return {tag: number for number, tag in enumerate(self.tags)}

    def tag_numbers(self, tags: Sequence[str]) -> list[int]:
        """The numbers of BIO tags in the CRF's scheme."""
        return [self.tag_ids[tag] for tag in (to_bioes(tags) if self.bioes else tags)]

    def word_number(self, word: str) -> int:
        """Of a word's embedding."""
        return self._ids["words"].get(word.lower() if self.lower else word, UNKNOWN)

    def spelt(self, unit: Unit, word: str, phones: Sequence[str] = ()) -> list[int]:
        """The symbols of a word, at least one and at most `longest`: the middle of longer ones is left out."""
        known = self._ids[unit]
        if unit == "bytes":
            numbers = [known.get(f"{byte:02x}", UNKNOWN) for byte in word.encode()]
        elif unit == "chars":
            numbers = [self._letter(letter) for letter in word]
        else:
            numbers = [known.get(phone, UNKNOWN) for phone in phones]
        if len(numbers) > self.longest:
            half = self.longest // 2
            numbers = numbers[: self.longest - half] + numbers[-half:]
        return numbers or [UNKNOWN]

    def _letter(self, letter: str) -> int:
        known = self._ids["chars"]
        if letter not in known:  # é where only e is known
            letter = unicodedata.normalize("NFD", letter)[0]
        return known.get(letter, UNKNOWN)

    def padded(self, unit: Unit, words: Sequence[str], phones: Sequence[Sequence[str]] = ()) -> tuple[Numbers, Numbers]:
        """The symbols (N, L) of words, and how many (N,)."""
        rows = [
            self.spelt(unit, word, said)
            for word, said in zip(words, phones if unit == "phones" else [()] * len(words), strict=True)
        ]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        table = np.full((len(rows), int(lengths.max())), PAD, dtype=np.int64)
        for place, row in enumerate(rows):
            table[place, : len(row)] = row
        return table, lengths

    def save(self, path: Path) -> None:
        """Write the tables as JSON; the counts are for training only."""
        content = {"symbols": self.symbols, "tags": self.tags, "lower": self.lower, "longest": self.longest}
        path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")

    def facts(self) -> dict[str, str]:
        """What an exported graph says of its numbers: `tags` and `symbols`, as JSON."""
        return {
            "tags": json.dumps(self.tags, ensure_ascii=False),
            "symbols": json.dumps(self.symbols, ensure_ascii=False),
        }

    def require_facts(self, facts: Mapping[str, str], path: Path) -> None:
        """Raise a UserError if a graph says other things of its numbers than these tables, read from `path`, do."""
        for name, mine in self.facts().items():
            if name in facts and facts[name] != mine:
                raise UserError(
                    f"{path}: are the tables of another model: its graph has other {name}",
                    fix="copy or export it again",
                )

    @classmethod
    def load(cls, path: Path, units: Sequence[Unit] | None = None) -> Tables:
        """Read what `save` wrote.

        Args:
            units: those of the model, which its tables must have; any if not given.

        Raises:
            UserError: missing or damaged, or not for these units.
        """
        try:
            found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            symbols = {_unit(unit): _names(names) for unit, names in found["symbols"].items()}
            if any(names[:2] != SPECIAL for names in symbols.values()) or not symbols:
                raise ValueError("symbols are missing")
            if any(len(set(names[2:])) < len(names) - 2 for names in symbols.values()):
                raise ValueError("a symbol is there twice")
            lower, longest = found["lower"], found["longest"]
            if not isinstance(lower, bool) or type(longest) is not int or not 4 <= longest <= LONGEST:
                raise ValueError("`lower` or `longest` is wrong")
            tables = cls(symbols, _whole(_names(found["tags"])), lower, longest)
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
            raise UserError(f"{path}: the tables cannot be read: {error}", fix="copy or train it again") from error
        if units is not None and tuple(symbols) != tuple(units):
            raise UserError(
                f"{path}: tables of {', '.join(symbols)}, and the model reads {', '.join(units)}",
                fix="copy or train it again",
            )
        return tables


def _unit(name: str) -> Unit:
    for unit in get_args(Unit):
        if unit == name:
            return unit
    raise ValueError(f"{name!r} is no unit")


def _names(found: Any) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(name, str) and name for name in found):
        raise ValueError("a name is empty or no text")
    return tuple(found)


def _whole(tags: tuple[str, ...]) -> tuple[str, ...]:
    """The tags, if they are `O` and for each label all of BIO or all of BIOES.

    Raises:
        ValueError: they are not.
    """
    kinds: dict[str, list[str]] = {}
    for tag in tags[1:]:
        kind, _, label = tag.partition("-")
        kinds.setdefault(label, []).append(kind)
    of_a_label = {"".join(sorted(some)) for some in kinds.values()}
    if tags[:1] != (OUTSIDE,) or "" in kinds or of_a_label not in ({"BI"}, {"BEIS"}):
        raise ValueError("the tags are not those of BIO or BIOES")
    return tags


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first, of equals in the order of the alphabet."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _subwords(symbols: Mapping[Unit, Sequence[str]]) -> int:
    return sum(len(names) for unit, names in symbols.items() if unit != "words")


def _tags(sentences: Iterable[Sentence], config: Ner) -> tuple[str, ...]:
    """`O`, and of each label that is there the tags of the scheme."""
    labels = sorted({entity.label for sentence in sentences for entity in sentence.entities()})
    kinds = "BIES" if config.model.scheme == "bioes" else "BI"
    return (OUTSIDE, *(f"{kind}-{label}" for label in labels for kind in kinds))


def may_follow(tags: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which tags may follow which (C, C: from, to), which may begin a sentence (C,), and which may end it (C,).

    BIO where no tag is `E-` or `S-`, else BIOES.
    """
    kinds, labels = zip(*((tag[0], tag[2:]) for tag in tags), strict=True)
    kind, label = np.array(kinds), np.array(labels)
    inside = np.isin(kind, ["I", "E"])
    if np.isin(kind, ["E", "S"]).any():
        unended = np.isin(kind, ["B", "I"])
        same = label[:, None] == label[None, :]
        return np.where(unended[:, None], inside[None, :] & same, ~inside[None, :]), ~inside, ~unended
    goes_on = np.isin(kind, ["B", "I"])[:, None] & (label[:, None] == label[None, :])
    return ~inside[None, :] | goes_on, ~inside, np.ones(len(tags), dtype=np.bool_)
