"""Models as ONNX graphs: written from torch, compared with torch, and made int8 for onnxruntime's CPU kernels."""

from __future__ import annotations

import contextlib
import io
import logging
import platform
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxkit import __version__
from voxkit.errors import UserError
from voxkit.onnx_model import INPUTS, OnnxModel
from voxkit.onnx_session import ERRORS, INSTALL
from voxkit.progress import say

OPSET = 17
BATCHES = (1, 3)  # how many examples of a batch are compared
LENGTHS = ((1, 0), (1, 1), (0.75, 0), (2, 0))  # and at which lengths: times the example's, and more

Method = Literal["minmax", "entropy", "percentile"]

CONVOLUTIONS = ("Conv", "ConvTranspose")
PRODUCTS = ("MatMul", "Gemm")
# What lies between convolutions and is done on 8 bits there. Sigmoid and Softmax are not: scores would be tied.
JOINS = ("Add", "Mul", "Concat")  # of which all inputs must be such
BETWEEN = (
    *("Relu", "LeakyRelu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", *JOINS, "Pad"),
    *("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose"),
)


@dataclass(frozen=True)
class Graph:
    """What goes into a model and comes out.

    Attributes:
        inputs: example tensors by name, in the order of `forward`. Axes of one length but with two names need examples
            of two lengths, or else tracing takes one for the other.
        outputs: their names, in the order of what `forward` returns.
        dynamic: by the name of an input or output, the axes that may have any length, with the name of that length.
        lengths: integer inputs that count how much of an axis is valid, with the name of the axis' length.
        indices: integer inputs that are places below a length of that name, or numbers below a number.
        tables: an int8 graph has its tables in 8 bits too, see `voxkit.nn.onnx_tables`.
    """

    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    dynamic: Mapping[str, Mapping[int, str]]
    lengths: Mapping[str, str] = field(default_factory=dict)
    indices: Mapping[str, str | int] = field(default_factory=dict)
    tables: bool = False


def require(command: str) -> ModuleType:
    """The `onnx` package, before any work is done for a command that exports.

    Raises:
        UserError: it or onnxruntime is missing.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401 - told before the work, not after
    except ImportError as error:
        raise UserError(f"{command} needs onnx and onnxruntime: {error}", fix=INSTALL) from error
    return onnx


def write(model: nn.Module, graph: Graph, path: Path, facts: Mapping[str, str]) -> None:
    """Write a model in eval mode, which it is left in, as one ONNX file with the facts about it as metadata.

    Raises:
        UserError: no onnx or onnxruntime.
    """
    onnx = require("an export")
    with warnings.catch_warnings(), _plain_attention():
        warnings.simplefilter("ignore")  # of what tracing may miss, which the comparison with torch looks for
        torch.onnx.export(
            model.eval(),
            tuple(tensor.clone() for tensor in graph.inputs.values()),  # out of inference mode
            str(path),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={name: dict(axes) for name, axes in graph.dynamic.items()},
            opset_version=OPSET,
            dynamo=False,  # needs no more packages, and takes LSTMs of any batch
        )
    written: Any = onnx.load(str(path))
    kept = {one.name for one in written.graph.input}
    dropped = {} if kept == set(graph.inputs) else {INPUTS: " ".join(graph.inputs)}
    _describe(onnx, written, path, {"voxkit": __version__, **facts, **dropped})


def _describe(onnx: ModuleType, graph: Any, path: Path, facts: Mapping[str, str]) -> None:
    """Check a graph and write it with the facts about it, and no others."""
    onnx.helper.set_model_props(graph, dict(facts))
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, str(path))


@contextlib.contextmanager
def _plain_attention() -> Iterator[None]:
    """Without torch's fused attention for inference, which has no ONNX counterpart."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def difference(model: nn.Module, path: Path, batches: Iterable[Sequence[Tensor]]) -> float:
    """The largest difference between any output of a model and of a graph; infinite where shapes or integers differ.

    Args:
        model: in eval mode; another `OnnxModel` will do, to compare two graphs.
        batches: the inputs of each call.
    """
    other, worst = OnnxModel(path), 0.0
    for batch in batches:
        with torch.inference_mode():
            ours, theirs = model(*batch), other(*batch)
        pairs = zip(_tuple(ours), _tuple(theirs), strict=True)
        worst = max([worst, *(_gap(one, another) for one, another in pairs)])
    return worst


