"""Opening, checking, dividing and writing manifests of cuts. Free of lhotse until a CutSet is wanted."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from voxkit.data import schema
from voxkit.data.audio import ENDINGS
from voxkit.data.checks import TOLERANCE, Line, Requirements, check, check_form, leaves
from voxkit.errors import DataError, Problems, UserError

if TYPE_CHECKING:
    from lhotse import CutSet

CUTS = "cuts.jsonl.gz"
SUPERVISIONS = "supervisions.jsonl.gz"
FEATURES = "feats"  # the folder beside `CUTS` that holds features

MANY = 8  # manifests to name in a message

Paths = str | Path | Sequence[str | Path]


def open_cuts(paths: Paths) -> CutSet:
    """Open cuts lazily: nothing but the files' existence is looked at until they are iterated.

    Args:
        paths: `.jsonl` or `.jsonl.gz` files of cuts, or folders that hold `cuts.jsonl.gz`; several are chained.

    Raises:
        UserError: no such file, or not a format that can be read line by line. While iterating, DataError: a line is
            broken or not a cut (use `check_cuts` to find all of them first).
    """
    from lhotse import CutSet

    return CutSet(CutLines(manifest_files(paths)))


def check_cuts(
    cuts: CutSet | None,
    path: Paths | None = None,
    *,
    sampling_rate: int | None = None,
    need_text: bool = False,
    need_audio: bool = True,
    full_audio: bool = False,
    vocabulary: Container[str] | None = None,
    max_bad: float = 0.0,
    rejected: Path | None = None,
) -> CutSet:
    """Check all cuts, which can be trimmed to their supervisions then, and leave out the bad ones if there are few.

    Args:
        cuts: what `open_cuts` gave for `path`, or cuts made in memory.
        path: the manifest(s), so that problems are told with file and line; None for cuts made in memory.
        sampling_rate: that recordings must have [Hz]; any if None.
        need_text: every cut must have a transcript.
        need_audio: look at audio files' headers.
        full_audio: decode all audio too; this finds truncated files, NaN and silence.
        vocabulary: words that transcripts may have; any if None.
        max_bad: the share of bad cuts that is tolerated.
        rejected: where to list those left out, JSON lines.

    Returns:
        The good cuts, lazily if they were lazy.

    Raises:
        DataError: more than `max_bad` are bad; it reports every problem found.
        UserError: there are no cuts at all.
    """
    need = Requirements(sampling_rate, need_text, need_audio or full_audio, full_audio, vocabulary, segments=True)
    files = manifest_files(path) if path is not None else ()
    made = [] if files else list(cuts or ())
    lines = read_lines(files) if files else (Line(f"cut:{n}", cut.to_dict()) for n, cut in enumerate(made, start=1))
    problems, bad, total = check(lines, need)
    require_some(total, ", ".join(map(str, files)) or "the set of cuts")
    problems.settle(total, max_bad, rejected)
    from lhotse import CutSet

    if files:
        return CutSet(CutLines(files, frozenset(bad)))
    return CutSet.from_cuts(cut for n, cut in enumerate(made, start=1) if f"cut:{n}" not in bad)


def require_some(total: int, name: str) -> None:
    """Raise UserError if there is nothing to work on."""
    if total == 0:
        raise UserError(f"{name}: holds no cuts", fix="check the command that made it")


def manifest_files(paths: Paths, names: Sequence[str] = (CUTS,)) -> tuple[Path, ...]:
    """The files behind manifest paths.

    Args:
        names: of the files that a folder may stand for; it is the first of them that is there.

    Raises:
        UserError: one does not exist or has an unknown format.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    files: list[Path] = []
    for given in map(Path, listed):
        inside = (given / name for name in names)
        file = next(filter(Path.exists, inside), given / CUTS) if given.is_dir() else given
        if not file.exists():
            raise _no_manifest(given, file)
        if not file.is_file():
            raise UserError(f"{file}: not a file", fix="give a manifest, or a folder that holds cuts.jsonl.gz")
        if file.suffix.lower() in ENDINGS:
            raise UserError(f"{file}: audio, not a manifest", fix="give manifests alone, or audio files alone")
        if not file.name.endswith((".jsonl", ".jsonl.gz")):
            raise UserError(
                f"{file}: not a JSON-lines manifest (.jsonl or .jsonl.gz)",
                fix=f"convert it: lhotse copy {file} {file.with_suffix('').stem}.jsonl.gz",
            )
        files.append(file)
    return tuple(files)


