"""What the command that is submitted can do, read from its signature in the lobby's table."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxkit.commands import COMMANDS
from voxkit.errors import UserError


@dataclass(frozen=True)
class Target:
    """`name` as typed (`voxkit featurize`), its `--out`, and whether it has `--shard` and `--merge`."""

    name: str
    out: Path | None
    shards: bool
    merges: bool


def inspect_command(command: Sequence[str]) -> Target:
    """Look the command up.

    Raises:
        UserError: there is no such command or verb.
    """
    out = _value(command, "--out", "-o")
    if command[0] != "voxkit":
        return Target(command[0], out, shards=False, merges=False)
    if len(command) < 2 or command[1] not in COMMANDS or command[1] == "submit":
        given = command[1] if len(command) > 1 else ""
        near = difflib.get_close_matches(given, COMMANDS, n=1)
        raise UserError(
            f"voxkit submit: no command {given!r} to submit",
            fix=f"did you mean {near[0]!r}?" if near else "see `voxkit --help`",
        )
    name, function = _function(command)
    options = inspect.signature(function).parameters
    if "out" not in options:
        out = None
    return Target(f"voxkit {name}", out, shards="shard" in options, merges="merge" in options)


def _function(command: Sequence[str]) -> tuple[str, Callable[..., Any]]:
    room = command[1].replace("-", "_")
    module = importlib.import_module(f"voxkit.commands.{room}.command")
    if not hasattr(module, "app"):
        return command[1], getattr(module, room)
    verbs = {
        info.name or info.callback.__name__.replace("_", "-"): info.callback for info in module.app.registered_commands
    }
    verb = command[2] if len(command) > 2 else ""
    if verb not in verbs:
        raise UserError(f"voxkit submit: `voxkit {command[1]}` has no verb {verb!r}", fix=f"one of: {', '.join(verbs)}")
    return f"{command[1]} {verb}", verbs[verb]


def gives(command: Sequence[str], option: str) -> bool:
    """Whether the command line has the option, with `=` or without."""
    return any(word.partition("=")[0] == option for word in command)


def _value(command: Sequence[str], option: str, short: str) -> Path | None:
    """The value of `--option value`, `--option=value` or `-o value`, the last one given."""
    found = None
    for word, following in zip(command, [*command[1:], None], strict=True):
        if word in (option, short) and following is not None:
            found = following
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return Path(found) if found else None
