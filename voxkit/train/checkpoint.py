"""Checkpoints that are whole or not there.

`checkpoints/step-N/` holds `state.json` (the place in training), tensors as safetensors, and the rest as `.pt` files
that load with `weights_only=True`. A folder is written as `step-N.tmp/`, flushed to the disk and renamed; removing
starts with a rename too. So a folder without `.tmp` is complete, whenever the process was killed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from voxkit.bundle import write_tensors
from voxkit.errors import NO_SPACE, UserError, system_errors
from voxkit.rundir import sync_tree, write_atomic

STATE = "state.json"


@dataclass
class State:
    """Where training stands.

    Args:
        step: steps made.
        epoch: the current epoch, from 0.
        batch: the next position in it.
        horizon: the length that the schedule had [steps].
        group: how many batches a step took.
        seconds: time spent on all steps and scores.
        nonfinite: steps skipped so far.
        scored: the last step that was scored; -1: none.
        best_step: the step with the best score; -1: none.
        best_value: its score.
        meter: sums since the last record in metrics.jsonl.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    horizon: int = 0
    group: int = 1
    seconds: float = 0.0
    nonfinite: int = 0
    scored: int = -1
    best_step: int = -1
    best_value: float | None = None
    meter: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """What was read back: `tensors` by file, then by name; `objects` by file."""

    state: State
    tensors: dict[str, dict[str, Tensor]]
    objects: dict[str, Any]


def save(
    folder: Path, state: State, tensors: Mapping[str, Mapping[str, Tensor]], objects: Mapping[str, object]
) -> Path:
    """Write `folder/step-N/`. If it exists, its weights are these, and only the state is renewed.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    final = folder / f"step-{state.step}"
    head = json.dumps(asdict(state), indent=2) + "\n"
    try:
        if final.exists():
            write_atomic(final / STATE, head)
            return final
        temporary = folder / f"{final.name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, weights in tensors.items():
            write_tensors(temporary / f"{name}.safetensors", {key: _own(tensor) for key, tensor in weights.items()})
        for name, value in objects.items():
            with open(temporary / f"{name}.pt", "wb") as file:  # given a path, torch hides what went wrong
                torch.save(value, file)
        (temporary / STATE).write_text(head, encoding="utf-8")
        sync_tree(temporary)
        os.rename(temporary, final)
        _sync(folder)
    except Exception as error:
        cause = next(system_errors(error), None)
        if cause is None:
            raise
        full = cause.errno in NO_SPACE
        raise UserError(
            f"{final}: cannot write the checkpoint: {cause.strerror}",
            fix="free some space and run the same command again" if full else "check the folder's permissions",
        ) from error
    return final


def load(path: Path) -> Checkpoint:
    """Read a checkpoint, onto the CPU.

    Raises:
        UserError: it is damaged (by something other than an interrupted save).
    """
    try:
        loaded = json.loads((path / STATE).read_text(encoding="utf-8"))
        known = {f.name for f in fields(State)}
        state = State(**{key: value for key, value in loaded.items() if key in known})
        tensors = {file.stem: load_file(file) for file in sorted(path.glob("*.safetensors"))}
        objects = {
            file.stem: torch.load(file, map_location="cpu", weights_only=True) for file in sorted(path.glob("*.pt"))
        }
    except (OSError, ValueError, TypeError, RuntimeError, EOFError, UnpicklingError, SafetensorError) as error:
        raise UserError(
            f"{path}: damaged checkpoint: {str(error).partition(chr(10))[0]}",
            fix="remove this folder: training goes on from the one before, or from the start",
        ) from error
    return Checkpoint(state, tensors, objects)


def latest(folder: Path) -> Path | None:
    """The checkpoint with the most steps."""
    steps = _steps(folder)
    return folder / f"step-{max(steps)}" if steps else None


def clean(folder: Path) -> None:
    """Remove what interrupted saves and removals left behind."""
    for path in folder.glob("step-*.tmp"):
        shutil.rmtree(path)


def prune(folder: Path, keep_last: int, also: Iterable[int]) -> None:
    """Remove all but the newest `keep_last` checkpoints and those of the steps `also`."""
    steps = _steps(folder)
    for step in set(steps[:-keep_last]) - set(also):
        doomed = folder / f"step-{step}.tmp"
        os.rename(folder / f"step-{step}", doomed)
        shutil.rmtree(doomed)


def _steps(folder: Path) -> list[int]:
    found = (re.fullmatch(r"step-(\d+)", path.name) for path in folder.glob("step-*"))
    return sorted(int(match[1]) for match in found if match)


def _own(tensor: Tensor) -> Tensor:
    """A copy on the CPU: safetensors refuses weights that share memory, and tied ones do."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
