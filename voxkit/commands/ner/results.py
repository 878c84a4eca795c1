"""What `ner apply` finds: entities in texts, the ways to write them, and manifests whose supervisions have them."""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

from voxkit.commands.ner.tagger import Tagger
from voxkit.data.checks import Line
from voxkit.data.manifests import CUTS, parse_line, parse_shard, read_text, write_cuts
from voxkit.data.supervisions import is_manifest, supervisions
from voxkit.data.tagged_files import SUPERVISIONS, conll_lines
from voxkit.data.tagging import Entity, Sentence, divided, spoken, tags_of
from voxkit.decode.folder import HYPOTHESES
from voxkit.errors import Problems, UserError
from voxkit.progress import Meter, say

ENTITIES = "entities"  # the field among the custom ones of a supervision
WORD = "word"  # the alignment with the times of words
AT_ONCE = 64  # sentences; among more of them, more are of similar length
MEND = "mend the line, or write the manifest again"

_KEYS_OF_CUTS = frozenset({"tracks", "type", "supervisions"})
_KEYS = _KEYS_OF_CUTS | {"recording_id"}
_SPECIAL = re.compile(r"[\\\[\]]")
_SPECIAL_IN_LABEL = re.compile(r"[\\()]")
_HALF = re.compile(rb"\\ud[89a-f]", re.IGNORECASE)  # a surrogate, which may lack its other half


class Found(NamedTuple):
    """An entity of a text: the characters `start` to `end`, which is not one of them."""

    label: str
    text: str
    confidence: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A sentence as the model read it, and its entities, in the order of the words, with their confidences."""

    sentence: Sentence
    entities: tuple[Entity, ...] = ()
    confidence: tuple[float, ...] = ()

    def found(self) -> list[Found]:
        """The entities in the sentence's text."""
        return [
            Found(entity.label, self.sentence.surface(entity), confidence, *self.sentence.span(entity))
            for entity, confidence in zip(self.entities, self.confidence, strict=True)
        ]

    def tagged(self) -> Sentence:
        """The sentence with the tags of the entities."""
        one = self.sentence
        tags = tags_of(self.entities, len(one.words))
        return Sentence(one.id, one.words, tags, one.where, one.text, one.spans, one.group)


class Finder:
    """Finds entities in sentences.

    Args:
        asr_text: write sentences as a recogniser does, whatever the model was trained on.
        least: confidence that an entity must have.
    """

    def __init__(self, tagger: Tagger, asr_text: bool = False, least: float = 0.0) -> None:
        self.tagger, self.asr_text, self.least = tagger, asr_text, least

    def prepared(self, sentence: Sentence) -> Sentence:
        """As the model reads it; the text and places in it stay."""
        ready = self.tagger.prepared(sentence)
        return spoken(ready) if self.asr_text and not self.tagger.asr else ready

    def divided(self, id: str, text: str, where: str) -> Sentence:
        """A sentence of a text; see `tagging.divided`."""
        return divided(id, text, where, self.tagger.only_spaces)

    def __call__(self, sentences: Sequence[Sentence]) -> list[Answer]:
        """The answers to sentences, in their order; there is nothing in one without words."""
        ready = [self.prepared(sentence) for sentence in sentences]
        answers = list(map(Answer, ready))
        places = [place for place, sentence in enumerate(ready) if sentence.words]
        found = self.tagger.tag([ready[place] for place in places]) if places else []
        for place, tagged in zip(places, found, strict=True):
            shares = map(rounded, tagged.confidence)
            sure = [pair for pair in zip(tagged.entities, shares, strict=True) if pair[1] >= self.least]
            answers[place] = Answer(ready[place], tuple(one for one, _ in sure), tuple(share for _, share in sure))
        return answers


def rounded(probability: float) -> float:
    """To six digits, as it is written."""
    return float(f"{min(max(probability, 0.0), 1.0):.6g}")


def inline(answer: Answer) -> str:
    r"""The text as it is with its entities marked: `play [yesterday](track)`.

    A backslash is set before the brackets and backslashes of the text itself, and before parentheses in labels.
    """
    text, place, pieces = answer.sentence.text, 0, []
    for found in answer.found():
        label = _SPECIAL_IN_LABEL.sub(r"\\\g<0>", found.label)
        pieces += [_escaped(text[place : found.start]), f"[{_escaped(found.text)}]({label})"]
        place = found.end
    return "".join([*pieces, _escaped(text[place:]), "\n"])


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)


def tsv(answer: Answer) -> str:
    """A row for each entity: sentence, start and end in characters, label, confidence, text."""
    id = " ".join(answer.sentence.id.split())
    rows = [
        (id, str(found.start), str(found.end), found.label, f"{found.confidence:.4f}", " ".join(found.text.split()))
        for found in answer.found()
    ]
    return "".join("\t".join(row) + "\n" for row in rows)


