"""Quantization-aware training, by the task of the room that the model came from."""

from __future__ import annotations

import copy
import json
import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from voxkit import bundle
from voxkit.bundle import Bundle
from voxkit.commands.quantize.command import Quantize, Retraining
from voxkit.commands.quantize.layers import Row, counts_of, each_alone, layout_of, rows
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
from voxkit.errors import UserError
from voxkit.nn.quantization import plain_names
from voxkit.packed import Quantization
from voxkit.train import checkpoint
from voxkit.train import run as training
from voxkit.train.aware import AwareTask
from voxkit.train.loop import CHECKPOINTS, SUMMARY
from voxkit.train.task import Score, Task

SHADOW = "shadow"  # the trained weights at full precision


def run(
    model: Path, loaded: Bundle, settings: Quantize, data: Data, out: Path, from_scratch: bool, report: bool
) -> None:
    """Train in `out`, or go on there, and write the quantized bundle.

    Raises:
        UserError, DataError: a room without a task, data that are not for the model, settings that are wrong.
        Interrupted: a signal came; the same call goes on.
    """
    own: Any = own_config(loaded, data.train, data.dev, settings.train)
    if from_scratch and getattr(own.data, "init", None) is not None:
        raise UserError(
            f"{loaded.system}: what it knows comes from the model, as its weights do", fix="leave out --from-scratch"
        )
    whole = retraining(model, loaded, settings, own, from_scratch)

    def make(folder: Path) -> Task:
        task = make_task(loaded, own, folder)
        require_same_assets(loaded, task)
        return AwareTask(task, settings.quantization, None if from_scratch else loaded.model.state_dict())

    training.train("quantize --aware", whole, whole.own.train, out, make, "own.train")
    if int(os.environ.get("RANK", "0")) > 0:
        return
    if report:
        _report(model, loaded, settings.quantization, data, out)
        print(f"report: {out / TEXT}")
    print(sizes_line(bundle.size(loaded.path), bundle.size(out), out))


def _report(model: Path, loaded: Bundle, scheme: Quantization, data: Data, out: Path) -> None:
    """Errors by layer are those of the shadow weights that training ended with, where their checkpoint is left."""
    quantized, shadow = bundle.load(out), shadow_weights(out)
    found: list[Row] = []
    scores: dict[str, Score] = {}
    trained = copy.deepcopy(loaded.model)
    layout = layout_of(trained, scheme)
    if shadow is not None:
        trained.load_state_dict(shadow)
        found = rows(trained.state_dict(), layout)
    if data.dev is not None:
        with TemporaryDirectory() as folder:
            task = scoring_task(loaded, data, Path(folder))
            scores["float"] = scored(task, loaded.model)
            if shadow is not None:
                scores[SHADOW] = scored(task, trained)
                found = each_alone(trained, layout, found, partial(scored, task))
            scores["quantized"] = scored(task, quantized.model)
    sizes, base = (bundle.size(loaded.path), bundle.size(out)), "float" if shadow is None else SHADOW
    Report(str(model), scheme, *sizes, found, scores, counts=counts_of(loaded), base=base).write(out)


def shadow_weights(out: Path) -> dict[str, Tensor] | None:
    """The full-precision weights, by plain names, that the bundle of an experiment was rounded from; None if they are
    not kept."""
    step = json.loads((out / SUMMARY).read_text(encoding="utf-8"))["selected_step"]
    folder = out / CHECKPOINTS / f"step-{step}"
    if not folder.exists():
        return None
    tensors = checkpoint.load(folder).tensors
    return plain_names(tensors.get("average", tensors["model"]))


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
