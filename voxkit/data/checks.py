"""Finding everything that is wrong with cuts before work begins: their manifest lines, audio headers and audio.

A cut is looked at as its line in the manifest is, a mapping; lhotse is needed only for audio that it must make.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TypeVar

from voxkit.data import audio, schema
from voxkit.data.audio import AudioError, AudioInfo
from voxkit.errors import Problem, Problems
from voxkit.progress import Meter

T = TypeVar("T")
U = TypeVar("U")

TOLERANCE = 0.01  # how far times may go beyond their recording [s]; manifests round to hundredths
CHUNK = 2048  # cuts looked at together
SUPERVISION = "\0"  # sets the ids of supervisions apart from those of cuts
SHARE = 16  # of them that a thread takes at a time
REMOVE = "remove it"
UNUSABLE = ("not a cut", "source not a file")  # kinds of problems of lines whose fields cannot be relied on


@dataclass(frozen=True, slots=True)
class Line:
    """A manifest's line: where it is ("file:line"), and its content or what is wrong with it."""

    where: str
    data: dict[str, Any] | None
    error: str = ""

    @property
    def id(self) -> str:
        """The cut's id, or something to name the line by."""
        id = self.data.get("id") if self.data else None
        if not isinstance(id, str) or not id:
            return f"line-{self.where.rpartition(':')[2]}"
        return id.encode(errors="backslashreplace").decode()


@dataclass(frozen=True, slots=True)
class Requirements:
    """What cuts must be like.

    Attributes:
        sampling_rate: of the recordings [Hz]; any if None.
        text: every supervision has words.
        audio: audio files exist and are what the manifest says (their headers are read).
        decode: audio decodes to the end and holds a signal.
        vocabulary: the words that supervisions may have; any if None.
        segments: cuts can be trimmed to their supervisions: these are inside their cuts, and no two have one id.
    """

    sampling_rate: int | None = None
    text: bool = False
    audio: bool = True
    decode: bool = False
    vocabulary: Container[str] | None = None
    segments: bool = False


def check(lines: Iterable[Line], need: Requirements, total: int | None = None) -> tuple[Problems, set[str], int]:
    """Look at every line and collect all problems, in the order of the lines.

    Args:
        total: how many lines there are, for the progress shown while audio is decoded.

    Returns:
        The problems; the `where` of every line to leave out; how many lines there were.
    """
    problems, bad, count = Problems(), set[str](), 0
    seen: dict[str, str] = {}
    headers: dict[str, AudioInfo | AudioError] = {}
    with ThreadPoolExecutor(_threads()) as pool, Meter(total, "checking audio", "cuts") as meter:
        iterator = iter(lines)
        while chunk := list(islice(iterator, CHUNK)):
            found = [list(check_line(line, need, seen)) for line in chunk]
            if need.audio:
                _check_audio(chunk, found, need, headers, pool)
            for line, of_line in zip(chunk, found, strict=True):
                if of_line:
                    bad.add(line.where)
                for problem in of_line:
                    problems.add(problem.kind, problem.where, problem.id, problem.what, problem.fix)
            count += len(chunk)
            if need.decode:
                meter.advance(len(chunk))
    return problems, bad, count


def check_line(line: Line, need: Requirements, seen: dict[str, str]) -> Iterator[Problem]:
    """The problems that show without opening any audio; `seen` gathers ids and where they were."""

    def problem(kind: str, what: str, fix: str) -> Problem:
        return Problem(kind, line.where, line.id, what, fix)

    malformed = check_form(line)
    if malformed is not None:
        yield malformed
        return
    data = line.data or {}
    if line.id in seen:
        yield problem("duplicate id", f"also at {seen[line.id]}", "rename or remove one of them")
    elif need.segments:
        for what in _repeated(line, seen):
            yield problem("duplicate id", what, "rename one of them")
    seen.setdefault(line.id, line.where)
    for cut, supervisions in leaves(data):
        for kind, what, fix in chain(_times(cut), _supervisions(cut, supervisions, need), _words(supervisions, need)):
            yield problem(kind, what, fix)
    if need.text and not any(supervisions for _, supervisions in leaves(data)):
        yield problem("empty text", "the cut has no supervision", "add a transcript, or remove it")


def check_form(line: Line) -> Problem | None:
    """Why a line is not a cut whose fields can be relied on; None if it is."""
    if line.data is None:
        fault: schema.Fault | None = ("broken JSON line", line.error, "write the manifest again, or remove the line")
    else:
        fault = schema.fault(line.data)
    return None if fault is None else Problem(fault[0], line.where, line.id, fault[1], fault[2])


