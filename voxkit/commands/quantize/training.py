"""Quantization-aware training, by the task of the room that the model came from."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from voxkit import bundle
from voxkit.bundle import Bundle
from voxkit.commands.quantize.command import Quantize, Retraining
from voxkit.commands.quantize.layers import layout_of, rows
from voxkit.commands.quantize.report import TEXT, Report, sizes_line
from voxkit.commands.quantize.source import (
    Data,
    identity,
    make_task,
    own_config,
    require_same_assets,
    scored,
    scoring_task,
)
from voxkit.config import Config, from_mapping, to_dict
from voxkit.train import run as training
from voxkit.train.aware import AwareTask
from voxkit.train.task import Task


def run(
    model: Path, loaded: Bundle, settings: Quantize, data: Data, out: Path, from_scratch: bool, report: bool
) -> None:
    """Train in `out`, or go on there, and write the quantized bundle.

    Raises:
        UserError, DataError: a room without a task, data that are not for the model, settings that are wrong.
        Interrupted: a signal came; the same call goes on.
    """
    own = own_config(loaded, data.train, data.dev, settings.train)
    whole = retraining(model, loaded, settings, own, from_scratch)

    def make(folder: Path) -> Task:
        task = make_task(loaded, own, folder)
        require_same_assets(loaded, task)
        return AwareTask(task, settings.quantization, None if from_scratch else loaded.model.state_dict())

    training.train("quantize --aware", whole, whole.own.train, out, make, "own.train")
    if int(os.environ.get("RANK", "0")) > 0:
        return
    if report:
        quantized = bundle.load(out)
        found, scores = rows(loaded.model.state_dict(), layout_of(loaded.model, settings.quantization), False), {}
        if data.dev is not None:
            with TemporaryDirectory() as folder:
                task = scoring_task(loaded, data, Path(folder))
                scores = {"float": scored(task, loaded.model), "quantized": scored(task, quantized.model)}
        sizes = bundle.size(loaded.path), bundle.size(out)
        Report(str(model), settings.quantization, *sizes, found, scores).write(out)
        print(f"report: {out / TEXT}")
    print(sizes_line(bundle.size(loaded.path), bundle.size(out), out))


def retraining(model: Path, loaded: Bundle, settings: Quantize, own: Config, from_scratch: bool) -> Retraining[Any]:
    """What the experiment folder knows the training by."""
    return from_mapping(
        Retraining[type(own)],  # type: ignore[misc,arg-type]
        {
            "model": str(model),
            "from_scratch": from_scratch,
            "quantization": to_dict(settings.quantization),
            "digests": identity(loaded),
            "own": to_dict(own),
        },
        "the options of the command",
    )
