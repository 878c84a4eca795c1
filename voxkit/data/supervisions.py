"""The supervisions in the lines of a manifest, be they cuts or supervisions themselves. Free of lhotse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxkit.errors import Problems

if TYPE_CHECKING:
    from voxkit.data.checks import Line


def is_manifest(path: Path) -> bool:
    """Whether a path is a Lhotse manifest, or a folder that should hold one."""
    return path.name.endswith((".jsonl", ".jsonl.gz")) or path.is_dir()


def supervisions(line: Line, problems: Problems) -> list[dict[str, Any]]:
    """Those of a line, as they lie in its data, also of cuts that lack the audio that other commands need.

    Returns:
        None at all for a line that is neither a cut nor a supervision, which is added to `problems`.
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
    """What stands in a cut in the place of supervisions.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is no cut.
    """
    if "tracks" in data:
        for track in data["tracks"]:
            kind = {"type": track["type"]} if "type" in track else {}
            yield from _inside({**kind, **track["cut"]})
    elif "type" in data or "supervisions" in data:
        yield from data.get("supervisions") or ()
    elif "text" in data or "recording_id" in data:
        yield data
    else:
        raise ValueError("no supervisions")
