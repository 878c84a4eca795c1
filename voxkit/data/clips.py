"""Clips with class labels, from a CutSet or from a folder with a sub-folder for each class; checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal

from voxkit.data import audio
from voxkit.data.audio import ENDINGS, AudioError
from voxkit.data.checks import Line, Requirements, check, duration_of
from voxkit.data.events import Event
from voxkit.data.manifests import CUTS, manifest_files, read_lines, require_some
from voxkit.errors import Problems, UserError
from voxkit.progress import Meter, say
from voxkit.rundir import digest

TOGETHER = 64  # clips that are decoded at a time
CLASSES = "classes.txt"  # a bundle's asset: a class in each line
FIRST, FEW = 20, 10  # where a label is missing: how many supervisions are searched for fields, and fields told
NAME_FIELD = "label it, or name the field with --label NAME (of distill: --set data.label=NAME)"
NONE = "-"  # what `apply` prints for a clip that has none of the classes
LABELS = ("class", "label", "labels", "keyword", "event")  # custom fields that `label: auto` knows

Head = Literal["single", "multi"]


@dataclass(frozen=True)
class Clip:
    """A cut, as a manifest's line, and the classes that it belongs to; `field` is where they are in it."""

    cut: Mapping[str, Any]
    labels: tuple[str, ...]
    where: str
    field: str = "text"

    @property
    def id(self) -> str:
        return str(self.cut["id"])

    @property
    def supervisions(self) -> Sequence[Mapping[str, Any]]:
        """Those of the cut and, if it is mixed, of what it is mixed from."""
        return _supervisions(self.cut)

    @property
    def duration(self) -> float:
        """Length [s]."""
        return duration_of(self.cut)


def is_audio(path: str | Path) -> bool:
    """Whether it is called like an audio file."""
    return Path(path).suffix.lower() in ENDINGS


def clip_files(path: str | Path) -> list[Path]:
    """The files that `path` stands for: itself if it is audio, manifests, or the audio of a folder of classes.

    Raises:
        UserError: it is none of these.
    """
    folder = Path(path)
    if is_folder_of_classes(folder):
        return sorted(_classed(folder))
    if flat_files(folder):
        raise UserError(
            f"{path}: has audio files, and no sub-folder with any",
            fix="put the clips into a sub-folder for each class, "
            f"or make a manifest: voxkit prepare dir --source {path} --out DATA",
        )
    return [folder] if is_audio(folder) else list(manifest_files(path))


def unfolded(paths: Sequence[Path]) -> list[Path]:
    """The paths with the audio files of `flat_files` in place of their folders, for those who need no labels."""
    return [file for path in paths for file in (flat_files(path) or [path])]


def flat_files(folder: Path) -> list[Path]:
    """The audio files of a folder that holds such, and neither a sub-folder with any nor a manifest; else none."""
    if not folder.is_dir() or (folder / CUTS).exists() or is_folder_of_classes(folder):
        return []
    return sorted(file for file in folder.glob("[!.]*") if is_audio(file) and file.is_file())


def require_inputs(paths: Sequence[Path]) -> None:
    """Refuse paths that are no clips, all of them at once, with the audio files that cannot be opened.

    Raises:
        UserError: a path is neither audio nor what `clip_files` takes, or one of several is not there.
    """
    strange: dict[Path, UserError] = {}
    for path in paths:
        try:
            clip_files(path)
        except UserError as error:
            strange[path] = error
    if len(paths) == 1 and strange:
        raise strange[paths[0]]
    if not strange and (len(paths) == 1 or all(path.exists() for path in paths)):
        return
    for path in filter(is_audio, paths):
        try:
            audio.info(path)
        except AudioError as error:
            strange[path] = UserError(f"{path}: {error.what}", error.fix)
    told = [f"  {strange[path].message}; {strange[path].fix}" for path in paths if path in strange]
    what = "\n".join([f"{len(told)} of {len(paths)} inputs cannot be used", *told])
    raise UserError(what, fix="mend these, or leave them out")


def clip_digests(*paths: str | Path) -> dict[str, str]:
    """What the files behind manifests, folders of classes and audio files are.

    Of audio that cannot be read it is empty: that is told when the clips are checked, with all the rest.
    """
    return {str(file): _digest(file) for path in paths for file in clip_files(path)}


