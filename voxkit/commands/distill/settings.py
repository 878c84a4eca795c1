"""The config of a distillation: the student's is that of the teacher's own command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxkit import bundle
from voxkit.commands.distill.command import Distill
from voxkit.config import build, from_mapping, read_yaml, to_dict
from voxkit.errors import UserError
from voxkit.rundir import digest, read_config

INHERITED = ("features", "clip", "head")  # sections that are the teacher's unless the student's file or --set has them
INHERITED_DATA = ("label", "lang")


def assemble(
    teacher: Path,
    student: Path | None,
    sets: Sequence[str] | None,
    given: Mapping[str, Any],
    data: Mapping[str, Any],
    seed: int | None,
) -> Distill[Any]:
    """Put together what a distillation is told.

    Args:
        student: YAML of the student, for the command that trained the teacher.
        sets: `key=value` settings of the student.
        given: the distillation's own settings.
        data: the student's data: train, dev, max_bad.

    Raises:
        UserError: no teacher there, or one that cannot teach; settings that are wrong.
    """
    folder = bundle.locate(teacher)
    head = read_config(folder)
    room = bundle.room(str(head["system"]), "command")
    kind = getattr(room, "CONFIG", None)
    if kind is None or "train" not in kind.model_fields or "data" not in kind.model_fields:
        raise UserError(f"{teacher}: a model of {head['system']}, which cannot teach", fix="give another model")
    taught = from_mapping(kind, head["config"], f"{folder}: config")
    told = _told(student, sets)
    flags: dict[str, Any] = {
        name: to_dict(taught)[name] for name in INHERITED if name in kind.model_fields and name not in told
    }
    own = {name: getattr(taught.data, name) for name in INHERITED_DATA if hasattr(taught.data, name)}
    flags["data"] = {name: value for name, value in own.items() if f"data.{name}" not in told}
    flags["data"] |= {name: _as(value, taught.data, name) for name, value in data.items() if value is not None}
    if seed is not None:
        flags["train"] = {"seed": seed}
    settings = build(kind, student, sets, **flags)
    if settings.data.train:
        identified = bundle.room(str(head["system"]), "task").identified
        settings = settings.model_copy(update={"data": identified(settings.data)})
    models = [bundle.weights(folder)] + ([bundle.weights(Path(given["init"]))] if given["init"] else [])
    return from_mapping(
        Distill[kind],  # type: ignore[valid-type]
        {
            "teacher": str(teacher),
            "init": given["init"],
            "teaching": given["teaching"],
            "quantization": given["quantization"] or None,
            "digests": {str(file): digest(file) for file in models},
            "student": to_dict(settings),
        },
        "the options of the command",
    )


def _told(student: Path | None, sets: Sequence[str] | None) -> set[str]:
    """The keys that the student's file and settings have, at the first two levels."""
    found: set[str] = set()
    for key, value in (read_yaml(student) if student is not None else {}).items():
        found |= {key, *(f"{key}.{inner}" for inner in (value if isinstance(value, dict) else ()))}
    for setting in sets or ():
        parts = setting.partition("=")[0].split(".")
        found |= {parts[0], ".".join(parts[:2])}
    return found


def _as(value: Any, data: Any, name: str) -> Any:
    """A path or number as the room's data config has it: plain, or the only one of several."""
    plain = str(value) if isinstance(value, Path) else value
    return (plain,) if isinstance(getattr(data, name), tuple) else plain