def jsonl(answer: Answer) -> str:
    """An object: id, text and entities (label, text, confidence, start and end in characters), and group if any."""
    one = answer.sentence
    data = {"id": one.id, "text": one.text, ENTITIES: [found._asdict() for found in answer.found()]}
    return json.dumps({**data, **({"group": one.group} if one.group else {})}, ensure_ascii=False) + "\n"


def conll(answer: Answer) -> str:
    """The words as the model read them, each with its BIO tag; nothing for a sentence without words."""
    return "".join(f"{line}\n" for line in conll_lines(answer.tagged())) if answer.sentence.words else ""


FORMATS: dict[str, tuple[Callable[[Answer], str], str]] = {  # what writes each, and how its files end
    "inline": (inline, "txt"),
    "tsv": (tsv, "tsv"),
    "jsonl": (jsonl, "jsonl"),
    "conll": (conll, "conll"),
}


def is_lhotse(path: Path) -> bool:
    """Whether a path is a manifest of cuts or supervisions, by its first line; or a folder, which should hold one.

    Raises:
        UserError: it cannot be read.
    """
    if path.is_dir() or not is_manifest(path):
        return path.is_dir()
    first = next(read_text(path), None)
    data = parse_line(str(path), first[1]).data if first else None
    return data is not None and not _KEYS.isdisjoint(data)


def manifest_of(path: Path) -> Path:
    """The manifest in a folder; a file is one itself."""
    names = [name for name in (HYPOTHESES, CUTS, SUPERVISIONS) if path.is_dir() and (path / name).exists()]
    return path / names[0] if names else path


class Manifests:
    """Manifests of one kind, cuts or supervisions, whose texts get entities.

    Args:
        shard: I/N to take every N-th line only, from the I-th on.

    Raises:
        UserError: a file that cannot be read, or no such shard.
    """

    def __init__(self, files: Sequence[Path], shard: str | None = None) -> None:
        self.files, self.shard = tuple(files), shard
        self.index, self.count = parse_shard(shard) if shard else (1, 1)
        first = next(self._raw(), None)
        self.of_cuts = first is None or _is_cut(parse_line(*first))

    @property
    def name(self) -> str:
        """Of the file to write: that of what it is."""
        if all(file.name == HYPOTHESES for file in self.files):
            return HYPOTHESES
        return CUTS if self.of_cuts else SUPERVISIONS

    def check(self) -> int:
        """Look at all lines.

        Returns:
            How many there are.

        Raises:
            DataError: what is wrong with them, all of it; or there is not a single text.
        """
        problems, total, texts = Problems(), 0, 0
        for where, text in self._chosen():
            total += 1
            line = parse_line(where, text)
            found = supervisions(line, problems)
            if line.data is not None and _is_cut(line) != self.of_cuts:
                what = (
                    f"a {'supervision' if self.of_cuts else 'cut'} among {'cuts' if self.of_cuts else 'supervisions'}"
                )
                problems.add("not a cut", where, line.id, what, "give manifests of cuts and of supervisions apart")
            elif _HALF.search(text) and not _is_unicode(line.data):
                problems.add("half a character", where, line.id, "it holds a lone surrogate", MEND)
            for what in filter(None, map(_fault, found)):
                problems.add("bad supervision", where, line.id, what, MEND)
            texts += sum(isinstance(one.get("text"), str) for one in found)
        if not texts and not problems and not (self.shard and total == 0):
            names, fix = (
                ", ".join(map(str, self.files)),
                "give cuts with supervisions, or supervisions, that have texts",
            )
            problems.add("no texts", names, self.files[0].name, "no supervision in it has a text", fix)
        problems.settle(max(total, len(problems.bad_ids)))
        return total

    def write(self, finder: Finder, folder: Path) -> Path:
        """Write all lines again, with entities, into an existing folder.

        Raises:
            DataError: see `check`; nothing is written then.
        """
        total = self.check()
        notes = _Notes()
        with Meter(total, "finding entities", "lines") as meter:
            write_cuts(self._filled(finder, notes, meter), folder / self.name)
        notes.say(total)
        return folder / self.name

    def _raw(self) -> Iterator[tuple[str, bytes]]:
        for file in self.files:
            for number, text in read_text(file):
                yield f"{file}:{number}", text

    def _chosen(self) -> Iterator[tuple[str, bytes]]:
        return islice(self._raw(), self.index - 1, None, self.count)

    def _filled(self, finder: Finder, notes: _Notes, meter: Meter) -> Iterator[Mapping[str, Any]]:
        """The lines' data, as many at a time as hold a batch of texts."""
        lines: list[dict[str, Any]] = []
        texts: list[tuple[dict[str, Any], Sentence]] = []
        for where, text in self._chosen():
            line = parse_line(where, text)
            if line.data is None:
                raise UserError(f"{where}: {line.error}", fix="the file was changed meanwhile: run the command again")
            lines.append(line.data)
            for one in supervisions(line, Problems()):
                if isinstance(one.get("text"), str):
                    texts.append((one, finder.divided(str(one.get("id") or line.id), one["text"], where)))
            if len(texts) >= AT_ONCE or len(lines) >= AT_ONCE:
                _fill(texts, finder, notes)
                yield from lines
                meter.advance(len(lines))
                lines, texts = [], []
        _fill(texts, finder, notes)
        yield from lines
        meter.advance(len(lines))