def _digest(file: Path) -> str:
    try:
        return digest(file)
    except UserError:
        if is_audio(file):
            return ""
        raise


def is_folder_of_classes(folder: Path) -> bool:
    """Whether it has sub-folders with audio, and is not a manifest's folder."""
    return folder.is_dir() and not (folder / CUTS).exists() and any(_classed(folder))


def _classed(folder: Path) -> Iterator[Path]:
    """The audio files in sub-folders; without hidden ones, such as the companions that macOS makes of files."""
    for file in folder.glob("*/*"):
        if is_audio(file) and not file.name.startswith(".") and not file.parent.name.startswith("."):
            yield file


def open_clips(
    path: str | Path | Sequence[Path],
    label: str,
    head: Head,
    shortest: float,
    max_bad: float = 0.0,
    rejected: Path | None = None,
    classes: Sequence[str] | None = None,
    need_labels: bool = True,
) -> list[Clip]:
    """Read clips and check them; audio is not decoded.

    Args:
        path: a manifest of cuts, a folder with a sub-folder of audio files for each class, or an audio file; or some.
        label: where the classes are, see `ClipDataConfig.label`. Each supervision of a cut has one, or a list.
        head: "single": a clip has exactly one class.
        shortest: the least duration [s].
        classes: those that there may be; any if None.
        need_labels: clips without a class are bad; else they have none.

    Raises:
        DataError: more than `max_bad` of them are bad; it tells every problem.
        UserError: no such file, or nothing in it.
    """
    problems = Problems()
    paths = [Path(path)] if isinstance(path, str | Path) else list(path)
    name = ", ".join(map(str, paths))
    lines = _lines(paths, problems)
    total = len(lines) + len(problems)  # those that could not be opened are no lines
    require_some(total, name)
    found, bad, _ = check(lines, Requirements(segments=True))
    problems.extend(found)
    good = [line for line in lines if line.where not in bad and line.data is not None]
    key = "class" if all(map(is_folder_of_classes, paths)) else _field(good, label)
    seen = _fields_of(good)
    clips = []
    for line in good:
        data = line.data or {}
        clip = Clip(data, _labels(data, key), line.where, key)
        found_by_itself = label == "auto" and key != "text"
        fault = _lacking(clip, key) if need_labels and found_by_itself else None
        fault = fault or _fault(clip, head, shortest, classes)
        if need_labels and NONE in clip.labels:
            fault = fault or ("class name", f"has the class {NONE!r}, which stands for none", "call it something else")
        if need_labels and not clip.labels and (head == "single" or not clip.supervisions):
            fault = fault or _unlabelled(clip, key, label, seen)
        if fault is None:
            clips.append(clip)
        else:
            problems.add(fault[0], clip.where, clip.id, fault[1], fault[2])
    problems.settle(max(total, len(problems.bad_ids)), max_bad, rejected, count=total - len(clips))
    require_some(len(clips), name)
    return clips


def class_names(clips: Iterable[Clip]) -> list[str]:
    """The classes that occur, sorted."""
    return sorted({label for clip in clips for label in clip.labels})


