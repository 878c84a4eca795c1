"""The Snips benchmark of 2017: what people ask of a voice assistant, with slots (Coucke et al. 2018, arXiv:1805.10190).

The test part is the official validation set, 100 queries of each of the 7 intents. The rest is the official training
set, of which 100 queries of each intent are the dev part: those with the lowest hashes of their texts, and all with the
same text. The edges of slots divide words. The group of a query is its intent.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from voxkit.data.corpora.corpus import TaggedCorpus
from voxkit.data.corpora.lexical import first_existing
from voxkit.data.corpora.tagged import Parts, first_files, mended, require_some
from voxkit.data.manifests import read_lines
from voxkit.data.pipe import printable
from voxkit.data.pronunciations import hidden_character
from voxkit.data.tagged_json import Mark, marked
from voxkit.data.tagging import Sentence
from voxkit.errors import Problems

DEV = 100  # queries of each intent, or a tenth if there are fewer than 1000
NAMES = {"train": ("train.jsonl",), "validate": ("validate.jsonl",)}
FORM = 'write {"intent": "...", "data": [{"text": "..."}, {"text": "...", "entity": "slot"}]}'

_OFFICIAL = {"train": "*/train_*_full.json", "validate": "*/validate_*.json"}


class Query(NamedTuple):
    """A query as a file has it."""

    where: str
    intent: str
    chunks: Any


def read(source: Path, problems: Problems) -> Parts:
    """The three parts."""
    found = _found(source)
    learnt, test = (_sentences(found[part], part, problems) for part in ("train", "validate"))
    train, dev = _divided(learnt)
    return {"train": train, "dev": dev, "test": test}


def files(source: Path) -> list[Path]:
    """The files that are read."""
    return [path for paths in _found(source).values() for path in paths]


def _found(source: Path) -> dict[str, list[Path]]:
    """The files of each part, in the order of the intents."""
    tables = first_files(source, NAMES)
    if len(tables) == len(NAMES):
        return {part: [path] for part, path in tables.items()}
    folder = first_existing(source, ["2017-06-custom-intent-engines"])
    return {part: sorted(folder.glob(pattern)) for part, pattern in _OFFICIAL.items()}


def _sentences(paths: Sequence[Path], part: str, problems: Problems) -> list[Sentence]:
    counts = Counter[str]()
    found = []
    for path in paths:
        before = sum(counts.values()) + len(problems)
        for query in _of_lines(path, problems) if ".jsonl" in path.name else _of_document(path, problems):
            counts[query.intent] += 1
            kind = "" if part == "train" else f"{part}-"
            id = printable(f"{query.intent}-{kind}{counts[query.intent]}")
            sentence = _sentence(query, id, problems)
            found += [] if sentence is None else [sentence]
        require_some(sum(counts.values()) + len(problems) - before, path)
    return found


def _of_lines(path: Path, problems: Problems) -> Iterator[Query]:
    for line in read_lines([path]):
        if line.data is None:
            problems.add("broken JSON line", line.where, line.where, line.error, FORM)
        else:
            yield Query(line.where, str(line.data.get("intent", "")), line.data.get("data"))


def _of_document(path: Path, problems: Problems) -> Iterator[Query]:
    """The queries of one of the official files, some of which are not quite UTF-8."""
    raw = path.read_bytes()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # what is UTF-8 in it is mended later
    try:
        ((intent, queries),) = json.loads(text).items()
        chunks = [query["data"] for query in queries]
    except (ValueError, AttributeError, KeyError, RecursionError, TypeError) as error:
        what = f"not the queries of one intent ({type(error).__name__}: {error})"
        problems.add("broken JSON", str(path), path.name, what, "get the file again")
        return
    yield from (Query(str(path), intent, of_query) for of_query in chunks)


def _sentence(query: Query, id: str, problems: Problems) -> Sentence | None:
    """The query with its slots; None for one without words, and for a bad one, which is added to `problems`."""
    text, marks = "", list[Mark]()
    try:
        for chunk in query.chunks:
            piece, slot = mended(chunk["text"]), chunk.get("entity")
            if slot is not None and piece.strip():
                marks.append(Mark(len(text), len(text) + len(piece), slot))
            text += piece
    except (AttributeError, KeyError, TypeError):
        problems.add("bad query", query.where, id, "its data are no texts and slots", FORM)
        return None
    if not all(isinstance(mark.label, str) and re.fullmatch(r"\S+", mark.label) for mark in marks):
        problems.add("bad slot", query.where, id, "a slot whose name is no word", FORM)
        return None
    sentence = marked(id, text, marks, query.where, " ".join(query.intent.split()))
    if hidden := hidden_character("".join([*sentence.words, sentence.group, *(mark.label for mark in marks)])):
        problems.add("control character", query.where, id, f"it holds the character U+{ord(hidden):04X}", "remove it")
        return None
    return sentence if sentence.words else None


def _divided(sentences: Sequence[Sentence]) -> tuple[list[Sentence], list[Sentence]]:
    """The training part and the dev part; no text is in both."""
    same: dict[tuple[str, str], list[Sentence]] = defaultdict(list)
    for sentence in sentences:
        same[sentence.group, " ".join(sentence.text.split()).lower()].append(sentence)
    left = {intent: min(DEV, count // 10) for intent, count in Counter(one.group for one in sentences).items()}
    dev = set[str]()
    for intent, text in sorted(same, key=lambda key: hashlib.sha256(key[1].encode()).digest()):
        together = same[intent, text]
        if len(together) <= left[intent]:
            left[intent] -= len(together)
            dev.update(sentence.id for sentence in together)
    return [one for one in sentences if one.id not in dev], [one for one in sentences if one.id in dev]


CORPUS = TaggedCorpus(
    name="snips",
    what="slots of spoken commands: 7 intents, 39 slots, English",
    licence="CC0 1.0",
    megabytes=5,
    origin="https://github.com/sonos/nlu-benchmark (2017-06-custom-intent-engines)",
    markers=(
        ("train.jsonl*", "validate.jsonl*"),
        tuple(_OFFICIAL.values()),
        tuple(f"2017-06-custom-intent-engines/{pattern}" for pattern in _OFFICIAL.values()),
    ),
    files=files,
    read=read,
    layouts="the repository (2017-06-custom-intent-engines/INTENT/train_INTENT_full.json and validate_INTENT.json), or "
    'train.jsonl and validate.jsonl, which may be gzipped ({"intent", "data": [{"text", "entity"}]} a line)',
)
