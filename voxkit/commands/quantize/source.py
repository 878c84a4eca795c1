"""The model to be quantized, and the task of the room that it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from voxkit import bundle
from voxkit.bundle import Bundle
from voxkit.config import Config, from_mapping
from voxkit.data.clips import clip_digests
from voxkit.errors import UserError
from voxkit.rundir import CONFIG, digest, read_config
from voxkit.train.task import Score, Task


class Scorer(Protocol):
    """Judges models, as a `voxkit.train.task.Task` does."""

    def score(self, model: nn.Module) -> Score: ...


class InUse(Scorer, Protocol):
    """A trained model with data that are read by what it has learnt, such as its tables, and not by what they hold."""

    def calibration(self) -> Iterator[tuple[Tensor, ...]]:
        """What the model is called with for the data, batch by batch."""

    def facts(self) -> Mapping[str, str]:
        """What a graph of the model tells besides its system, weights and config."""


@dataclass(frozen=True)
class Data:
    """What is trained on, scored on and calibrated with, as the command was given it."""

    train: Path | None = None
    dev: Path | None = None
    calibrate: Path | None = None

    def spec(self) -> dict[str, Any]:
        """For `voxkit.rundir.output`: the paths, and the digests of the files that they stand for.

        Raises:
            UserError: a path is neither a file nor a folder of manifests or of classes.
        """
        given = {"train": self.train, "dev": self.dev, "calibrate": self.calibrate}
        return {name: {"path": str(path), "digest": _digest(path)} for name, path in given.items() if path is not None}


def _digest(path: Path) -> str | dict[str, str]:
    """Of a file, or of those in a folder by their paths."""
    return digest(path) if path.is_file() else clip_digests(path)


def open_source(path: Path) -> Bundle:
    """Load a model that is not quantized yet.

    Raises:
        UserError: there is none, or it is quantized, or an ONNX graph.
    """
    folder = bundle.locate(path)
    scheme = read_config(folder).get("quantization")
    if scheme is not None:
        bits = scheme.get("bits") if isinstance(scheme, dict) else "?"
        raise UserError(
            f"{path}: is quantized already, to {bits} bits", fix="give the float model that it was made from"
        )
    if bundle.weights(folder).name == bundle.ONNX:
        raise UserError(f"{path}: is an ONNX graph, whose weights cannot be packed", fix="give the bundle it came from")
    return bundle.load(folder)


def identity(loaded: Bundle) -> dict[str, str]:
    """The source in a spec: its weights and config by their digests."""
    return {"weights": digest(bundle.weights(loaded.path)), "config": digest(loaded.path / CONFIG)}


def assets(loaded: Bundle) -> dict[str, Path]:
    """The assets of a bundle, for another one."""
    return {path.name: path for path in sorted(loaded.assets.iterdir())}


def own_config(
    loaded: Bundle, train: Path | None, dev: Path | None, training: Mapping[str, Any] | None = None
) -> Config:
    """The config that the model was trained with, for other data and with other settings of the training.

    A room whose `data` is not one set to train on says how, by `task.retrained(config, bundle, train, dev)`.

    Raises:
        UserError: the room's models are not trained by a task or not on one set, or a setting is wrong.
    """
    kind = getattr(bundle.room(loaded.system, "command"), "CONFIG", None)
    if kind is None or not {"data", "train"} <= set(kind.model_fields):
        raise UserError(
            f"{loaded.system}: its models are trained in parts, so they cannot be trained or scored as one",
            fix="quantize it after training, without --aware and --dev",
        )
    task = bundle.room(loaded.system, "task")
    config: Any = from_mapping(kind, loaded.config, f"{loaded.path / CONFIG}: config")
    if (retrained := getattr(task, "retrained", None)) is not None:
        values = retrained(config, loaded.path, train, dev).model_dump(mode="json")
    else:
        values = _with_data(loaded, config, train, dev)
    values["data"]["digests"] = {}
    values["train"] = {**values["train"], **(training or {})}
    own: Any = from_mapping(kind, values, "the settings of the training")
    with_assets = getattr(task, "with_assets", None)
    if with_assets is not None:  # what the bundle brought, and not where that came from
        own = with_assets(own, loaded.assets)
    identified = getattr(task, "identified", None)
    found: Config = own if identified is None else own.model_copy(update={"data": identified(own.data)})
    return found


def _with_data(loaded: Bundle, config: Any, train: Path | None, dev: Path | None) -> dict[str, Any]:
    """The values of a config whose `data` has one set to train on, and one to score on."""
    if not {"train", "dev"} <= set(type(config.data).model_fields):
        raise UserError(
            f"{loaded.system}: its models are not trained on one --train, so they cannot be trained for few bits here",
            fix="quantize it after training, without --aware",
        )
    values: dict[str, Any] = config.model_dump(mode="json")
    for name, path in (("train", train), ("dev", dev)):
        if path is not None:
            values["data"][name] = [str(path)] if isinstance(getattr(config.data, name), tuple) else str(path)
    if "init" in values["data"]:
        values["data"]["init"] = None
    return values


def make_task(loaded: Bundle, config: Config, folder: Path) -> Task:
    """The room's task for a config.

    Raises:
        UserError, DataError: the room has none, or what is wrong with the data.
    """
    make = getattr(bundle.room(loaded.system, "task"), "make", None)
    if make is None:
        raise UserError(f"{loaded.system}: its models cannot be trained or scored here", fix="quantize after training")
    task: Task = make(config, folder)
    return task


def first_example(loaded: Bundle, call: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The first example of what a model is called with: by the room's `task.first` where it is not the first row of
    every input."""
    first = getattr(bundle.room(loaded.system, "task"), "first", None)
    if first is None:
        return tuple(tensor[:1].contiguous() for tensor in call)
    found: tuple[Tensor, ...] = first(call)
    return found


