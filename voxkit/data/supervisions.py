"""The supervisions in the lines of a manifest, be they cuts or supervisions themselves. Free of lhotse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voxkit.errors import Problems

if TYPE_CHECKING:
    from voxkit.data.checks import Line

Kind = Literal["cut", "supervision"]

_CUT_CLASSES = ("MonoCut", "MultiCut", "MixedCut", "PaddingCut")  # of lhotse


def is_manifest(path: Path) -> bool:
    """Whether a path is a Lhotse manifest, or a folder that should hold one."""
    return path.name.endswith((".jsonl", ".jsonl.gz")) or path.is_dir()


def kind_of(data: Mapping[str, Any]) -> Kind | None:
    """What a manifest's line is; None for neither, such as a text alone, with annotations of other kinds or without.

    >>> kind_of({"text": "who", "type": "question"}), kind_of({"text": "who", "recording_id": "r"})
    (None, 'supervision')
    """
    if "tracks" in data or data.get("type") in _CUT_CLASSES or isinstance(data.get("supervisions"), list):
        return "cut"
    return "supervision" if "recording_id" in data else None


def supervisions(line: Line, problems: Problems) -> list[dict[str, Any]]:
    """Those of a line, as they lie in its data, also of cuts that lack the audio that other commands need.

    A line with a text that is not of any `kind_of` counts as a supervision.

    Returns:
        An empty list for a cut without supervisions; and for a line that is no cut and has nothing of a supervision,
        or that is broken, which is added to `problems`.
    """
    fix = "write the manifest again, or remove the line"
    if line.data is None:
        problems.add("broken JSON line", line.where, line.id, line.error, fix)
        return []
    try:
        found = list(_inside(line.data))
    except (AttributeError, KeyError, TypeError, ValueError):
        found = [None]
    if all(isinstance(supervision, dict) for supervision in found):
        return found
    problems.add("not a cut", line.where, line.id, "neither a cut nor a supervision", fix)
    return []


def _inside(data: Mapping[str, Any]) -> Iterator[Any]:
    """What stands in a line in the place of supervisions.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is no cut or supervision.
    """
    kind = kind_of(data)
    if kind is None and "text" not in data:
        raise ValueError("no supervisions")
    if kind != "cut":
        yield data
    elif "tracks" in data:
        for track in data["tracks"]:
            inner = {**({"type": track["type"]} if "type" in track else {}), **track["cut"]}
            if kind_of(inner) != "cut":
                raise ValueError("a track without a cut")
            yield from _inside(inner)
    else:
        yield from data.get("supervisions") or ()
