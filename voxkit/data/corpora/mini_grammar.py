"""Sentences from the templates of the embedded corpus, with their domain, intent and slots."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxkit.data.corpora.mini_words import CODAS, NAMES, NUCLEI, ONSETS, SLOTS, TEMPLATES

TOKEN = re.compile(r"[()|\[\]]|\{[^}]*\}|[^\s()|\[\]{}]+")
LETTERS = "letters"  # the slot of spelled names
SHORT_NAME = 6  # letters in a spelled name at most
RANDOM_LETTERS = 0.3  # share of what is spelled

# A parsed template: words and slots in order, nested tuples for choices.
Node = tuple[str, Any]
Tree = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """Words `start` up to `end` (excluded) are the value of the slot `name`."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """Lower-case words; those spelled out letter by letter are in `spelled` (word positions)."""

    words: tuple[str, ...]
    domain: str
    intent: str
    slots: tuple[Slot, ...]
    spelled: frozenset[int]

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def custom(self) -> dict[str, Any]:
        """What a language understanding system learns from: domain, intent, and slots with their word positions."""
        slots = [
            {"name": s.name, "value": " ".join(self.words[s.start : s.end]), "start": s.start, "end": s.end}
            for s in self.slots
        ]
        return {"domain": self.domain, "intent": self.intent, "slots": slots}


class Grammar:
    """Draws sentences. The values of a slot come like cards from a shuffled deck, so that all of them come up.

    Args:
        vocabulary: the number of different words wanted; names are added or left out to come near it.
        seed: decides the coined names and the sentences.
    """

    def __init__(self, vocabulary: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._names = choose_names(vocabulary, random.Random(seed + 1))
        values: Mapping[str, Sequence[str]] = {**SLOTS, **self._names}
        self._slots = {name: [parse(value) for value in choices] for name, choices in values.items()}
        self._templates = {
            domain: [(intent, parse(template)) for intent, templates in intents.items() for template in templates]
            for domain, intents in TEMPLATES.items()
        }
        self._spellable = sorted(
            {word for value in self._names["person"] for word in value.split() if 2 < len(word) <= SHORT_NAME}
        )
        self._decks: dict[str, list[Any]] = {}

    def words(self) -> list[str]:
        """Every word that a sentence can have, sorted."""
        trees = [tree for templates in self._templates.values() for _, tree in templates]
        trees += [tree for choices in self._slots.values() for tree in choices]
        found = {word for tree in trees for word in _words(tree)}
        return sorted(found | set(string.ascii_lowercase))

    def draw(self) -> Sentence:
        """The next sentence: domains, then templates in a domain, come up equally often."""
        domain = self._next("domains", sorted(self._templates))
        intent, tree = self._next(f"domain {domain}", self._templates[domain])
        words: list[str] = []
        slots: list[Slot] = []
        spelled: set[int] = set()
        self._expand(tree, words, slots, spelled, inside=False)
        return Sentence(tuple(words), domain, intent, tuple(slots), frozenset(spelled))

    def _next(self, deck: str, cards: Sequence[Any]) -> Any:
        left = self._decks.setdefault(deck, [])
        if not left:
            left.extend(cards)
            self._random.shuffle(left)
        return left.pop()

    def _letters(self) -> str:
        """A name to be spelled, or now and then letters at random."""
        if self._random.random() < RANDOM_LETTERS:
            return "".join(self._random.choices(string.ascii_lowercase, k=self._random.randint(3, 5)))
        return str(self._next(LETTERS, self._spellable))

    def _expand(self, tree: Tree, words: list[str], slots: list[Slot], spelled: set[int], inside: bool) -> None:
        for kind, value in tree:
            if kind == "word":
                words.append(value)
            elif kind == "choice":
                self._expand(self._random.choice(value), words, slots, spelled, inside)
            else:
                name, _, role = value.partition(":")
                start = len(words)
                if name == LETTERS:
                    words.extend(self._letters())
                    spelled.update(range(start, len(words)))
                else:
                    self._expand(self._next(name, self._slots[name]), words, slots, spelled, inside=True)
                if not inside:  # a slot in a slot belongs to the outer one
                    slots.append(Slot(role or name, start, len(words)))


def parse(template: str) -> Tree:
    """A template as a tree.

    Raises:
        ValueError: unbalanced brackets.
    """
    tokens = TOKEN.findall(template)
    tree, rest = _parse_sequence(tokens, 0)
    if rest != len(tokens):
        raise ValueError(f"unbalanced brackets: {template}")
    return tree


def _parse_sequence(tokens: Sequence[str], at: int) -> tuple[Tree, int]:
    nodes: list[Node] = []
    while at < len(tokens) and tokens[at] not in (")", "]", "|"):
        token = tokens[at]
        if token in ("(", "["):
            choices: list[Tree] = [()] if token == "[" else []
            at += 1
            while True:
                choice, at = _parse_sequence(tokens, at)
                choices.append(choice)
                if at >= len(tokens):
                    raise ValueError(f"unbalanced brackets: {' '.join(tokens)}")
                at += 1
                if tokens[at - 1] != "|":
                    break
            nodes.append(("choice", tuple(choices)))
        elif token.startswith("{"):
            nodes.append(("slot", token[1:-1]))
            at += 1
        else:
            nodes.append(("word", token))
            at += 1
    return tuple(nodes), at


def _words(tree: Tree) -> Iterator[str]:
    for kind, value in tree:
        if kind == "word":
            yield value
        elif kind == "choice":
            for choice in value:
                yield from _words(choice)


def choose_names(vocabulary: int, rng: random.Random) -> dict[str, list[str]]:
    """Names for the open slots so that the grammar has about `vocabulary` words; at least four of each kind.

    The listed names come first, in turn over the slots; then `person`, `city`, `artist` and `title` get coined ones.
    """
    fixed = {w for intents in TEMPLATES.values() for ts in intents.values() for t in ts for w in _words(parse(t))}
    fixed |= {w for values in SLOTS.values() for value in values for w in _words(parse(value))}
    known = fixed | set(string.ascii_lowercase)
    names: dict[str, list[str]] = {slot: [] for slot in NAMES}
    for rank in range(max(map(len, NAMES.values()))):
        for slot, listed in NAMES.items():
            if rank < len(listed) and (rank < 4 or len(known) < vocabulary):
                names[slot].append(listed[rank])
                known.update(listed[rank].split())
    open_slots = ("person", "city", "artist", "title")
    while len(known) < vocabulary:
        name = "".join(
            rng.choice(ONSETS) + rng.choice(NUCLEI) + rng.choice(CODAS) for _ in range(rng.choice((2, 2, 3)))
        )
        if name not in known:
            known.add(name)
            names[open_slots[len(known) % len(open_slots)]].append(name)
    return names