def _no_manifest(given: Path, file: Path) -> UserError:
    """What to say where `file`, which `given` stands for, does not exist."""
    if given.is_symlink() and not given.exists():
        return UserError(f"{given}: a link to {given.readlink()}, which is not there", fix="mend or remove the link")
    if not given.is_dir():
        return UserError(f"{given}: no such manifest", fix="check the path")
    if any(given.glob("shard-*-of-*")):
        return UserError(f"{file}: no such manifest", fix="join the shards first: the same command with --merge")
    sets = sorted(path for path in given.glob("*cuts*.jsonl*") if path.name.endswith((".jsonl", ".jsonl.gz")))
    if sets:
        fix = "give one of its manifests: " + " ".join(map(str, sets[:MANY]))
        return UserError(f"{file}: no such manifest", fix=fix + (" ..." if len(sets) > MANY else ""))
    if any(path.suffix.lower() in ENDINGS for path in given.iterdir()):
        return UserError(
            f"{given}: a folder of audio, without {CUTS}", fix=f"voxkit prepare dir --source {given} --out DATA"
        )
    return UserError(f"{file}: no such manifest", fix="check the path")


def read_lines(files: Iterable[Path]) -> Iterator[Line]:
    """Every line of manifests; broken ones carry their error instead of data, and blank ones are passed over."""
    for file in files:
        for number, text in read_text(file):
            yield parse_line(f"{file}:{number}", text)


def read_text(file: Path) -> Iterator[tuple[int, bytes]]:
    """The numbered lines of a manifest that are not blank.

    Raises:
        UserError: the file cannot be opened; or its gzip stream is damaged, so that lines are lost.
    """
    number = 0
    try:
        with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream:
            try:
                for number, text in enumerate(stream, start=1):
                    if text.strip():
                        yield number, text
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                what = f"the gzip stream is damaged ({error}), so that lines are lost or changed"
                raise UserError(f"{file}:{number + 1}: {what}", fix="make the file again, or copy it again") from error
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}", fix="check the path") from error


