"""What a corpus is to `voxkit prepare`: a description, the places it comes from, and a reader of its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxkit.data.pronunciations import Pronunciation
from voxkit.data.tagging import Sentence
from voxkit.errors import Problems

Aligned = tuple[str, float, float]  # symbol, start [s], duration [s]


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of one recording with what is known about it.

    `where` is the `file:line` that it was read from. `start` and `duration` are seconds in the recording; a duration of
    None means up to its end; `alignment` has its tiers (word, phone). `text` is None where the corpus has no transcript
    (a label then stands in `custom`).
    """

    id: str
    path: Path
    where: str
    text: str | None = None
    speaker: str | None = None
    gender: str | None = None
    language: str | None = None
    custom: Mapping[str, Any] = field(default_factory=dict)
    alignment: Mapping[str, Sequence[Aligned]] = field(default_factory=dict)
    recording_id: str = ""
    start: float = 0.0
    duration: float | None = None


@dataclass(frozen=True)
class Prepared:
    """A corpus as read: its splits, and the small files that it brings (file name -> content)."""

    splits: Mapping[str, Sequence[Utterance]]
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pronounced:
    """A corpus of pronunciations as read: its splits."""

    splits: Mapping[str, Sequence[Pronunciation]]


@dataclass(frozen=True)
class Archive:
    """A tar archive of one git commit; `tree` is the commit's tree id (40 hex digits)."""

    url: str
    tree: str


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What is known of a corpus, whatever is in it.

    `markers` are alternatives: a folder is taken for the corpus when all files of one alternative are in it; they may
    be globs. `layouts` says in words what is read.
    """

    name: str
    what: str
    licence: str
    megabytes: int
    origin: str
    markers: tuple[tuple[str, ...], ...]
    layouts: str
    archive: Archive | None = None


@dataclass(frozen=True, kw_only=True)
class Corpus(Listed):
    """A corpus of recordings that `voxkit prepare` knows.

    `read(folder, problems)` returns what the tables of the folder say and adds what is wrong with them to `problems`.
    """

    hours: float
    read: Callable[[Path, Problems], Prepared]


@dataclass(frozen=True, kw_only=True)
class Lexical(Listed):
    """A corpus of pronunciations; `read` as for recordings, `files(folder)` is what it reads."""

    files: Callable[[Path], Sequence[Path]]
    read: Callable[[Path, Problems], Pronounced]


@dataclass(frozen=True, kw_only=True)
class TaggedCorpus(Listed):
    """A corpus of sentences with named entities or slots; `files` as for pronunciations, `read` returns the splits."""

    files: Callable[[Path], Sequence[Path]]
    read: Callable[[Path, Problems], Mapping[str, Sequence[Sentence]]]


@dataclass(frozen=True, kw_only=True)
class TextCorpus(Listed):
    """A corpus of text; `files` as for pronunciations, `read` returns the lines of each part."""

    files: Callable[[Path], Sequence[Path]]
    read: Callable[[Path, Problems], Mapping[str, Sequence[str]]]
