"""What the training commands have in common: from a task's data to a bundle in an experiment folder."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from voxkit.config import Config
from voxkit.errors import UserError
from voxkit.progress import say
from voxkit.rundir import RunDir, write_atomic
from voxkit.train.loop import CHECKPOINTS, fit
from voxkit.train.settings import TrainConfig, resumable
from voxkit.train.task import Task

REJECTED = "rejected.jsonl"
_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|size calculation overflowed")


def train(
    command: str,
    settings: Config,
    training: TrainConfig,
    out: Path,
    make: Callable[[Path], Task],
    section: str = "train",
) -> None:
    """Make a task, train it in `out`, and print where the bundle is.

    Bad data is told before anything is written. What was left out of it is listed in OUT/rejected.jsonl.

    Args:
        command: as the folder's config names it.
        training: the part of `settings` that is for the loop.
        make: makes the task, given an empty folder for its assets and for `*.jsonl` lists of what it leaves out.
        section: where `training` is in `settings`.

    Raises:
        UserError, Interrupted: see `make`, `RunDir.open` and `fit`. Also where memory is too small before anything was
            trained; no folder is left then, so that smaller sizes can have it.
    """
    main = int(os.environ.get("RANK", "0")) == 0
    new = main and not out.exists()
    try:
        bundle, account = _trained(command, settings, training, out, make, section, main)
    except (RuntimeError, MemoryError) as error:
        if (isinstance(error, RuntimeError) and not _NO_MEMORY.search(str(error))) or (out / CHECKPOINTS).exists():
            raise
        if new:
            shutil.rmtree(out, ignore_errors=True)
        what = str(error).partition("\n")[0] or "not enough memory"
        raise UserError(
            f"the model or a batch does not fit into memory: {what}",
            fix="lower the sizes of the model or of batches; --print-config shows them",
        ) from error
    if main:
        if account is not None:
            say(account)
        print(bundle)


def _trained(
    command: str,
    settings: Config,
    training: TrainConfig,
    out: Path,
    make: Callable[[Path], Task],
    section: str,
    main: bool,
) -> tuple[Path, str | None]:
    """The bundle's folder, and the task's account of the model, if it has one."""
    with TemporaryDirectory() as folder:
        task = make(Path(folder))
        with RunDir.open(out, command, settings, resumable=resumable(section)) as run:
            lists = b"".join(file.read_bytes() for file in sorted(Path(folder).glob("*.jsonl")))
            if lists and main:
                write_atomic(run.path / REJECTED, lists)
            bundle = fit(task, training, run)
    return bundle, task.account() if hasattr(task, "account") else None