def parse_line(where: str, text: bytes) -> Line:
    """One line of a manifest."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        return Line(where, None, f"not JSON: {error.msg} at column {error.colno}")
    except UnicodeDecodeError:
        return Line(where, None, "not UTF-8 text")
    except RecursionError:
        return Line(where, None, "JSON, but nested too deeply")
    except ValueError:  # Python reads integers of up to 4300 digits
        return Line(where, None, "JSON, but with a number of thousands of digits")
    return Line(where, data) if isinstance(data, dict) else Line(where, None, "JSON, but not an object")


class CutLines:
    """Cuts of manifest files, parsed as they are iterated; what a lazy CutSet holds.

    Features are looked for beside the manifest when the folder they were written to is gone, so that a folder with
    `cuts.jsonl.gz` and its features can be moved as a whole. Supervisions that rounding put a little outside their cut
    are put inside.
    """

    def __init__(self, files: Sequence[Path], skip: frozenset[str] = frozenset()) -> None:
        self.files = tuple(files)
        self.skip = skip
        self._length: int | None = None

    def __iter__(self) -> Iterator[Any]:
        for file in self.files:
            moved: dict[str, str] = {}
            for number, text in read_text(file):
                where = f"{file}:{number}"
                if where in self.skip:
                    continue
                line = parse_line(where, text)
                fault = check_form(line)
                if fault is not None:
                    problems = Problems()
                    problems.add(fault.kind, where, fault.id, fault.what, fault.fix)
                    raise DataError(problems, total=1)
                yield schema.made(snap(relocate(line.data or {}, file.parent, moved)))

    def __len__(self) -> int:
        if self._length is None:
            lines = (f"{file}:{number}" for file in self.files for number, _ in read_text(file))
            self._length = sum(where not in self.skip for where in lines)
        return self._length


def snap(data: dict[str, Any]) -> dict[str, Any]:
    """Move the ends of supervisions that are outside their cut by no more than `TOLERANCE` to the cut's edge.

    lhotse cannot trim a cut to a supervision that begins before it or ends after it.
    """
    for cut, supervisions in leaves(data):
        for supervision in supervisions:
            start, end = supervision["start"], supervision["start"] + supervision["duration"]
            begin = 0.0 if -TOLERANCE <= start < 0 else start
            stop = cut["duration"] if cut["duration"] < end <= cut["duration"] + TOLERANCE else end
            if (begin, stop) != (start, end):
                supervision.update(start=begin, duration=round(stop - begin, 8))
    return data


def relocate(data: dict[str, Any], folder: Path, moved: dict[str, str]) -> dict[str, Any]:
    """Point a cut's features to `folder` if they are no longer where they were written.

    Args:
        moved: remembers, for each storage path, where its files are now.
    """
    features = data.get("features")
    if isinstance(features, dict) and isinstance(features.get("storage_path"), str):
        path = features["storage_path"]
        if path not in moved:
            moved[path] = path if os.path.exists(path) else _beside(Path(path), folder) or path
        features["storage_path"] = moved[path]
    return data


def _beside(path: Path, folder: Path) -> str:
    """Where in `folder` a feature file or folder is that was once at `path`; empty if it is not there.

    It was `<out>/feats/...`, or `<out>/shard-<i>-of-<n>/feats/...` if shards were joined.
    """
    names = path.parts
    if FEATURES in names:
        last = len(names) - 1 - names[::-1].index(FEATURES)
        for first in (last, max(last - 1, 0)):
            candidate = folder.joinpath(*names[first:])
            if candidate.exists():
                return str(candidate.resolve())
    return ""


def parse_shard(shard: str) -> tuple[int, int]:
    """ "2/8" -> (2, 8): part 2 of 8, counted from 1.

    Raises:
        UserError: anything else, or a part that does not exist.
    """
    index, slash, count = shard.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise UserError(f"--shard {shard}: not a part", fix="write I/N with 1 <= I <= N, for example --shard 1/4")
    return int(index), int(count)


def shard(cuts: CutSet, index: int, count: int) -> CutSet:
    """Part `index` (1-based) of `count`: every `count`-th cut, so that parts are of like size. Lazy stays lazy."""
    from lhotse import CutSet

    part = _EveryNth(cuts, index - 1, count)
    return CutSet(part) if cuts.is_lazy else CutSet.from_cuts(part)


class _EveryNth:
    def __init__(self, cuts: Iterable[Any], first: int, step: int) -> None:
        self.cuts, self.first, self.step = cuts, first, step

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self.cuts), self.first, None, self.step)

    def __len__(self) -> int:
        return len(range(self.first, len(cast(Any, self.cuts)), self.step))


def write_cuts(cuts: Iterable[Any], path: Path) -> int:
    """Write cuts (lhotse's, or the mappings that stand for them) to `.jsonl` or `.jsonl.gz`: whole, or not at all.

    The same cuts give the same bytes.

    Returns:
        How many there were.
    """
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise UserError(f"{path}: manifests are written as .jsonl or .jsonl.gz", fix="name it so")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    count = 0
    try:
        with open(temporary, "wb") as raw:
            packed = gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0) if path.suffix == ".gz" else None
            stream = packed or raw
            for cut in cuts:
                data = cut if isinstance(cut, Mapping) else cut.to_dict()
                stream.write(json.dumps(data, ensure_ascii=False).encode() + b"\n")
                count += 1
            if packed is not None:
                packed.close()
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return count
