"""Eight bits for activations too: a graph that onnxruntime's integer kernels run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voxkit import bundle
from voxkit.bundle import Bundle
from voxkit.commands.quantize.command import Quantize
from voxkit.commands.quantize.layers import counts_of, eight_bit_rows
from voxkit.commands.quantize.report import TEXT, Report, Runtime, sizes_line
from voxkit.commands.quantize.source import (
    Data,
    first_example,
    identity,
    in_use,
    make_task,
    own_config,
    scored,
    scoring_task,
)
from voxkit.config import to_dict
from voxkit.decode import onnx_bundle
from voxkit.decode.onnx_bundle import EightBits
from voxkit.errors import UserError
from voxkit.nn import onnx_graph
from voxkit.nn.footprint import latency, peak_memory
from voxkit.onnx_model import OnnxModel
from voxkit.progress import say
from voxkit.rundir import output
from voxkit.train.loop import BUNDLE
from voxkit.train.task import Score, Task

LOOKED_AT = 4  # batches that the errors of outputs are found on
Inputs = tuple[Tensor, ...]


def run(loaded: Bundle, settings: Quantize, data: Data, out: Path, report: bool) -> None:
    """Write a bundle with `model.onnx` in 8 bits, and a report if asked for.

    Raises:
        UserError, DataError: no onnxruntime, a room whose models cannot be exported, data that do not fit.
    """
    onnx_graph.require("quantize --int8")
    graph_of, inputs_of = _exporter(loaded)
    scheme = settings.quantization.model_copy(update={"symmetric": True, "rest": "float32"})
    spec = {
        "model": identity(loaded),
        "int8": {"per": scheme.per, **to_dict(settings.calibration)},
        "report": report,
        "data": data.spec(),
    }
    with output(out, "quantize", spec, resumable=False) as place, TemporaryDirectory() as folder:
        if not place.done:
            work = Path(folder)
            (work / "lists").mkdir()
            how = settings.calibration
            heard, facts = _calibration(loaded, data, inputs_of, work / "lists")
            calls = list(islice(heard, how.batches))
            eight = EightBits(calls, scheme.per == "channel", how.symmetric, how.method)
            file = onnx_bundle.write(loaded, graph_of(loaded.model), facts, work, eight)
            onnx_bundle.save(place.work / BUNDLE, loaded, file, eight)
            if report:
                examples = [tuple(tensor.numpy() for tensor in call) for call in calls[:LOOKED_AT]]
                found = eight_bit_rows(work / onnx_bundle.FLOAT, work / onnx_bundle.INT8, examples)
                measured = runtimes(loaded, work, first_example(loaded, calls[0]), settings.measure.repeats)
                scores = _scores(loaded, bundle.load(place.work), data) if data.dev is not None else {}
                sizes = bundle.size(loaded.path), bundle.size(place.work)
                counts = counts_of(loaded)
                Report(str(loaded.path), scheme, *sizes, found, scores, measured, counts).write(place.work)
    print(sizes_line(bundle.size(loaded.path), bundle.size(out), out))
    if report:
        print(f"report: {out / TEXT}")
    print(out / BUNDLE)


def _exporter(loaded: Bundle) -> tuple[Callable[..., onnx_graph.Graph], Callable[[Any], Inputs]]:
    """How the room's model becomes a graph, and what it is called with for a batch."""
    graph_of = getattr(bundle.room(loaded.system, "model"), "graph", None)
    inputs_of = None if graph_of is None else getattr(bundle.room(loaded.system, "task"), "inputs", None)
    if graph_of is None or inputs_of is None:
        raise UserError(
            f"{loaded.system}: its models cannot be exported as one graph, so there is no int8 inference for them",
            fix="leave out --int8 and --calibrate: weights alone can be quantized",
        )
    return graph_of, inputs_of


def _calibration(
    loaded: Bundle, data: Data, inputs_of: Callable[[Any], Inputs], lists: Path
) -> tuple[Iterator[Inputs], dict[str, str]]:
    """What the model is called with for the calibration data, and what is written into the graph."""
    if (used := in_use(loaded, data.calibrate, lists)) is not None:
        return used.calibration(), {**_identified(loaded), **used.facts()}
    task = make_task(loaded, own_config(loaded, data.calibrate, data.dev or data.calibrate), lists)
    return _calls(task, inputs_of), _facts(task, loaded)


def _calls(task: Task, inputs_of: Callable[[Any], Inputs]) -> Iterator[Inputs]:
    """What the model is called with, batch by batch.

    A task may have `calibration() -> iterator of inputs`, what the model hears when it is used. Otherwise these are
    the batches of training, with all that is done to them there.
    """
    calibration = getattr(task, "calibration", None)
    if calibration is not None:
        yield from calibration()
        return
    say("note: ranges of activations are those of training batches, with the augmentation of the training")
    batches = task.batches("train", 0)
    for number in range(len(batches)):
        yield inputs_of(batches[number])


def _facts(task: Task, loaded: Bundle) -> dict[str, str]:
    """What is written into the graph: what the task's `facts(bundle, bits)` tells a deployment, if it has that."""
    facts = getattr(task, "facts", None)
    if facts is not None:
        found: dict[str, str] = facts(loaded, bits=8)
        return found
    return _identified(loaded)


def _identified(loaded: Bundle) -> dict[str, str]:
    return {"system": loaded.system, "model": identity(loaded)["weights"], "config": json.dumps(loaded.config)}


def _scores(loaded: Bundle, quantized: Bundle, data: Data) -> dict[str, Score]:
    with TemporaryDirectory() as folder:
        task = scoring_task(loaded, data, Path(folder))
        return {"float": scored(task, loaded.model), "int8": scored(task, quantized.model)}


def runtimes(loaded: Bundle, work: Path, example: Sequence[Tensor], repeats: int) -> list[Runtime]:
    """Time and memory of torch, of the float graph and of the 8-bit one, for one example.

    Args:
        work: a folder with float.onnx and int8.onnx.
    """
    inputs = work / "inputs.npz"
    np.savez(inputs, *(tensor.numpy() for tensor in example))
    ways: list[tuple[str, Path, nn.Module]] = [("torch", loaded.path, loaded.model)]
    for kind in ("float", "int8"):
        ways.append((f"onnxruntime {kind}", work / f"{kind}.onnx", OnnxModel(work / f"{kind}.onnx", threads=1)))
    found = []
    for name, path, module in ways:
        with torch.inference_mode():
            taken = latency(partial(module, *example), repeats)
        memory = peak_memory([sys.executable, "-m", "voxkit.commands.quantize.once", str(path), str(inputs)])
        weights = (path if path.is_file() else bundle.weights(path)).stat().st_size
        found.append(Runtime(name, taken.median, taken.p10, taken.p90, memory, weights))
    return found
