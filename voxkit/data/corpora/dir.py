"""The user's own recordings: a folder of audio with or without `transcripts.tsv`, or a Kaldi data directory.

In `transcripts.tsv` a line is `path-or-id<TAB>text[<TAB>speaker]`; a path counts from the folder, an id is the path
without its ending, with `-` for `/`. A Kaldi data directory has `wav.scp` and, if wanted, `segments`, `text`, `utt2spk`
and `spk2gender` (https://kaldi-asr.org/doc/data_prep.html). Commands in `wav.scp` are refused: nothing is run here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxkit.data.audio import ENDINGS
from voxkit.data.corpora.corpus import Prepared, Utterance
from voxkit.data.corpora.table import NUL, read_lines
from voxkit.errors import Problems, UserError

TRANSCRIPTS = "transcripts.tsv"
HEADERS = frozenset({"path", "id", "utt_id", "path-or-id"})  # first words of a line that only names the columns
GENDERS = {"f": "female", "m": "male"}


def read(source: Path, problems: Problems) -> Prepared:
    """Everything in the folder as the set `all`.

    Raises:
        UserError: the folder holds neither audio nor `wav.scp`, or manifests cannot name it.
    """
    if _is_nameless(source):
        raise UserError(f"{_shown(source)}: the folder's name is not UTF-8", fix="rename it, e.g. with convmv")
    if (source / "wav.scp").exists():
        return Prepared({"all": list(_read_kaldi(source, problems))})
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not files:
        raise UserError(
            f"{source}: no audio and no wav.scp", fix=f"give a folder with {' '.join(sorted(ENDINGS))} files"
        )
    for path in filter(_is_nameless, files):
        what, fix = "the name is not UTF-8, so that no manifest can hold it", "rename the file, e.g. with convmv"
        problems.add("unusable name", _shown(path), _shown(_id(source, path)), what, fix)
    files = [path for path in files if not _is_nameless(path)]
    if (source / TRANSCRIPTS).exists():
        return Prepared({"all": list(_read_transcribed(source, files, problems))})
    return Prepared({"all": [Utterance(_id(source, path), path, str(path)) for path in files]})


def _id(source: Path, path: Path) -> str:
    return "-".join(path.relative_to(source).with_suffix("").parts)


def _is_nameless(path: Path) -> bool:
    """Whether a path has bytes that are not UTF-8, which Python keeps as lone surrogates."""
    return _shown(path) != str(path)


def _shown(name: Path | str) -> str:
    return str(name).encode(errors="backslashreplace").decode()


def _read_transcribed(source: Path, files: list[Path], problems: Problems) -> Iterator[Utterance]:
    """The audio files in the order of the transcripts."""
    table = source / TRANSCRIPTS
    names: dict[str, list[Path]] = {}
    for path in files:
        relative = path.relative_to(source)
        for name in {relative.as_posix(), relative.with_suffix("").as_posix(), _id(source, path)}:
            names.setdefault(name, []).append(path)
    done: dict[Path, str] = {}
    for number, line in enumerate(read_lines(table), start=1):
        where = f"{table}:{number}"
        name, *fields = [field.strip() for field in line.split("\t")]
        if not line.strip() or (number == 1 and name in HEADERS):
            continue
        found = names.get(name.removeprefix("./"), [])
        if "\0" in line:
            problems.add("broken line", where, name.replace("\0", ""), *NUL)
        elif len(fields) not in (1, 2):
            what = f"{len(fields) + 1} fields instead of 2 or 3"
            problems.add("broken line", where, name or f"line {number}", what, "write path<TAB>text[<TAB>speaker]")
        elif not found:
            problems.add("missing file", where, name, "no such audio in the folder", "mend the name or remove the line")
        elif len(found) > 1:
            what = f"may be {' or '.join(path.name for path in found)}"
            problems.add("ambiguous name", where, name, what, "write the path with its ending")
        elif found[0] in done:
            problems.add("duplicate id", where, name, f"also at {done[found[0]]}", "remove one of them")
        else:
            done[found[0]] = where
            speaker = fields[1] if len(fields) == 2 else ""
            yield Utterance(_id(source, found[0]), found[0], where, text=fields[0], speaker=speaker or None)
    for path in files:
        if path not in done:
            problems.add(
                "no transcript", str(path), _id(source, path), f"not in {table}", "add a line or move the file"
            )


def _read_kaldi(source: Path, problems: Problems) -> Iterator[Utterance]:
    recordings = _recordings(source, problems)
    texts = _read_map(source / "text", problems, empty=True)
    speakers = _read_map(source / "utt2spk", problems)
    genders = _read_map(source / "spk2gender", problems)
    segments = _segments(source, recordings, problems)
    refused = problems.bad_ids
    for id, (recording, start, duration, where) in segments.items():
        text = texts.get(id, ("", ""))
        if texts and id not in texts:
            problems.add("no transcript", where, id, f"not in {source / 'text'}", "add it to text")
            continue
        speaker = speakers.get(id, ("", ""))[0]
        if speakers and not speaker:
            problems.add("no speaker", where, id, f"not in {source / 'utt2spk'}", "add it to utt2spk")
        yield Utterance(
            id,
            recordings[recording][0],
            text[1] or where,
            text=text[0] if texts else None,
            speaker=speaker or None,
            gender=GENDERS.get(genders.get(speaker, ("", ""))[0].lower()),
            recording_id=recording,
            start=start,
            duration=duration,
        )
    for name, table in (("text", texts), ("utt2spk", speakers)):
        for id, (_, where) in table.items():
            if id not in segments and id not in refused:
                problems.add("unknown utterance", where, id, f"{name} has it, the audio does not", "remove the line")


def _recordings(source: Path, problems: Problems) -> dict[str, tuple[Path, str]]:
    """`wav.scp`: the path of each recording and where it says so; relative paths count from here or from the folder."""
    recordings: dict[str, tuple[Path, str]] = {}
    for id, (value, where) in _read_map(source / "wav.scp", problems).items():
        if value.endswith("|"):
            what, fix = "a command (it ends in |), which is not run", f"run it once: {value[:-1].strip()} > {id}.wav"
            problems.add("piped audio", where, id, what, f"{fix}; then write `{id} {id}.wav`")
        elif value == "-" or value.startswith("|"):
            problems.add("piped audio", where, id, "audio from a pipe", "write the path of a file")
        else:
            path = Path(value).expanduser()
            beside = source / path
            recordings[id] = (beside if not path.exists() and beside.exists() else path, where)
    return recordings


def _segments(
    source: Path, recordings: dict[str, tuple[Path, str]], problems: Problems
) -> dict[str, tuple[str, float, float | None, str]]:
    """Utterance -> recording, start, duration [s], where. Without `segments`, an utterance is a recording."""
    if not (source / "segments").exists():
        return {id: (id, 0.0, None, where) for id, (_, where) in recordings.items()}
    segments: dict[str, tuple[str, float, float | None, str]] = {}
    refused = problems.bad_ids
    for id, (value, where) in _read_map(source / "segments", problems).items():
        fields = value.split()
        try:
            start, end = (float(field) for field in fields[1:3])
        except ValueError:
            what = f"not of the form `utterance recording start end`: {id} {value}"
            problems.add("broken line", where, id, what, "mend the line")
            continue
        if fields[0] not in recordings:
            reason = "refused" if fields[0] in refused else "not"
            problems.add(
                "unknown recording", where, id, f"{fields[0]} is {reason} in wav.scp", "add it or mend it there"
            )
        elif end != -1 and not 0 <= start < end:
            problems.add("wrong times", where, id, f"from {start:g} to {end:g} s", "the end must come after the start")
        else:
            segments[id] = (fields[0], start, None if end == -1 else round(end - start, 8), where)
    return segments


def _read_map(path: Path, problems: Problems, empty: bool = False) -> dict[str, tuple[str, str]]:
    """A Kaldi table: first word of each line -> rest of the line and `file:line`. A file that is not there is empty."""
    table: dict[str, tuple[str, str]] = {}
    if not path.exists():
        return table
    for number, line in enumerate(read_lines(path), start=1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        key, *rest = line.split(maxsplit=1)
        value = rest[0].strip() if rest else ""
        if "\0" in line:
            problems.add("broken line", where, key.replace("\0", ""), *NUL)
        elif key in table:
            problems.add("duplicate id", where, key, f"also at {table[key][1]}", "remove one of them")
        elif not value and not empty:
            problems.add("broken line", where, key, "nothing after the id", "complete or remove the line")
        else:
            table[key] = value, where
    return table