def _tuple(found: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    return (found,) if isinstance(found, Tensor) else tuple(found)


def _gap(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        return float("inf")
    if not one.is_floating_point():
        return 0.0 if torch.equal(one, other.to(one.dtype)) else float("inf")
    gaps = torch.where(one == other, 0.0, (one - other).abs())  # equal infinities differ by nothing
    return float(gaps.nan_to_num(float("inf"), float("inf")).max()) if gaps.numel() else 0.0


def batches(graph: Graph, seed: int = 0) -> Iterator[tuple[Tensor, ...]]:
    """Random inputs of a graph's shapes: batches of one and more, each other dynamic length as in the example, one
    more, a quarter less and twice.

    Float inputs are normal with the mean and deviation of the example; integers repeat the example; indices and lengths
    are drawn, the first length of a batch being the whole.
    """
    random = torch.Generator().manual_seed(seed)
    sizes = {name: tensor.shape[axis] for tensor, axes in _axes(graph) for axis, name in axes.items()}
    firsts = {axes[0] for _, axes in _axes(graph) if 0 in axes}
    for count in BATCHES if firsts else BATCHES[:1]:
        for factor, more in LENGTHS if set(sizes) - firsts else LENGTHS[:1]:
            chosen = {
                name: count if name in firsts else max(1, int(factor * size) + more) for name, size in sizes.items()
            }
            yield tuple(_draw(name, graph, chosen, random) for name in graph.inputs)


def _axes(graph: Graph) -> list[tuple[Tensor, Mapping[int, str]]]:
    """Each input with its dynamic axes."""
    return [(tensor, graph.dynamic.get(name, {})) for name, tensor in graph.inputs.items()]


def _draw(name: str, graph: Graph, sizes: Mapping[str, int], random: torch.Generator) -> Tensor:
    example, axes = graph.inputs[name], graph.dynamic.get(name, {})
    shape = [sizes[axes[axis]] if axis in axes else size for axis, size in enumerate(example.shape)]
    if name in graph.lengths:
        whole = sizes[graph.lengths[name]]
        drawn = torch.randint(max(1, whole * 3 // 4), whole + 1, shape, generator=random)
        drawn.view(-1)[:1] = whole
        return drawn.to(example.dtype)
    if name in graph.indices:
        bound = graph.indices[name]
        below = sizes[bound] if isinstance(bound, str) else bound
        return torch.randint(below, shape, generator=random).to(example.dtype)
    if example.is_floating_point():
        deviation, mean = torch.std_mean(example, correction=0)
        return mean + deviation.clamp(min=1e-3) * torch.randn(shape, generator=random, dtype=example.dtype)
    for axis, size in enumerate(shape):
        example = example.index_select(axis, torch.arange(size) % example.shape[axis])
    return example


def verify(model: nn.Module, graph: Graph, path: Path, tolerance: float) -> float:
    """Compare a written graph with its model on `batches`, and say by how much they differ at most.

    Raises:
        UserError: by more than `tolerance`, or onnxruntime cannot compute it for other shapes than the example's.
    """
    try:
        worst = difference(model, path, batches(graph))
    except UserError:
        raise
    except Exception as error:  # onnxruntime has a dozen kinds of its own
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: onnxruntime cannot compute it: {reason}", fix=_OTHER_VERSIONS) from error
    agree(path, "outputs", worst, tolerance)
    return worst


_OTHER_VERSIONS = "install the versions of onnx, onnxruntime and torch that voxkit names, and export again"


def agree(out: Path, what: str, worst: float, tolerance: float) -> None:
    """Say that onnxruntime says what torch says, with the largest difference of what is compared.

    Raises:
        UserError: it differs by more than `tolerance`, or has no value.
    """
    if not worst <= tolerance:
        raise UserError(
            f"{out}: not written: onnxruntime's {what} differ from torch's by up to {worst:.2g}", fix=_OTHER_VERSIONS
        )
    say(f"onnxruntime says what torch says: {what} differ by at most {worst:.1g}")


def to_int8(
    source: Path,
    target: Path,
    calibration: Iterable[Sequence[NDArray[np.generic]]],
    per_channel: bool = True,
    symmetric: bool = False,
    method: Method = "minmax",
    reduce_range: bool | None = None,
) -> None:
    """Quantize a graph to 8 bits, weights and activations, keeping its facts.

    Batch normalization is folded first. Convolutions and products with a weight get uint8 activations with ranges from
    `calibration` and int8 weights, the pair that onnxruntime's x86 kernels are fastest on; what they say of one example
    does not depend on the others of its batch. LSTMs find the ranges of activations while they run, over the whole
    batch: what they say of one example depends a little on the others. Biases are 32-bit.

    Float are what a product gives, such as scores; products of two activations and what else is in attention; and what
    is between convolutions unless it comes from nothing else. So are residual streams that are normalised for each
    layer: a few large values set their range, and 8 bits leave little of the rest (Bondarenko et al. 2021,
    "Understanding and Overcoming the Challenges of Efficient Transformer Quantization"). GRUs have no 8-bit kernel.

    Args:
        source: written by `write`, float.
        calibration: the inputs of each call, in the order of `forward`; a few dozen examples of the training data.
        per_channel: one scale for each output channel of a weight, not one for all.
        symmetric: ranges of activations around zero. Weights always have such; it wastes a bit after ReLU.
        method: ranges from extremes, from least divergence (Migacz 2017), or from the 99.999th percentile.
        reduce_range: 7-bit weights, as processors without VNNI saturate sums of two 8-bit products; whether this
            machine is one if not given.

    Raises:
        UserError: no onnx or onnxruntime, a damaged or foreign source, nothing to calibrate with, or nothing in the
            graph that has an 8-bit kernel.
    """
    onnx = require("int8")
    facts = OnnxModel(source).facts
    examples = list(calibration)
    if not examples:
        raise UserError(f"{source}: nothing to calibrate with", fix="give at least one example")
    seven = saturates() if reduce_range is None else reduce_range
    with tempfile.TemporaryDirectory(prefix="int8.", dir=target.parent) as folder, _quietly():
        folded, static = Path(folder) / "folded.onnx", Path(folder) / "static.onnx"
        from onnxruntime.quantization import QuantType, quantize_dynamic

        graph = fold(source, folded)
        kinds = {node.op_type for node in graph.graph.node}
        if kinds & {*CONVOLUTIONS, *PRODUCTS}:
            excluded = _left_float(graph.graph)
            onnx.save(graph, str(folded))  # with the names that it got
            reader = _Reader([one.name for one in graph.graph.input], facts, examples)
            _static(folded, static, reader, excluded, per_channel, symmetric, method, seven)
            folded = static
        if "LSTM" in kinds:
            quantize_dynamic(
                str(folded),
                str(target),
                op_types_to_quantize=["LSTM"],
                per_channel=per_channel,
                reduce_range=seven,
                weight_type=QuantType.QInt8,
            )
            folded = target
        made: Any = onnx.load(str(folded))
        if not any(computes_in_8_bits(node.op_type) for node in made.graph.node):
            target.unlink(missing_ok=True)
            raise UserError(
                f"{source}: nothing in it can be computed in 8 bits",
                fix="quantize its weights alone, or leave it float",
            )
        _describe(onnx, made, target, facts)


def computes_in_8_bits(operation: str) -> bool:
    """Whether only quantized graphs have such an operation."""
    return operation == "QuantizeLinear" or operation.startswith("DynamicQuantize") or operation.endswith("Integer")


def fold(source: Path, target: Path) -> Any:
    """Write a float graph as `to_int8` starts from it, without batch normalization and the like, and return it."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
    return require("int8").load(str(target))


def _static(
    source: Path,
    target: Path,
    reader: _Reader,
    excluded: Sequence[str],
    per_channel: bool,
    symmetric: bool,
    method: Method,
    seven: bool,
) -> None:
    """Ranges of activations are found by calibration; `excluded` nodes stay float."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    ways = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    quantize_static(
        str(source),
        str(target),
        reader,
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=[*CONVOLUTIONS, *PRODUCTS, *BETWEEN],
        nodes_to_exclude=list(excluded),
        per_channel=per_channel,
        reduce_range=seven,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=ways[method],
        extra_options={
            "WeightSymmetric": True,
            "ActivationSymmetric": symmetric,
            "CalibTensorRangeSymmetric": symmetric,
            "OpTypesToExcludeOutputQuantization": list(PRODUCTS),
        },
    )


class _Reader:
    """What onnxruntime calls a calibration data reader."""

    def __init__(
        self, used: Sequence[str], facts: Mapping[str, str], examples: Iterable[Sequence[NDArray[np.generic]]]
    ) -> None:
        self.names = facts[INPUTS].split() if INPUTS in facts else list(used)
        self.used, self.examples = set(used), iter(examples)

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        if (example := next(self.examples, None)) is None:
            return None
        return {name: array for name, array in zip(self.names, example, strict=True) if name in self.used}


def _left_float(graph: Any) -> list[str]:
    """Products of two activations, and nodes between convolutions that get something else too; all nodes get names."""
    constant = {one.name for one in graph.initializer}
    constant |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    small: set[str] = set()  # in 8 bits: convolutions, and what comes of them alone
    found = []
    for number, node in enumerate(graph.node):  # each after those that it needs
        node.name = node.name or f"{node.op_type}_{number}"
        data = set(node.input if node.op_type in JOINS else node.input[:1]) - constant
        if node.op_type in CONVOLUTIONS or (node.op_type in BETWEEN and data and data <= small):
            small |= set(node.output)
        elif node.op_type in BETWEEN or (node.op_type in PRODUCTS and not constant & set(node.input[:2])):
            found.append(node.name)
    return found


def saturates(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this is an x86 processor of which 8-bit products saturate: one without the VNNI instructions."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    with contextlib.suppress(OSError):
        return "vnni" not in cpuinfo.read_text(encoding="utf-8")
    return True


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what onnxruntime prints and warns of while it quantizes."""
    import onnxruntime

    before = logging.root.manager.disable
    onnxruntime.set_default_logger_severity(ERRORS)
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