def load_classes(folder: Path) -> list[str]:
    """The classes of a bundle, from its assets.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        names = (folder / CLASSES).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{folder / CLASSES}: cannot be read: {error}", fix="copy the model again") from error
    if not names or len(set(names)) != len(names):
        raise UserError(f"{folder / CLASSES}: holds no class, or one twice", fix="copy the model again")
    return names


def _lines(paths: Sequence[Path], problems: Problems) -> list[Line]:
    found: list[Line] = []
    stems = Counter(path.stem for path in paths if is_audio(path))
    for path in paths:
        if is_folder_of_classes(path):
            found += _folder(path, problems)
        elif is_audio(path):
            found += _line(path, path.stem if stems[path.stem] == 1 else str(path), None, problems)
        else:
            found += read_lines(clip_files(path))
    return found


def _folder(path: Path, problems: Problems) -> list[Line]:
    """The cuts of a folder of classes; what is not used of it is told."""
    files = clip_files(path)
    used, found = set(files), []
    for folder, own in groupby(files, lambda file: file.parent):
        if " ".join(folder.name.split()) != folder.name:
            what = "its name has a tab, a line break, or blanks at an end or in a row, which a class has not"
            problems.add("class name", repr(str(folder)), folder.name, what, "rename the folder")
            continue
        for file in own:
            found += _line(file, f"{folder.name}/{file.stem}", folder.name, problems)
    others = [file for file in path.rglob("*") if is_audio(file) and file not in used]
    if others:
        say(f"notice: {len(others)} audio files are hidden or in no class's folder, and not used: {others[0]} ...")
    classes = {file.parent for file in files}
    empty = sorted(one.name for one in path.iterdir() if one.is_dir() and one not in classes and one.name[:1] != ".")
    if empty:
        say(f"notice: {path}: no audio in {', '.join(empty[:FEW])}, which becomes no class")
    return found


def _line(file: Path, name: str, label: str | None, problems: Problems) -> list[Line]:
    """The cut of a whole audio file, with the mean of its channels; none if it cannot be opened."""
    try:
        header = audio.info(file)
    except AudioError as error:
        problems.add(error.kind, str(file), name, error.what, error.fix)
        return []
    channels = list(range(header.channels))
    place = {"recording_id": name, "start": 0.0, "duration": header.duration}
    place["channel"] = channels if header.channels > 1 else 0
    recording = {
        "id": name,
        "sources": [{"type": "file", "channels": channels, "source": str(file.absolute())}],
        "sampling_rate": header.sampling_rate,
        "num_samples": header.num_samples,
        "duration": header.duration,
        "channel_ids": channels,
    }
    supervisions = [] if label is None else [{"id": name, **place, "custom": {"class": label}}]
    kind = "MultiCut" if header.channels > 1 else "MonoCut"
    cut = {"id": name, **place, "supervisions": supervisions, "recording": recording, "type": kind}
    del cut["recording_id"]
    return [Line(str(file), cut)]


def _field(lines: Sequence[Line], label: str) -> str:
    """Where labels are: "text", or the name of a custom field; by itself, one that more than half of them have."""
    if label != "auto":
        return label
    customs = [set(supervision.get("custom") or ()) for line in lines for supervision in _supervisions(line.data or {})]
    often = {name: sum(name in custom for custom in customs) for name in LABELS}
    everywhere = [name for name in LABELS if customs and often[name] == len(customs)]
    found = [*everywhere, *(name for name in LABELS if 2 * often[name] > len(customs))]
    if not found and any(often.values()):
        name = max(LABELS, key=lambda name: often[name])
        say(f"notice: the text is the class: {often[name]} of {len(customs)} supervisions have custom[{name!r}]")
    return found[0] if found else "text"


def _lacking(clip: Clip, key: str) -> tuple[str, str, str] | None:
    """What is wrong with a clip of which a supervision lacks the field that was found by itself: as `_fault`."""
    without = [one for one in clip.supervisions if key not in (one.get("custom") or ())]
    if not without:
        return None
    what = f"supervision {without[0].get('id', '?')} has no custom[{key!r}], which most of the others have"
    return "no class", what, f"{NAME_FIELD}, `text` for the text"


def _unlabelled(clip: Clip, key: str, label: str, seen: Sequence[str]) -> tuple[str, str, str]:
    """What is wrong with a clip that has no class, where the first supervisions have the fields `seen`: as `_fault`."""
    if not clip.supervisions:
        return "no class", "has no supervisions, which would have its class", NAME_FIELD
    looked = "text" if key == "text" else f"custom[{key!r}]"
    if key == "text" and label == "auto":
        looked += f", and no custom field {', '.join(LABELS[:-1])} or {LABELS[-1]}"
    there = f"those of the first clips have {', '.join(seen[:FEW])}" if seen else "nor any other field"
    return "no class", f"its supervisions have no {looked} ({there})", NAME_FIELD


def _fields_of(lines: Sequence[Line]) -> list[str]:
    """The fields that may hold a class, `text` and custom ones, of the first supervisions."""
    found: dict[str, None] = {}
    supervisions = (supervision for line in lines for supervision in _supervisions(line.data or {}))
    for supervision in islice(supervisions, FIRST):
        found.update({"text": None} if supervision.get("text") else {})
        found.update(dict.fromkeys(f"custom[{name!r}]" for name in supervision.get("custom") or ()))
    return list(found)


def _supervisions(cut: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Those of a cut and, if it is mixed, of what it is mixed from."""
    if cut.get("type") == "MixedCut":
        return [supervision for track in cut.get("tracks", ()) for supervision in _supervisions(track["cut"])]
    return cut.get("supervisions") or ()