@dataclass
class _Notes:
    """What was found, to be told in the end."""

    texts: int = 0
    entities: int = 0
    timeless: int = 0  # supervisions with entities that have no times

    def say(self, lines: int) -> None:
        say(f"found {self.entities} entities in {self.texts} texts of {lines} lines")
        if self.timeless:
            say(
                f"notice: the entities of {self.timeless} supervisions have no times: there is no alignment "
                f'"{WORD}" with the words of the text'
            )


def _fill(texts: Sequence[tuple[dict[str, Any], Sentence]], finder: Finder, notes: _Notes) -> None:
    """Put the entities of supervisions' texts among their custom fields, in place of those that they have."""
    for (supervision, _), answer in zip(texts, finder([sentence for _, sentence in texts]), strict=True):
        found, times = answer.found(), word_times(supervision)
        supervision["custom"] = {
            **(supervision.get("custom") or {}),
            ENTITIES: [{**one._asdict(), **_between(one, supervision["text"], times)} for one in found],
        }
        notes.texts += 1
        notes.entities += len(found)
        notes.timeless += times is None and bool(found)


def word_times(supervision: Mapping[str, Any]) -> list[tuple[float, float]] | None:
    """When each of the words between spaces of a supervision's text begins and ends [s], as its alignment has it.

    Returns:
        None where it has no alignment "word" of these words.
    """
    try:
        items = [
            (item["symbol"], item["start"], item["duration"]) if isinstance(item, Mapping) else tuple(item[:3])
            for item in supervision["alignment"][WORD]
        ]
        if [symbol for symbol, _, _ in items] != supervision["text"].split():
            return None
        return [(float(start), round(float(start) + float(duration), 6)) for _, start, duration in items]
    except (KeyError, TypeError, ValueError):
        return None


def _between(found: Found, text: str, times: Sequence[tuple[float, float]] | None) -> dict[str, float]:
    """From the first to the last of the words that an entity has a part of."""
    if times is None:
        return {}
    words = [match.span() for match in re.finditer(r"\S+", text)]
    first = bisect_right([end for _, end in words], found.start)
    last = bisect_left([begin for begin, _ in words], found.end) - 1
    return {"start_time": times[first][0], "end_time": times[last][1]}


def _is_cut(line: Line) -> bool:
    return line.data is not None and not _KEYS_OF_CUTS.isdisjoint(line.data)


def _fault(supervision: Mapping[str, Any]) -> str:
    """Why a supervision cannot get entities; "" if it can."""
    text, custom = supervision.get("text"), supervision.get("custom")
    if text is not None and not isinstance(text, str):
        return f"its text is {type(text).__name__}, not a string"
    if custom is not None and not isinstance(custom, dict):
        return f"its custom is {type(custom).__name__}, not an object"
    return ""


def _is_unicode(data: Any) -> bool:
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def merge(folders: Sequence[Path], name: str, folder: Path) -> Path:
    """Join the manifests of shards in the order of the lines that they were made from.

    Raises:
        UserError: a part is damaged, or was not made from the same lines as the others.
    """
    write_cuts(_dealt([read_text(part / name) for part in folders], folders), folder / name)
    return folder / name


def _dealt(parts: Sequence[Iterator[tuple[int, bytes]]], folders: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
    """A line of each part in turn, until the first of them has no more; then none has."""
    for part, folder in cycle(zip(parts, folders, strict=True)):
        found = next(part, None)
        if found is None:
            break
        line = parse_line(f"{folder}:{found[0]}", found[1])
        if line.data is None:
            raise UserError(f"{line.where}: {line.error}", fix="make this part again")
        yield line.data
    for part, folder in zip(parts, folders, strict=True):
        if next(part, None) is not None:
            raise UserError(f"{folder}: has more lines than its share of the others'", fix="make the parts again")
