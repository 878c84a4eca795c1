"""What the training commands have in common: from a task's data to a bundle in an experiment folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from voxkit.config import Config
from voxkit.progress import say
from voxkit.rundir import RunDir, write_atomic
from voxkit.train.loop import fit
from voxkit.train.settings import TrainConfig, resumable
from voxkit.train.task import Task

REJECTED = "rejected.jsonl"


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
        UserError, Interrupted: see `make`, `RunDir.open` and `fit`.
    """
    main = int(os.environ.get("RANK", "0")) == 0
    with TemporaryDirectory() as folder:
        task = make(Path(folder))
        with RunDir.open(out, command, settings, resumable=resumable(section)) as run:
            lists = b"".join(file.read_bytes() for file in sorted(Path(folder).glob("*.jsonl")))
            if lists and main:
                write_atomic(run.path / REJECTED, lists)
            bundle = fit(task, training, run)
    if main:
        if hasattr(task, "account"):
            say(task.account())
        print(bundle)