def _repeated(line: Line, seen: dict[str, str]) -> Iterator[str]:
    """Supervisions named like others, of a cut with several: trimming to them makes their ids those of cuts."""
    ids = [str(one["id"]) for _, supervisions in leaves(line.data or {}) for one in supervisions if "id" in one]
    for id in ids if len(ids) > 1 else ():
        key = f"{SUPERVISION}{id}"
        if key in seen:
            place = "twice in the cut" if seen[key] == line.where else f"also at {seen[key]}"
            yield f"supervision {id} is {place}"
        seen.setdefault(key, line.where)


def duration_of(data: Mapping[str, Any]) -> float:
    """How long a cut is [s]; 0 for what is not one."""
    try:
        seconds = _duration(data)
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return 0.0
    return seconds if 0 < seconds < schema.LARGEST else 0.0


def _duration(data: Mapping[str, Any]) -> float:
    if data.get("type") == "MixedCut":
        ends = (float(track.get("offset", 0)) + _duration(track.get("cut", {})) for track in data.get("tracks", ()))
        return max(ends, default=0.0)
    return float(data.get("duration", 0))


def leaves(data: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Sequence[dict[str, Any]]]]:
    """The simple cuts inside a cut, each with its supervisions."""
    if data["type"] == "MixedCut":
        for track in data["tracks"]:
            yield from leaves({"type": track.get("type", "MonoCut"), **track["cut"]})
    elif data["type"] != "PaddingCut":
        yield data, data.get("supervisions") or ()


