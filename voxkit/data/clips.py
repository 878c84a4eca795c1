"""Clips with class labels, from a CutSet or from a folder with a sub-folder for each class; checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from voxkit.data import audio
from voxkit.data.audio import ENDINGS
from voxkit.data.checks import Line, Requirements, check
from voxkit.data.corpora.corpus import Utterance
from voxkit.data.corpora.writing import make_cuts
from voxkit.data.manifests import CUTS, manifest_files, read_lines, require_some
from voxkit.errors import Problems, UserError

CLASSES = "classes.txt"  # a bundle's asset: a class in each line
LABELS = ("class", "label", "labels", "keyword", "event")  # custom fields that `label: auto` knows

Head = Literal["single", "multi"]


@dataclass(frozen=True)
class Clip:
    """A cut, as a manifest's line, and the classes that it belongs to."""

    cut: Mapping[str, Any]
    labels: tuple[str, ...]
    where: str

    @property
    def id(self) -> str:
        return str(self.cut["id"])

    @property
    def duration(self) -> float:
        """Length [s]."""
        return float(self.cut["duration"])


def clip_files(path: str | Path) -> list[Path]:
    """The files that `path` stands for: manifests, or the audio in the sub-folders of a folder of classes.

    Raises:
        UserError: it is neither.
    """
    folder = Path(path)
    if is_folder_of_classes(folder):
        return sorted(file for file in folder.glob("*/*") if file.suffix.lower() in ENDINGS)
    return list(manifest_files(path))


def is_folder_of_classes(folder: Path) -> bool:
    """Whether it has sub-folders with audio, and is not a manifest's folder."""
    if not folder.is_dir() or (folder / CUTS).exists():
        return False
    return any(file.suffix.lower() in ENDINGS for file in folder.glob("*/*"))


def open_clips(
    path: str | Path,
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
        path: a manifest of cuts, or a folder with a sub-folder of audio files for each class.
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
    lines = _lines(Path(path), problems)
    found, bad, total = check(lines, Requirements(segments=True))
    problems.extend(found)
    require_some(total + len(problems), str(path))
    good = [line for line in lines if line.where not in bad and line.data is not None]
    key = _key(good, label)
    clips = []
    for line in good:
        data = line.data or {}
        clip = Clip(data, _labels(data, key), line.where)
        fault = _fault(clip, head, shortest, key, classes, need_labels)
        if fault is None:
            clips.append(clip)
        else:
            problems.add(fault[0], clip.where, clip.id, fault[1], fault[2])
    problems.settle(max(total, len(problems.bad_ids)), max_bad, rejected)
    require_some(len(clips), str(path))
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


def _lines(path: Path, problems: Problems) -> list[Line]:
    if not is_folder_of_classes(path):
        return list(read_lines(manifest_files(path)))
    files = clip_files(path)
    utterances = [
        Utterance(f"{file.parent.name}/{file.stem}", file, str(file), custom={"class": file.parent.name})
        for file in files
    ]
    return [Line(cut["recording"]["sources"][0]["source"], cut) for cut in make_cuts(utterances, problems).values()]


def _key(lines: Sequence[Line], label: str) -> str:
    """Where labels are: "text", or the name of a custom field."""
    if label != "auto":
        return label
    customs = [set(supervision.get("custom") or ()) for line in lines for supervision in _supervisions(line.data or {})]
    everywhere = set.intersection(*customs) if customs else set()
    return next((name for name in LABELS if name in everywhere), "text")


def _supervisions(cut: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Those of a cut and, if it is mixed, of what it is mixed from."""
    if cut.get("type") == "MixedCut":
        return [supervision for track in cut.get("tracks", ()) for supervision in _supervisions(track["cut"])]
    return cut.get("supervisions") or ()


def _labels(cut: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for supervision in _supervisions(cut):
        value = supervision.get("text") if key == "text" else (supervision.get("custom") or {}).get(key)
        for name in value if isinstance(value, list) else [value]:
            if name is not None and str(name).strip():
                found[" ".join(str(name).split())] = None
    return tuple(found)


def _fault(
    clip: Clip, head: Head, shortest: float, key: str, classes: Sequence[str] | None, need_labels: bool
) -> tuple[str, str, str] | None:
    """What is wrong with a clip: kind, what and fix."""
    if clip.duration < shortest:
        what = f"lasts {clip.duration:.4g} s, less than one frame of {shortest:g} s"
        return "shorter than a frame", what, "remove it, or lower features.frame_length"
    where = "a text" if key == "text" else f"custom[{key!r}]"
    if need_labels and not clip.labels and (head == "single" or not _supervisions(clip.cut)):
        return "no class", f"its supervisions have no {where}", "label it, or name the field with --set data.label=NAME"
    if head == "single" and len(clip.labels) > 1:
        what = f"has {len(clip.labels)} classes: {', '.join(clip.labels[:5])}"
        return "several classes", what, "leave one, or take --set head=multi"
    strange = [label for label in clip.labels if classes is not None and label not in classes]
    if strange:
        what = f"{', '.join(strange[:5])}: not among the classes learnt from the training clips"
        return "unknown class", what, "add training clips of that class, or remove these"
    return None


def load_clip(clip: Clip, rate: int) -> audio.Samples:
    """The samples of a clip at `rate` Hz, mono: float32 (N,). Raises AudioError."""
    return audio.load(clip.cut, rate)
