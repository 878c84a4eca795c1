"""What is rescored: the lattices or lists of a decode folder, and whether they go together with its words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from voxkit.commands.lm_nce.costs import Heard, WordTable
from voxkit.commands.lm_nce.second_pass import FIRST_PASS
from voxkit.data.text import NORMALISERS
from voxkit.decode.alignment import oracle
from voxkit.decode.folder import HYPOTHESES, LATTICES, WORDS, Decoded, DecodeFolder, shard_files
from voxkit.decode.lattice import Hypothesis, Lattice
from voxkit.errors import UserError
from voxkit.rundir import read_config

FEW = 200  # words that are too few to judge a vocabulary by


class Hearing:
    """A decode folder that is to be rescored.

    Raises:
        UserError: it is none, has no cuts, or was rescored already.
    """

    def __init__(self, path: Path, need_lattices: bool) -> None:
        self.path = path
        self.folder = DecodeFolder.open(path, lattices=need_lattices or bool(shard_files(path, LATTICES)))
        self.has_lattices = bool(shard_files(path, LATTICES))
        if not len(self.folder):
            raise UserError(f"{path / HYPOTHESES}: no cuts in it", fix="decode cuts first")
        self._check_first_pass(next(iter(DecodeFolder.open(path))))

    @cached_property
    def speakers(self) -> frozenset[str]:
        """Who speaks in it."""
        return frozenset(Heard(found, ()).speaker for found in DecodeFolder.open(self.path)) - {""}

    @property
    def source(self) -> Path:
        """Where the words are from."""
        return self.path / (WORDS if self.has_lattices else HYPOTHESES)

    @cached_property
    def words(self) -> list[str]:
        """The word of each id, of the lattices' table or of all words in lists; id 0 is no word.

        Raises:
            UserError: there are no lists, or damaged ones.
        """
        if self.has_lattices:
            return self.folder.words
        found: dict[str, None] = {}
        lists = 0
        for decoded in self.folder:
            heard = _listed(decoded, self.path)
            for number, (text, _, _) in enumerate(heard):
                self._check_times(decoded, number, text)
            lists += len(heard) > 1
            texts = [str(decoded.supervision.get("text") or ""), *(text for text, _, _ in heard)]
            found |= dict.fromkeys(word for text in texts for word in text.split())
        if not lists:
            raise UserError(f"{self.path}: has neither lattices nor lists", fix="decode again with --graph and --nbest")
        return ["<eps>", *sorted(found)]

    @cached_property
    def normaliser(self) -> str:
        """What the folder was scored with."""
        file = self.path / "score.json"
        if not file.exists():
            return "none"
        try:
            name = str(json.loads(file.read_text(encoding="utf-8"))["normaliser"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file}: cannot be read: {error}", fix="decode again") from error
        if name not in NORMALISERS:
            raise UserError(f"{file}: no text normaliser is called {name!r}", fix="choose one with -s normaliser=NAME")
        return name

    @cached_property
    def best_path(self) -> bool:
        """Whether the texts are the best paths of the lattices: not those of the method mbr."""
        settings = read_config(self.path).get("settings")
        return not (isinstance(settings, dict) and settings.get("method") == "mbr")

    def hypotheses(self, found: Decoded, most: int, table: WordTable) -> list[Hypothesis]:
        """The list of a cut: of its lattice, or the one that decode left."""
        if found.lattice is not None:
            return found.lattice.nbest(most) or [Hypothesis((), (), (), 0.0, 0.0)]
        return [
            Hypothesis(tuple(table.index[word] for word in text.split()), (), (), acoustic, graph)
            for text, acoustic, graph in _listed(found, self.path)[:most]
        ]

    def check(self, found: Decoded) -> None:
        """Look whether a cut can be rescored, and the table makes its text of its lattice.

        Raises:
            UserError: it is damaged, or the lattice is of other words.
        """
        self._check_line(found)
        self._check_first_pass(found)
        if found.lattice is None:
            return
        text = str(found.supervision.get("text") or "").split()
        words, lattice = self.words, found.lattice
        best = [words[word] for word in lattice.best_path().words]
        if best == text:
            return
        ids = [self._index.get(word, -1) for word in text]
        if self.best_path:  # costs are rounded when lattices are saved, so that one that is as good may come first
            fits = oracle(lattice, ids).errors == 0
        else:
            fits = set(ids) <= set(lattice.word.tolist())
        if not fits:
            what = f"{found.id!r} is {' '.join(best)!r} by its lattice and {self.path / WORDS}"
            raise UserError(
                f"{self.path / HYPOTHESES}: another word table? {what}, but its text is {' '.join(text)!r}",
                fix=f"put back the {WORDS} that the lattices were made with, or decode again",
            )

    def _check_line(self, found: Decoded) -> None:
        """Raise UserError unless a cut has one supervision at least, and what else is read of it is of its kind."""
        custom = found.supervision.get("custom") or {}
        length = found.cut.get("duration") or found.supervision.get("duration") or 0.0
        wrong = [
            what
            for what, bad in (
                ("no supervision", not found.supervision),
                ("a reference that is no text", not isinstance(custom.get("reference", ""), str)),
                ("a duration that is none", not _are_seconds([length]) or length < 0),
            )
            if bad
        ]
        if wrong:
            what = f"{found.id!r} has {', '.join(wrong)}"
            raise UserError(f"{self.path / HYPOTHESES}: {what}", fix="decode again")

    def _check_first_pass(self, found: Decoded) -> None:
        """Raise UserError if the costs of a cut have those of a language model in them already."""
        if FIRST_PASS in (found.supervision.get("custom") or {}):
            before = read_config(self.path).get("decoded")
            raise UserError(
                f"{self.path}: was rescored already, and again would count the language model twice",
                fix=f"give what decode left{f': {before}' if isinstance(before, str) else ''}",
            )

    def _check_times(self, found: Decoded, number: int, text: str) -> None:
        """Raise UserError unless each word of a listed hypothesis has its times."""
        try:
            starts, ends = times(found, number, Hypothesis((), (), (), 0.0, 0.0), 0.0)
            whole = len(starts) == len(ends) == len(text.split()) and _are_seconds([*starts, *ends])
        except (KeyError, TypeError, ValueError, IndexError):
            whole = False
        if not whole:
            what = f"hypothesis {number + 1} of {found.id!r} has not a start and an end for each word"
            raise UserError(f"{self.path / HYPOTHESES}: {what}", fix="decode again")

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}


class Coverage:
    """How many of the recognised words a model knows."""

    def __init__(self, table: WordTable, words: Path, model: Path) -> None:
        self.table, self.words, self.model = table, words, model
        self.known = self.total = 0

    def add(self, found: Decoded) -> None:
        """Count the words of a cut's text."""
        ids = [self.table.index.get(word) for word in str(found.supervision.get("text") or "").split()]
        self.total += len(ids)
        self.known += sum(number is not None and self.table.known[number] for number in ids)

    def check(self, ended: bool) -> None:
        """Look whether the model knows half of them at least.

        Raises:
            UserError: it does not.
        """
        if 2 * self.known < self.total and (ended or self.total >= FEW):
            what = f"the model {self.model} knows {self.known} of {self.total} recognised words"
            size = f"its vocabulary has {self.table.size} entries, written {self.table.normaliser!r}"
            raise UserError(
                f"{self.words}: {what}; {size}",
                fix="train on text in which words are written so (see data.normaliser), or decode with its words",
            )

    def __str__(self) -> str:
        return f"the model knows {100 * self.known / max(self.total, 1):.1f} % of {self.total} recognised words"


