"""The folder that `voxkit decode --out` leaves, for those who read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from voxkit.data.manifests import read_lines, read_text
from voxkit.decode import confusion as networks
from voxkit.decode import lattice as lattices
from voxkit.decode.confusion import ConfusionNetwork
from voxkit.decode.lattice import Lattice
from voxkit.errors import UserError
from voxkit.rundir import read_config

HYPOTHESES, LATTICES, CONFUSION, REJECTED = "hypotheses.jsonl.gz", "lattices", "confusion", "rejected.jsonl"
WORDS = "words.txt"  # the table that the ids in lattices and confusion networks count in
MAKERS = ("decode", "score-confidence apply", "lm-nce rescore")  # the others hand on what the first left
FRAME_SHIFT = "frame_shift"  # of the network's output, and so of lattices and confusion networks [s]

T = TypeVar("T")


@dataclass(frozen=True)
class Decoded:
    """A recognised cut: its manifest line, and what else was asked for."""

    cut: dict[str, Any]
    lattice: Lattice | None = None
    confusion: ConfusionNetwork | None = None

    @property
    def id(self) -> str:
        return str(self.cut["id"])

    @property
    def supervision(self) -> dict[str, Any]:
        """The recognised words with all that is known of them; of a mixed cut, where one of its tracks has it."""
        tracks = [self.cut, *(track["cut"] for track in self.cut.get("tracks", ()))]
        return next((one for track in tracks for one in track.get("supervisions", ())), {})


class DecodeFolder:
    """What was recognised, in the order of the manifest; at most one shard of each kind is in memory.

    >>> for found in DecodeFolder.open(path, confusion=True):  # doctest: +SKIP
    ...     print(found.id, found.confusion.best())
    """

    def __init__(self, path: Path, lattices: bool = False, confusion: bool = False) -> None:
        self.path, self._lattices, self._confusion = path, lattices, confusion

    @classmethod
    def open(cls, path: str | Path, lattices: bool = False, confusion: bool = False) -> DecodeFolder:
        """Look whether the folder is complete and has what is wanted.

        Args:
            lattices, confusion: whether these are wanted.

        Raises:
            UserError: it is not a folder of results, or was made without an option that is needed.
        """
        path = Path(path)
        if not path.is_dir():
            raise UserError(f"{path}: no such folder", fix="voxkit decode --out makes it")
        if read_config(path).get("command") not in MAKERS or not (path / HYPOTHESES).exists():
            raise UserError(f"{path}: not what voxkit decode leaves ({HYPOTHESES} missing)", fix="decode with --out")
        if lattices and not shard_files(path, LATTICES):
            raise UserError(f"{path}: has no lattices", fix="decode again with --graph, and not with --method greedy")
        if confusion and not shard_files(path, CONFUSION):
            raise UserError(f"{path}: has no confusion networks", fix="decode again with --confusion")
        return cls(path, lattices, confusion)

    @cached_property
    def words(self) -> list[str]:
        """The word of each id in lattices and confusion networks; id 0 is no word.

        Raises:
            UserError: the table is missing (there are no lattices) or damaged.
        """
        path = self.path / WORDS
        try:
            rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read: {error}", fix="decode again with --graph") from error
        for number, row in enumerate(rows):
            if len(row) != 2 or row[1] != str(number):
                raise UserError(f"{path}:{number + 1}: not a word and its number {number}", fix="decode again")
        return [word for word, _ in rows]

    @cached_property
    def frame_shift(self) -> float:
        """What a frame of lattices and confusion networks lasts [s].

        Raises:
            UserError: the folder does not say it.
        """
        path = self.path / FRAME_SHIFT
        try:
            shift = float(path.read_text(encoding="utf-8"))
            if not 0 < shift < math.inf:
                raise ValueError(f"{shift} s")
            return shift
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read: {error}", fix="decode again with this version") from error

    @cached_property
    def _count(self) -> int:
        return sum(1 for _ in read_text(self.path / HYPOTHESES))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Decoded]:
        """What was recognised, cut by cut.

        Raises:
            UserError: a damaged file, or one that does not fit the others; of words.txt, as far as ids are read.
        """
        arcs = Shards(shard_files(self.path, LATTICES), lattices.load) if self._lattices else None
        bins = Shards(shard_files(self.path, CONFUSION), networks.load) if self._confusion else None
        seen = set[str]()
        for line in read_lines([self.path / HYPOTHESES]):
            if line.data is None:
                raise UserError(f"{line.where}: {line.error}", fix="decode again")
            if (damage := _damage(line.data)) is not None:
                raise UserError(f"{line.where}: {damage}", fix="decode again")
            name = line.data["id"]
            if name in seen:
                raise UserError(f"{line.where}: {name!r} is there twice", fix="leave one of them out, or decode again")
            seen.add(name)
            lattice = None if arcs is None else arcs[name]
            found = Decoded(line.data, lattice, None if bins is None else bins[name])
            self._check_words(found)
            yield found

    def _check_words(self, found: Decoded) -> None:
        """Raise UserError unless the table has all ids of a cut, and makes its text of its confusion network."""
        ids = [some.word.max(initial=0) for some in (found.lattice, found.confusion) if some is not None]
        ids += [found.confusion.hypothesis.max(initial=0)] if found.confusion is not None else []
        if not ids:
            return
        table, fix = self.path / WORDS, "put back the file that decode left, or decode again"
        if (most := max(ids)) >= len(self.words):
            raise UserError(f"{table}: {found.id!r} has word {most}, the table only {len(self.words)}", fix=fix)
        if found.confusion is None:
            return
        spelled = [self.words[word] for word in found.confusion.hypothesis.tolist()]
        text = str(found.supervision.get("text") or "")
        if spelled != text.split():
            what = f"the network of {found.id!r} is of {' '.join(spelled)!r}, its text is {text!r}"
            raise UserError(f"{table}: another word table? {what}", fix=fix)


def open_all(paths: Iterable[str | Path], lattices: bool = False, confusion: bool = False) -> list[DecodeFolder]:
    """Open folders, and read the first cut of each, so that what is wrong with any is told before long work.

    Raises:
        UserError: what `DecodeFolder.open` and reading say, of all folders.
    """
    folders: list[DecodeFolder] = []
    wrong: list[UserError] = []
    for path in paths:
        try:
            folder = DecodeFolder.open(path, lattices, confusion)
            next(iter(folder), None)
            folders.append(folder)
        except UserError as error:
            wrong.append(error)
    if wrong:
        fixes = dict.fromkeys(error.fix for error in wrong)
        raise UserError("\n".join(error.message for error in wrong), fix="; ".join(fixes))
    return folders


def _damage(cut: Mapping[str, Any]) -> str | None:
    """What is wrong with the parts of a cut that are read here; None if nothing is."""
    name, tracks = cut.get("id"), cut.get("tracks", [])
    if not isinstance(name, str):
        return "not a cut with an id"
    if not isinstance(tracks, list) or not all(
        isinstance(track, dict) and isinstance(track.get("cut"), dict) for track in tracks
    ):
        return f"{name!r} has damaged tracks"
    lists = [one.get("supervisions", []) for one in (cut, *(track["cut"] for track in tracks))]
    if all(isinstance(some, list) and all(map(_is_supervision, some)) for some in lists):
        return None
    return f"{name!r} has damaged supervisions"


def _is_supervision(found: Any) -> bool:
    """Whether its text is text, and its tables are tables."""
    if not isinstance(found, dict) or not isinstance(found.get("text", ""), str):
        return False
    return all(found.get(name) is None or isinstance(found[name], dict) for name in ("custom", "alignment"))


class Shards(Generic[T]):
    """Items of shards by id, asked for in the order in which the shards hold them."""

    def __init__(self, files: Sequence[Path], load: Callable[[Path], dict[str, T]]) -> None:
        self._files, self._gaps = iter(files), gaps(files)
        self._load = load
        self._items: dict[str, T] = {}
        self._file: Path | None = None

    def __getitem__(self, name: str) -> T:
        while name not in self._items:
            last, self._file = self._file, next(self._files, None)
            if self._file is None:
                what = f"{last}: nothing for {name!r} here or in files before it"
                if self._gaps:
                    more = f", and {len(self._gaps) - 1} others" if len(self._gaps) > 1 else ""
                    what += f"; {self._gaps[0]} is missing{more}"
                raise UserError(what, fix="copy the folder again, or decode again")
            self._items = self._load(self._file)
        return self._items[name]


def shard_files(folder: Path, kind: str) -> list[Path]:
    """The files of LATTICES or CONFUSION, in the order of the cuts."""
    numbered = (path for path in (folder / kind).glob("*.npz") if path.stem.isdecimal())
    return sorted(numbered, key=lambda path: int(path.stem))


def gaps(files: Sequence[Path]) -> list[Path]:
    """Files whose numbers are left out before the last; rightly so if all cuts of that part were."""
    numbers = {int(path.stem) for path in files}
    return [files[0].with_stem(str(n)) for n in range(1, max(numbers, default=0)) if n not in numbers]