def _labels(cut: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for supervision in _supervisions(cut):
        found.update(dict.fromkeys(_names(supervision, key)))
    return tuple(found)


def _names(supervision: Mapping[str, Any], key: str) -> list[str]:
    value = supervision.get("text") if key == "text" else (supervision.get("custom") or {}).get(key)
    names = value if isinstance(value, list) else [value]
    return [" ".join(str(name).split()) for name in names if name is not None and str(name).strip()]


def _fault(clip: Clip, head: Head, shortest: float, classes: Sequence[str] | None) -> tuple[str, str, str] | None:
    """What is wrong with a clip: kind, what and fix."""
    if "\t" in clip.id or len(clip.id.splitlines()) > 1:
        return "name", "its name has a tab or a line break, which tables are made of", "rename it"
    if clip.duration < shortest:
        what = f"lasts {clip.duration:.4g} s, less than one frame of {shortest:g} s"
        return "shorter than a frame", what, "remove it, or lower features.frame_length"
    if head == "single" and len(clip.labels) > 1:
        what = f"has {len(clip.labels)} classes: {', '.join(clip.labels[:5])}"
        return "several classes", what, "leave one, train with --set head=multi, or score classes with times: --events"
    strange = [label for label in clip.labels if classes is not None and label not in classes]
    if strange:
        what = f"{', '.join(strange[:5])}: not among the classes learnt from the training clips"
        return "unknown class", what, "add training clips of that class, or remove these"
    return None


def reference_events(clip: Clip) -> list[Event]:
    """The labels of a clip with the times of their supervisions [s, from its start], in order of time."""
    return sorted(_timed(clip.cut, clip.field, 0.0, clip.duration), key=lambda event: (event.start, event.end))


def _timed(cut: Mapping[str, Any], key: str, offset: float, duration: float) -> Iterator[Event]:
    if cut.get("type") == "MixedCut":
        for track in cut.get("tracks", ()):
            yield from _timed(track["cut"], key, offset + float(track.get("offset", 0)), duration)
        return
    for supervision in cut.get("supervisions") or ():
        start = offset + float(supervision["start"])
        end = start + float(supervision["duration"])
        yield from (Event(name, max(start, 0.0), min(end, duration)) for name in _names(supervision, key))


def decodable(
    clips: Sequence[Clip],
    rate: int,
    max_bad: float,
    rejected: Path | None,
    keep: Callable[[int, audio.Samples], object],
) -> list[Clip]:
    """Those clips whose audio can be used. All of them are decoded, in threads.

    Args:
        rate: wanted [Hz].
        keep: is given the place of each of them among the result, in order, and its samples at that rate.

    Raises:
        DataError: more than `max_bad` of the clips cannot be decoded, or hold values that are not numbers.
    """
    problems = Problems()
    good: list[Clip] = []
    remaining = iter(clips)
    with ThreadPoolExecutor() as pool, Meter(len(clips), "reading audio", "clips") as meter:
        while some := list(islice(remaining, TOGETHER)):
            for clip, heard in zip(some, pool.map(lambda clip: _heard(clip, rate), some), strict=True):
                if isinstance(heard, AudioError):
                    problems.add(heard.kind, clip.where, clip.id, heard.what, heard.fix)
                else:
                    keep(len(good), heard)
                    good.append(clip)
            meter.advance(len(some))
    problems.settle(len(clips), max_bad, rejected)
    require_some(len(good), f"{len(clips)} clips")
    return good


def _heard(clip: Clip, rate: int) -> audio.Samples | AudioError:
    try:
        return load_clip(clip, rate)
    except AudioError as error:
        return error


def load_clip(clip: Clip, rate: int) -> audio.Samples:
    """The samples of a clip at `rate` Hz, mono: float32 (N,). Raises AudioError."""
    return audio.load(clip.cut, rate)