def _listed(found: Decoded, path: Path) -> list[tuple[str, float, float]]:
    """Texts and costs of the hypotheses in a manifest line, best first.

    Raises:
        UserError: they are not as decode writes them.
    """
    supervision = found.supervision
    custom = supervision.get("custom") or {}
    try:
        rows: Sequence[dict[str, Any]] = custom.get("nbest") or [{**custom, "text": supervision.get("text") or ""}]
        listed = [(row["text"], -float(row["acoustic_score"]), -float(row["graph_score"])) for row in rows]
        for text, acoustic, graph in listed:
            if not isinstance(text, str):
                raise TypeError("a text that is none")
            if not math.isfinite(acoustic + graph):
                raise ValueError("a score that is no number")
        return listed
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        what = f"{found.id!r} has no costs as decode writes them ({error})"
        raise UserError(f"{path / HYPOTHESES}: {what}", fix="decode again") from error


def times(found: Decoded, number: int, hypothesis: Hypothesis, frame_shift: float) -> tuple[list[float], list[float]]:
    """Starts and ends [s] of the words of a hypothesis, that of such a number in the list."""
    if found.lattice is not None:
        return _seconds(hypothesis.starts, frame_shift), _seconds(hypothesis.ends, frame_shift)
    supervision = found.supervision
    listed = (supervision.get("custom") or {}).get("nbest")
    if listed:
        return list(listed[number]["starts"]), list(listed[number]["ends"])
    items = (supervision.get("alignment") or {}).get("word", [])
    begin = -float(supervision.get("start") or 0.0)  # of a track: the supervision spans the whole cut
    starts = [round(item[1] + begin, 4) for item in items]
    return starts, [round(start + item[2], 4) for start, item in zip(starts, items, strict=True)]


def _are_seconds(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and abs(value) < 1e12 for value in values)


def _seconds(frames: Sequence[int], frame_shift: float) -> list[float]:
    return [round(frame * frame_shift, 4) for frame in frames]


def shard_range(hearing: Hearing, shard: tuple[int, int]) -> range:
    """The cuts of part I of N: those of the parts follow each other."""
    (part, count), total = shard, len(hearing.folder)
    return range((part - 1) * total // count, part * total // count)


def chunks(hearing: Hearing, shard: tuple[int, int], size: int) -> Iterator[list[Decoded]]:
    """The cuts of part I of N, so many at a time.

    Raises:
        UserError: damaged files, or another word table.
    """
    found: list[Decoded] = []
    wanted = shard_range(hearing, shard)
    for decoded in islice(hearing.folder, wanted.start, wanted.stop):
        hearing.check(decoded)
        found.append(decoded)
        if len(found) == size:
            yield found
            found = []
    if found:
        yield found


def in_batches(lists: Sequence[Heard], most: int) -> Iterator[list[Heard]]:
    """Utterances with so many words in their hypotheses together, about."""
    batch: list[Heard] = []
    words = 0
    for heard in lists:
        batch.append(heard)
        words += sum(len(hypothesis.words) + 1 for hypothesis in heard.hypotheses)
        if words >= most:
            yield batch
            batch, words = [], 0
    if batch:
        yield batch


def lattice_of(heard: Heard) -> Lattice:
    """The lattice of a cut whose folder has lattices."""
    if heard.found.lattice is None:
        raise TypeError(f"{heard.found.id}: has no lattice")
    return heard.found.lattice