def require_same_assets(loaded: Bundle, task: Task) -> None:
    """Raise a UserError if the data of a task make other classes, units or tables than the model has.

    A room with `task.retrained` takes these from the model, and other assets tell of the data.
    """
    if hasattr(bundle.room(loaded.system, "task"), "retrained"):
        return
    for name, path in task.assets.items():
        mine = loaded.assets / name
        if not mine.exists() or _content(mine) != _content(path):
            raise UserError(
                f"the data are not for this model: they make another {name}",
                fix="give --train the data that the model was trained on, or data with all of its classes",
            )


def _content(path: Path) -> dict[str, bytes]:
    """Of a file, or of those in a folder by their paths in it."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def in_use(loaded: Bundle, files: Path | None, folder: Path) -> InUse | None:
    """The model with data, by its room's `task.in_use(bundle, files, folder)`; None where the room has no such.

    Args:
        folder: an existing folder for lists of what is left out.

    Raises:
        UserError, DataError: what is wrong with the data.
    """
    made = getattr(bundle.room(loaded.system, "task"), "in_use", None)
    if made is None or files is None:
        return None
    found: InUse = made(loaded, files, folder)
    return found


def scoring_task(loaded: Bundle, data: Data, folder: Path) -> Scorer:
    """What scores on `data.dev`: the model's room with what the model has learnt, or else a task.

    Classes of a task come from the training data; without --train these are looked for where they were.

    Raises:
        UserError, DataError: see `in_use`, `make_task` and `require_same_assets`.
    """
    if (found := in_use(loaded, data.dev, folder)) is not None:
        return found
    try:
        task = make_task(loaded, own_config(loaded, data.train, data.dev), folder)
    except UserError:
        if data.train is not None:
            raise
        task = make_task(loaded, own_config(loaded, data.dev, data.dev), folder)
    require_same_assets(loaded, task)
    return task


@torch.no_grad()
def scored(task: Scorer, model: nn.Module) -> Score:
    """The task's score of a model in eval mode."""
    return task.score(model.eval())
