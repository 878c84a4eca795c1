"""Parameters and multiply-adds of a model, counted from the operations that one input makes it run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary

Shape = Sequence[int]


@dataclass(frozen=True)
class LayerCount:
    """What one module has and does itself, without the modules inside it.

    Attributes:
        name: as in `named_modules()`; the model itself is "".
        kind: its class.
        parameters: how many numbers it learns; those that several modules share count for the first.
        multiply_adds: of all its calls together, and of what other modules compute with its weights themselves.
        shape: of its first output, in its last call; () if it was not called.
    """

    name: str
    kind: str
    parameters: int
    multiply_adds: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Counts:
    """A model's counts; `by_layer` has the modules that learn or multiply, in order, and adds up to the whole."""

    parameters: int
    multiply_adds: int
    by_layer: list[LayerCount]


def count(model: nn.Module, *inputs: Any) -> Counts:
    """Count what `model(*inputs)` does in eval mode, on the CPU.

    A multiply-add is one product with its addition, in convolutions (padding counts as if it were input), matrix
    products, attention and recurrent layers; biases, normalization, activations and pooling are not counted, as is
    usual. A convolution has k_t * k_f * C_in / groups * C_out * T_out * F_out of them, a step of an LSTM's layer and
    direction 4 * H * (I + H). Products of vectors with rows of a table count too, where they are summed over the last
    dimension.

    Products are those of the module that has the weights, whether it is called or its weights are taken from it; of a
    table that an embedding shares, those of the other. Without weights they are those of the module that runs.

    Args:
        inputs: of batch size 1 for the counts of one example; they grow with the batch.

    Raises:
        ValueError: a model that is not on the CPU, where recurrent layers cannot be looked into.
    """
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        raise ValueError("a model is counted on the CPU")
    counter = FlopCounterMode(display=False, custom_mapping=_FORMULAS)
    tally = _Tally(counter)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _in_the_open(model), tally.attached(model), counter:
        with _ByWeight(model, tally):
            model(*inputs)
    seen: set[int] = set()
    layers = []
    for name, module in model.named_modules():
        own = {id(one): one.numel() for one in module.parameters(recurse=False) if id(one) not in seen}
        seen |= own.keys()
        multiply_adds = tally.own.get(name, 0) // 2
        if own or multiply_adds:
            shape = tally.shapes.get(name, ())
            layers.append(LayerCount(name, type(module).__name__, sum(own.values()), multiply_adds, shape))
    parameters = sum(one.numel() for one in model.parameters())
    return Counts(parameters, counter.get_total_flops() // 2, layers)


def count_example(model: nn.Module, inputs: Mapping[str, Tensor]) -> Counts:
    """Count what a model does for the first example of a batch, such as `Graph.inputs` of what is exported; `count`."""
    return count(model, *(tensor[:1] for tensor in inputs.values()))


def table(counts: Counts) -> str:
    """A line per layer and one for the whole, in columns of plain text."""
    rows = [("layer", "kind", "output", "parameters", "multiply-adds")]
    for layer in counts.by_layer:
        shape = " x ".join(map(str, layer.shape))
        rows.append((layer.name or "-", layer.kind, shape, f"{layer.parameters:,}", f"{layer.multiply_adds:,}"))
    rows.append(("all", "", "", f"{counts.parameters:,}", f"{counts.multiply_adds:,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if place < 3 else cell.rjust(width) for place, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


@dataclass
class _Tally:
    """What the counter's total grows by while each module runs, less what the modules inside it do."""

    counter: FlopCounterMode
    own: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    open: list[list[int]] = field(default_factory=list)  # of each running module: total at its start, and those inside
    running: list[str] = field(default_factory=list)

    @contextmanager
    def attached(self, model: nn.Module) -> Iterator[None]:
        """Listen to all modules of a model."""
        handles = []
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(self._begin(name)))
            handles.append(module.register_forward_hook(self._end(name)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def give(self, name: str, spent: int) -> None:
        """Count for a module what the one that runs has just computed."""
        self.own[name] = self.own.get(name, 0) + spent
        self.open[-1][1] += spent

    def _begin(self, name: str) -> Callable[[nn.Module, Any], None]:
        def begin(module: nn.Module, inputs: Any) -> None:
            self.running.append(name)
            self.open.append([self.counter.get_total_flops(), 0])

        return begin

    def _end(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def end(module: nn.Module, inputs: Any, output: Any) -> None:
            self.running.pop()
            start, inside = self.open.pop()
            spent = self.counter.get_total_flops() - start
            self.own[name] = self.own.get(name, 0) + spent - inside
            if self.open:
                self.open[-1][1] += spent
            if (first := _first_tensor(output)) is not None:
                self.shapes[name] = tuple(first.shape)

        return end


class _ByWeight(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells a tally whose weights are multiplied with, and counts products with rows that are looked up."""

    def __init__(self, model: nn.Module, tally: _Tally) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tally = tally
        self.owners: dict[int, list[str]] = {}  # by the memory of a parameter
        # owners of the table that a tensor has rows of, and that products were made with
        self.rows, self.products = WeakIdKeyDictionary(), WeakIdKeyDictionary()
        named = list(model.named_modules())
        for name, module in sorted(named, key=lambda pair: isinstance(pair[1], nn.Embedding)):  # which multiply nothing
            for parameter in module.parameters(recurse=False):
                if parameter.numel():
                    self.owners.setdefault(parameter.untyped_storage().data_ptr(), []).append(name)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = self.tally.counter.get_total_flops()
        out = func(*args, **(kwargs or {}))
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        owners = next((found for one in given if (found := self._owners(one))), [])
        if isinstance(out, Tensor):
            owners = self._looked_up(getattr(func, "overloadpacket", func), args, out, owners)
        spent = self.tally.counter.get_total_flops() - before
        if spent and owners and self.tally.running and self.tally.running[-1] not in owners:
            self.tally.give(owners[0], spent)
        return out

    def _owners(self, tensor: Tensor) -> list[str]:
        """The modules that have a tensor as a parameter, or what it is a view of."""
        return self.owners.get(tensor.untyped_storage().data_ptr(), []) if tensor.layout == torch.strided else []

    def _looked_up(self, packet: Any, args: Sequence[Any], out: Tensor, owners: list[str]) -> list[str]:
        """Follow rows of a parameter to the sum of their products; its owners, for that sum."""
        if packet in _LOOKUPS and owners:
            self.rows[out] = owners
        elif packet is torch.ops.aten.mul:
            found = [self.rows[one] for one in args if isinstance(one, Tensor) and one in self.rows]
            if found and all(isinstance(one, Tensor) and one.dim() for one in args):
                self.products[out] = found[0]
        elif packet is torch.ops.aten.sum and args[0] in self.products:
            if len(args) > 1 and list(args[1]) in ([-1], [args[0].dim() - 1]):
                self.tally.counter.flop_counts["Global"][packet] += 2 * args[0].numel()
                owners = self.products[args[0]]
        return owners


def _first_tensor(output: Any) -> Tensor | None:
    """The first tensor of an output, of however deep tuples."""
    if isinstance(output, Tensor):
        return output
    parts = output if isinstance(output, tuple | list) else ()
    return next((found for part in parts if (found := _first_tensor(part)) is not None), None)


@contextmanager
def _in_the_open(model: nn.Module) -> Iterator[None]:
    """In eval mode and without torch's fused attention, of which the counter sees nothing; as before afterwards."""
    modes = {module: module.training for module in model.modules()}
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        model.eval()
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for module, mode in modes.items():
            module.training = mode


def _fused_recurrence(steps: Shape, input_weight: Shape, recurrent_weight: Shape, *_: Any, **__: Any) -> int:
    """Twice the multiply-adds of one direction of an LSTM layer over (T, B, F), in oneDNN's kernel."""
    return 2 * math.prod(steps[:2]) * (math.prod(input_weight) + math.prod(recurrent_weight))


_LOOKUPS = (torch.ops.aten.index, torch.ops.aten.index_select, torch.ops.aten.embedding)
_FORMULAS = {  # of what torch's counter does not know
    torch.ops.aten.mkldnn_rnn_layer: _fused_recurrence,
    torch.ops.aten.mv: lambda matrix, *_, **__: 2 * math.prod(matrix),
    torch.ops.aten.dot: lambda vector, *_, **__: 2 * math.prod(vector),
    torch.ops.aten.addmv: lambda added, matrix, *_, **__: 2 * math.prod(matrix),
}
