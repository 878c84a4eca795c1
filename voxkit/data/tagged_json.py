"""Sentences with entities as JSON has them: by places in the text, or by tags of its words."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from voxkit.data.pipe import printable
from voxkit.data.pronunciations import hidden_character
from voxkit.data.tag_schemes import TAGS_READ, bio, is_tag
from voxkit.data.tagging import Entity, Sentence, divided, pieces, tags_of
from voxkit.errors import Problems

WORDS = ("tokens", "words")
TAGS = ("tags", "ner_tags")
ENTITIES = ("entities", "spans")
GROUP = ("group", "domain", "intent")
FORM = 'write {"text": "...", "entities": [{"start": 0, "end": 3, "label": "..."}]}'
TAG_FORM = 'write {"tokens": ["...", "..."], "tags": ["B-label", "O"]}'


class Mark(NamedTuple):
    """The characters `start` to `end` (which is not one of them) of a text are a `label`."""

    start: int
    end: int
    label: str


def marked(
    id: str, text: str, marks: Sequence[Mark], where: str = "", group: str = "", only_spaces: bool = False
) -> Sentence:
    """The words of a text, tagged; where an entity begins or ends inside a word, this is divided there.

    Args:
        marks: inside the text, more than white space, no two of which overlap.

    >>> marked("1", "R&B,Joe's", [Mark(0, 3, "genre"), Mark(4, 7, "who")]).words
    ('R&B', ',', 'Joe', "'s")
    """
    edges = sorted({edge for start, end, _ in marks for edge in (start, end)})
    spans: list[tuple[int, int]] = []
    for begin, end in pieces(text, only_spaces):
        inside = edges[bisect_right(edges, begin) : bisect_left(edges, end)]
        spans += pairwise([begin, *inside, end])
    starts = [begin for begin, _ in spans]
    found = [Entity(label, bisect_left(starts, start), bisect_left(starts, end)) for start, end, label in marks]
    words = tuple(text[begin:end] for begin, end in spans)
    return Sentence(id, words, tags_of(found, len(spans)), where, text, tuple(spans), group)


class Reader:
    """Makes sentences of JSON objects.

    Args:
        problems: gets what is wrong; an object with a problem gives no sentence.
        tagged: objects without tags or entities are wrong; else these are left out of account.
        only_spaces: divide texts at white space only.
    """

    def __init__(self, problems: Problems, tagged: bool, only_spaces: bool) -> None:
        self.problems = problems
        self.tagged = tagged
        self.only_spaces = only_spaces
        self.cut: list[str] = []  # where entities begin or end inside of words

    def annotated(self, data: Mapping[str, Any], id: str, where: str) -> Sentence | None:
        """Of `tokens` (or `words`) with `tags` (or `ner_tags`), or of a `text` with `entities` (or `spans`).

        An entity is an object or a list of start, end and label. An `id`, and a `group` (or `domain`, or `intent`),
        are taken where they are there; `id` is for objects that have none. None for an object with a problem, and
        for a text without words.
        """
        name, group = _line(data.get("id")) or id, _group(data)
        words, tags = _first(data, WORDS), _first(data, TAGS)
        try:
            _require_clean((name, group))
            if words is not None and (tags is not None or "text" not in data):
                return self._by_words(words, tags, name, where, group)
            if "text" not in data:
                raise _Faults(("no text", "neither a text nor tokens", FORM))
            return self._by_places(data["text"], _first(data, ENTITIES), name, where, group)
        except _Faults as faults:
            self._tell(faults, name, where)
            return None

    def supervised(self, supervision: Mapping[str, Any], id: str, where: str) -> Sentence | None:
        """Of the text of a supervision, whose entities are in `custom["entities"]`; None as in `annotated`."""
        custom = supervision.get("custom")
        custom = custom if isinstance(custom, Mapping) else {}
        name, group = _line(supervision.get("id")) or id, _group(custom)
        try:
            _require_clean((name, group))
            return self._by_places(supervision["text"], custom.get("entities"), name, where, group)
        except _Faults as faults:
            self._tell(faults, name, where)
            return None

    def _by_places(self, text: object, given: object, id: str, where: str, group: str) -> Sentence | None:
        if not isinstance(text, str):
            raise _Faults(("bad text", f"its text is {type(text).__name__}", "write a string"))
        if self.tagged and given is not None:
            sentence = marked(id, text, _marks(given, text), where, group, self.only_spaces)
            if len(sentence.words) > len(pieces(text, self.only_spaces)):
                self.cut.append(where)
        elif self.tagged:
            raise _Faults(("not tagged", "a text without entities", f"{FORM}; [] if there are none"))
        else:
            sentence = replace(divided(id, text, where, self.only_spaces), group=group)
        _require_clean(sentence.words)
        return sentence if sentence.words else None

    def _by_words(self, given: object, tags: object, id: str, where: str, group: str) -> Sentence | None:
        words = [word.strip() for word in _strings(given, "tokens")]
        if not self.tagged:
            tags = None
        elif tags is not None:
            tags = _strings(tags, "tags")
            if len(tags) != len(words):
                raise _Faults(("bad tags", f"{len(tags)} tags of {len(words)} tokens", "write one tag for each token"))
            if strange := [tag for tag in tags if not is_tag(tag) or hidden_character(tag)]:
                raise _Faults(("bad tag", f"the tag {strange[0]!r}", TAGS_READ))
        else:
            raise _Faults(("not tagged", "tokens without tags", TAG_FORM))
        if "" in words:
            raise _Faults(("no word", f"token {words.index('') + 1} is empty", "remove it, and its tag"))
        _require_clean(words)
        return Sentence.of(id, words, None if tags is None else bio(tags), where, group) if words else None

    def _tell(self, faults: _Faults, id: str, where: str) -> None:
        id = repr(id)[1:-1] if hidden_character(id) else id
        for kind, what, fix in faults.found:
            self.problems.add(kind, where, id, what, fix)


class _Faults(Exception):
    """What is wrong with an object: kinds, what it is, and what to do."""

    def __init__(self, *found: tuple[str, str, str]) -> None:
        super().__init__(*found)
        self.found = found


def _marks(given: object, text: str) -> list[Mark]:
    """The entities in order.

    Raises:
        _Faults: all that is wrong with any of them.
    """
    if not isinstance(given, list):
        raise _Faults(("bad entities", f"its entities are {type(given).__name__}", FORM))
    marks: list[Mark] = []
    faults: list[tuple[str, str, str]] = []
    for item in given:
        try:
            marks.append(_mark(item, text))
        except _Faults as found:
            faults += found.found
    marks.sort()
    for one, two in pairwise(marks):
        if two.start < one.end:
            what = f"{_shown(two, text)} overlaps with {_shown(one, text)}"
            faults.append(("overlapping entities", what, "keep one of them"))
    if faults:
        raise _Faults(*faults)
    return marks


def _mark(item: object, text: str) -> Mark:
    if isinstance(item, Mapping):
        item = [item.get("start"), item.get("end"), item.get("label")]
    match item:
        case [int(start), int(end), str(label)] if bool not in (type(start), type(end)):
            mark = Mark(start, end, label.strip())
        case _:
            raise _Faults(("bad entity", f"{item!r:.80} is not start, end and label", FORM))
    if not mark.label or hidden_character(label):
        raise _Faults(("bad label", f"the label {label!r}", "name what it is, such as city"))
    if not 0 <= start < end <= len(text):
        what = f"characters {start} to {end} ({mark.label}) of a text of {len(text)}"
        raise _Faults(("entity outside", what, "count characters from 0; end is the one after the last"))
    if not text[start:end].strip():
        raise _Faults(("empty entity", f"{_shown(mark, text)} is white space", "remove it"))
    return mark


def _strings(given: object, name: str) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise _Faults((f"bad {name}", f"its {name} are no list of strings", TAG_FORM))
    return given


def _require_clean(words: Sequence[str]) -> None:
    for word in words:
        if hidden := hidden_character(word):
            raise _Faults(("control character", f"{word!r} holds the character U+{ord(hidden):04X}", "remove it"))


def _shown(mark: Mark, text: str) -> str:
    return f"{text[mark.start : mark.end]!r} ({mark.label}, {mark.start} to {mark.end})"


def _first(data: Mapping[str, Any], names: Sequence[str]) -> Any:
    """What stands under the first of several names that is there."""
    return next((data[name] for name in names if data.get(name) is not None), None)


def _group(data: Mapping[str, Any]) -> str:
    return _line(_first(data, GROUP))


def _line(value: object) -> str:
    """A name as one line; empty where it is none."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    return printable(" ".join(str(value).split()))