def _times(cut: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if cut["duration"] <= 0:
        yield "zero length", f"its duration is {cut['duration']:g} s", REMOVE
    recording = cut.get("recording")
    if recording is None:
        return
    length, end = recording["duration"], cut["start"] + cut["duration"]
    if recording["num_samples"] <= 0:
        yield "zero length", "its recording has no samples", REMOVE
    elif abs(length - recording["num_samples"] / recording["sampling_rate"]) > TOLERANCE:
        counted = recording["num_samples"] / recording["sampling_rate"]
        what = f"the recording's duration is {length:g} s, its num_samples are {counted:g} s"
        yield "wrong length", what, "make the manifest again from the audio"
    if cut["start"] < 0 or end > length + TOLERANCE:
        what = f"it is at {cut['start']:g} to {end:g} s of a recording of {length:g} s"
        yield "cut outside its recording", what, "mend start and duration"


def _supervisions(
    cut: Mapping[str, Any], supervisions: Sequence[Mapping[str, Any]], need: Requirements
) -> Iterator[tuple[str, str, str]]:
    length = cut["recording"]["duration"] if "recording" in cut else None
    for supervision in supervisions:
        name = supervision.get("id", "?")
        duration = supervision.get("duration", 0)
        start = supervision.get("start", 0)  # counts from the cut's
        begin = cut["start"] + start
        end = begin + duration
        if duration <= 0:
            yield "zero length", f"supervision {name} has a duration of {duration:g} s", "mend its times"
        elif begin < -TOLERANCE or (length is not None and end > length + TOLERANCE):
            ends = f" of {length:g} s" if length is not None else ""
            what = f"supervision {name} is at {begin:g} to {end:g} s of a recording{ends}"
            yield "supervision outside its recording", what, "mend its start and duration"
        elif need.segments and (start < -TOLERANCE or start + duration > cut["duration"] + TOLERANCE):
            what = f"supervision {name} is at {start:g} to {start + duration:g} s of a cut of {cut['duration']:g} s"
            yield "supervision outside its cut", what, "mend its times, or make the cut longer"


def _words(supervisions: Sequence[Mapping[str, Any]], need: Requirements) -> Iterator[tuple[str, str, str]]:
    for supervision in supervisions:
        words = str(supervision.get("text") or "").split()
        if need.text and not words:
            what = f"supervision {supervision.get('id', '?')} has no text"
            yield "empty text", what, "add its transcript, or remove it"
        if need.vocabulary is not None:
            unknown = [word for word in dict.fromkeys(words) if word not in need.vocabulary]
            if unknown:
                yield "out-of-lexicon word", " ".join(unknown), "add to the lexicon, or mend the transcript"


def _check_audio(
    chunk: Sequence[Line],
    found: Sequence[list[Problem]],
    need: Requirements,
    headers: dict[str, AudioInfo | AudioError],
    pool: ThreadPoolExecutor,
) -> None:
    """Add to `found` what headers (and, if needed, samples) of the cuts without other problems show."""
    usable = [
        (line, line.data, of_line)
        for line, of_line in zip(chunk, found, strict=True)
        if line.data is not None and not any(problem.kind in UNUSABLE for problem in of_line)
    ]
    files = dict.fromkeys(path for _, data, _ in usable for path, _ in _files(data) if path not in headers)
    for path, header in zip(files, _parallel(pool, _header, list(files)), strict=True):
        headers[path] = header
    for line, data, of_line in usable:
        for kind, what, fix in _headers(data, need, headers):
            of_line.append(Problem(kind, line.where, line.id, what, fix))
    if need.decode:
        whole = [(line, data, of_line) for line, data, of_line in usable if not of_line]
        faults = _parallel(pool, decode, [data for _, data, _ in whole])
        for (line, _, of_line), fault in zip(whole, faults, strict=True):
            if fault is not None:
                of_line.append(Problem(fault[0], line.where, line.id, fault[1], fault[2]))


def _files(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The audio files of a cut, each with the recording that names it."""
    for cut, _ in leaves(data):
        recording = cut.get("recording")
        if recording:
            yield from ((source["source"], recording) for source in recording["sources"] if source["type"] == "file")


def _header(path: str) -> AudioInfo | AudioError:
    try:
        return audio.info(path)
    except AudioError as error:
        return error


def _headers(
    data: Mapping[str, Any], need: Requirements, headers: Mapping[str, AudioInfo | AudioError]
) -> Iterator[tuple[str, str, str]]:
    for path, recording in _files(data):
        header = headers[path]
        rate = recording["sampling_rate"]
        if isinstance(header, AudioError):
            yield header.kind, header.what, header.fix
            continue
        if need.sampling_rate is not None and rate != need.sampling_rate:
            what = f"{rate} Hz, wanted {need.sampling_rate} Hz: {path}"
            yield "wrong sampling rate", what, _other_rate(rate, need.sampling_rate)
        if recording.get("transforms"):
            continue  # the manifest speaks of the audio after them
        if header.num_samples == 0:
            yield "zero length", f"the file holds no samples: {path}", REMOVE
        elif header.sampling_rate != rate:
            what = f"{header.sampling_rate} Hz in {path}, {rate} Hz in the manifest"
            yield "wrong sampling rate", what, "make the manifest again from the audio"
        elif abs(header.num_samples - recording["num_samples"]) > (0 if header.exact else audio.SLACK * rate):
            what = f"{header.num_samples} samples in {path}, {recording['num_samples']} in the manifest"
            yield "wrong length", what, "copy the file again if it was cut off, or make the manifest again"


def _other_rate(rate: int, wanted: int) -> str:
    return (
        f"`voxkit featurize CUTS --out DIR --set features.sampling_rate={wanted}` resamples: use DIR instead; or train "
        f"a model for {rate} Hz with --set features.sampling_rate={rate}"
    )


def decode(data: dict[str, Any]) -> tuple[str, str, str] | None:
    """Decode a cut's audio: what is wrong with it (kind, what, fix), or None."""
    if "recording" not in data and data["type"] != "MixedCut":
        return None
    try:
        segment = audio.plain_segment(data)
        samples, _ = segment.read() if segment else audio.load_cut(to_cut(data))
    except AudioError as error:
        return error.kind, error.what, error.fix
    fault = audio.judge(samples)
    return fault and (fault[0], f"{fault[1]}: {segment.path}" if segment else fault[1], fault[2])


def to_cut(data: Mapping[str, Any]) -> Any:
    """The lhotse cut that a manifest's line stands for.

    Raises:
        AudioError: it names audio or features that are not in files, which lhotse would run or fetch.
    """
    audio.require_files(data)
    return schema.made(data)


def _parallel(pool: ThreadPoolExecutor, function: Callable[[T], U], items: Sequence[T]) -> list[U]:
    """Map in threads: libsndfile works outside the interpreter's lock."""
    shares = [items[begin : begin + SHARE] for begin in range(0, len(items), SHARE)]
    results = pool.map(lambda share: [function(item) for item in share], shares)
    return list(chain.from_iterable(results))


def _threads() -> int:
    return min(32, 2 * len(os.sched_getaffinity(0)))
