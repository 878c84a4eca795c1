"""`ner apply`: entities of what comes through a pipe, of texts, and of manifests."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from voxkit.commands.ner.formats import FORMATS, INLINE
from voxkit.commands.ner.manifests import FILES, Manifests, is_lhotse, merge
from voxkit.commands.ner.results import AT_ONCE, Answer, Finder
from voxkit.commands.ner.tagger import Tagger
from voxkit.data.manifests import manifest_files, read_text
from voxkit.data.pipe import STDIN, Flow, all_of_stdin, decoded, printable, require_lasting
from voxkit.data.pronunciations import hidden_character
from voxkit.data.sharding import PARTS, parts_like, shard_out
from voxkit.data.tagged_files import is_plain, own_stems, read_one, with_own_ids
from voxkit.data.tagging import Sentence
from voxkit.errors import DataError, Problems, UserError
from voxkit.progress import say
from voxkit.rundir import digest, output

RESULT = "entities"  # the stem of the file that texts give
FORM = "write one sentence a line"
FLOW = Flow("sentences", "finding entities", AT_ONCE, long=2000)
_SHOWN = 8  # labels in the summary


@dataclass(frozen=True)
class Request:
    """What `ner apply` was told; see its help.

    Attributes:
        format: one of `FORMATS`; None: `INLINE`, where there is a choice.
    """

    model: Path
    inputs: tuple[Path, ...] = ()
    format: str | None = None
    asr_text: bool = False
    least: float = 0.0
    threads: int = 1

    @property
    def sources(self) -> tuple[Path, ...]:
        return self.inputs or (STDIN,)

    def finder(self) -> Finder:
        """The model, loaded.

        Raises:
            UserError: none there, or one of another system.
        """
        return Finder(Tagger.load(self.model, self.threads), self.asr_text, self.least)

    def settings(self, finder: Finder) -> dict[str, Any]:
        """What decides the result, besides the inputs."""
        return {"model": finder.tagger.identity(), "asr_text": self.asr_text, "least": self.least}

    def texts(self, finder: Finder, paths: Iterable[Path], stdin: bytes | None = None) -> list[list[Sentence]]:
        """The sentences of each file; no two have the same id.

        Args:
            stdin: what came through the pipe, where `-` is among the paths.

        Raises:
            DataError: bad lines, every one with its number.
            UserError: no such file, a damaged one, one that is no regular file, or one without sentences.
        """
        problems, total = Problems(), 0
        lists: list[list[Sentence]] = []
        files = [manifest_files(path, FILES)[0] if path.is_dir() else path for path in paths]
        names = own_stems(Path("stdin") if path == STDIN else path for path in files)
        for path, name in zip(files, names, strict=True):
            before = len(problems)
            if path == STDIN:
                lines = enumerate(stdin.removesuffix(b"\n").split(b"\n") if stdin else (), start=1)
                found = list(_numbered("stdin", name, lines, finder, problems))
                count = len(found)
            elif is_plain(path):
                found = list(_numbered(printable(path), name, read_text(path), finder, problems))
                count = len(found)
            else:
                found, count = read_one(path, name, problems, False, finder.tagger.only_spaces)
            if not found and len(problems) == before:
                raise UserError(f"{path}: holds no sentences", fix=FORM)
            lists.append(found)
            total += count
        problems.settle(total)
        own = iter(with_own_ids(one for some in lists for one in some))
        return [list(islice(own, len(some))) for some in lists]


def run(request: Request, out: Path | None = None, shard: str | None = None, merged: bool = False) -> None:
    """Find entities: to standard output, or into a folder.

    Raises:
        UserError, DataError: no model or file there, or bad lines, all of them together; those of a pipe are told as
            they come, and again when it has ended.
    """
    if shard is not None and merged:
        raise UserError("--merge joins the parts of all shards; --shard does one", fix="give one of them")
    if out is None:
        if shard is not None or merged:
            raise UserError("--shard and --merge are for manifests, which need a folder", fix="give --out DIR")
        _stream(request)
        return
    of_manifests = [is_lhotse(path) for path in request.sources]
    if all(of_manifests) and request.format is not None:
        what = f"--format {request.format} is for texts: a manifest is written as a manifest"
        raise UserError(what, fix="leave out --format; or leave out --out, and the entities are printed so")
    if all(of_manifests):
        _annotate(request, out, shard, merged)
    elif any(of_manifests):
        raise UserError("manifests and texts give results of two kinds", fix="give them apart, each with its own --out")
    elif shard is not None or merged:
        raise UserError("--shard and --merge are for manifests, and these are texts", fix="leave them out")
    else:
        _write(request, out)


class _Summary:
    """Counts answers, and says in the end what was found."""

    def __init__(self) -> None:
        self.sentences, self.labels = 0, Counter[str]()

    def add(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            self.sentences += 1
            self.labels.update(entity.label for entity in answer.entities)

    def say(self) -> None:
        kinds = [f"{count} {label}" for label, count in self.labels.most_common(_SHOWN)]
        more = len(self.labels) - len(kinds)
        told = f" ({', '.join(kinds)}{f', {more} more labels' if more else ''})" if kinds else ""
        say(f"found {self.labels.total()} entities{told} in {self.sentences} sentences")


def _stream(request: Request) -> None:
    """Answer on standard output, line by line."""
    finder, summary, problems = request.finder(), _Summary(), Problems()
    write, _ = FORMATS[request.format or INLINE]
    lists = request.texts(finder, [path for path in request.sources if path != STDIN])  # all, before the first answer
    for some in FLOW.of(request.sources, lists, _parsed(finder, "stdin"), problems, FORM):
        answers = finder(some)
        sys.stdout.write("".join(map(write, answers)))
        sys.stdout.flush()
        summary.add(answers)
    summary.say()
    if problems:
        raise DataError(problems, total=len(problems))


def _numbered(
    path: str, name: str, lines: Iterable[tuple[int, bytes]], finder: Finder, problems: Problems
) -> Iterator[Sentence]:
    """The sentences of lines with their numbers; also empty ones of those that are missing in between."""
    parse, last = _parsed(finder, name), 0
    for number, line in lines:
        for missing in range(last + 1, number):
            yield parse(b"", f"{path}:{missing}", problems)
        yield parse(line, f"{path}:{number}", problems)
        last = number


def _parsed(finder: Finder, name: str) -> Callable[[bytes, str, Problems], Sentence]:
    """What makes sentences of lines; one that cannot be read counts as empty, so that no line is lost.

    Args:
        name: of the file, for ids.
    """

    def parse(line: bytes, where: str, problems: Problems) -> Sentence:
        id = f"{name}:{where.rpartition(':')[2]}"
        sentence = finder.divided(id, decoded(line, where, problems) or "", where)
        if hidden := hidden_character("".join(sentence.words)):
            problems.add("control character", where, id, f"it holds the character U+{ord(hidden):04X}", "remove it")
            return finder.divided(id, "", where)
        return sentence

    return parse


def _write(request: Request, out: Path) -> None:
    """Write what texts give into a folder that is complete or absent."""
    stdin = all_of_stdin(FLOW.unit) if STDIN in request.sources else None
    finder = request.finder()
    format = request.format or INLINE
    write, ending = FORMATS[format]
    name = f"{RESULT}.{ending}"
    inputs = _digests(request.sources, stdin)
    spec = {**request.settings(finder), "format": format, "inputs": inputs}
    with output(out, "ner apply", spec, resumable=False) as folder:
        if not folder.done:
            summary, lists = _Summary(), request.texts(finder, request.sources, stdin)
            with open(folder.work / name, "w", encoding="utf-8") as file:
                for sentences in lists:
                    for some in FLOW.tracked(sentences):
                        answers = finder(some)
                        file.write("".join(map(write, answers)))
                        summary.add(answers)
            summary.say()
    print(out / name)


def _digests(paths: Iterable[Path], stdin: bytes | None) -> list[dict[str, str]]:
    """What the inputs are, in their order."""
    return [
        {"-": hashlib.sha256(stdin or b"").hexdigest()}
        if path == STDIN
        else {printable(path.resolve()): digest(require_lasting(path))}
        for path in paths
    ]


def _annotate(request: Request, out: Path, shard: str | None, merged: bool) -> None:
    """Write manifests again with entities, or a part of them, or join the parts."""
    files = manifest_files(request.sources, FILES)
    finder, manifests = request.finder(), Manifests(files, shard)
    spec = {**request.settings(finder), "inputs": _digests(files, None)}
    folders = parts_like(out, spec) if merged else []
    more = {"shard": shard, **({"merged": len(folders)} if merged else {})}
    target = shard_out(out, shard)
    with output(target, "ner apply", {**spec, **more}, None if shard else PARTS, resumable=False) as place:
        if not place.done and merged:
            merge(folders, manifests.name, place.work)
        elif not place.done:
            manifests.write(finder, place.work)
    print(target / manifests.name)
