"""Weights in 2 to 8 bits: the uniform quantizer, and how a model's tensors are packed into a few.

    s = (max w - min w) / (2^k - 1),   Q(w) = round((w - min w) / s) s + min w        (asymmetric)
    s = max |w| / (2^(k-1) - 1),       Q(w) = round(w / s) s                          (symmetric)

as in Polino, Pascanu, Alistarh 2018, "Model compression via distillation and quantization". The extremes are taken
over a tensor or over each of its output channels. Free of torch until something is computed.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from voxkit.config import Config
from voxkit.errors import UserError
from voxkit.progress import say

if TYPE_CHECKING:
    from torch import Tensor, nn

Bits = Annotated[int, Field(ge=2, le=8)]

CODES, SCALES, MINIMA, REST, EXACT, INTEGERS = "codes", "scales", "minima", "rest", "exact", "integers"
COUNTER = "num_batches_tracked"  # batch norm's, which inference does not read
CLIPPINGS = tuple(1 - 0.04 * n for n in range(20))  # shares of the whole range that `range: mse` chooses from
SMALLEST = 2.0**-120  # steps below this are taken for 0: what they would resolve is no weight of any network
SHOWN = 5  # names in a message


class Quantization(Config):
    """How weights become few bits."""

    bits: int = Field(8, ge=2, le=8, description="size of a weight [bits]")
    symmetric: bool = Field(False, description="levels on both sides of 0 alike, 0 among them; no: from min to max")
    per: Literal["tensor", "channel"] = Field(
        "tensor", description="what has a scale of its own: a weight tensor, or each output channel of it"
    )
    range: Literal["minmax", "mse"] = Field(
        "minmax", description="the levels cover all weights, or clip the outer ones where that errs less in the square"
    )
    rest: Literal["float16", "float32"] = Field(
        "float16", description="biases, normalisation, buffers, scales, and what is kept from quantization"
    )
    keep: tuple[str, ...] = Field((), description="patterns (* and ?) of the names of weights that are not quantized")
    bits_of: dict[str, Bits] = Field({}, description="other sizes [bits] of weights by pattern; the last match counts")

    def bits_for(self, name: str) -> int | None:
        """The size of a weight [bits]; None: it stays what it is."""
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.keep):
            return None
        found = [bits for pattern, bits in self.bits_of.items() if fnmatch.fnmatchcase(name, pattern)]
        return found[-1] if found else self.bits

    def require_matches(self, names: Sequence[str]) -> None:
        """Raise a UserError for patterns that match none of the weights."""
        strange = [
            pattern
            for pattern in (*self.keep, *self.bits_of)
            if not any(fnmatch.fnmatchcase(n, pattern) for n in names)
        ]
        if strange:
            raise UserError(
                f"no weight of the model is called {', '.join(map(repr, strange))}",
                fix=f"its weights are {', '.join(names)}",
            )


class Quantized(NamedTuple):
    """A weight as codes (its shape, uint8), and scale and minimum that broadcast with it (float32)."""

    codes: Tensor
    scale: Tensor
    minimum: Tensor


def quantize(weight: Tensor, scheme: Quantization, bits: int | None = None) -> Quantized:
    """Codes of a weight, scale and minimum (what code 0 means).

    Scale and minimum are rounded to half precision before the codes are found, so that nothing is lost in storing
    them, if `rest` says so and every level moves by a quarter of a step at most; otherwise they are full floats.

    Args:
        weight: finite, of a floating type and any shape; dimension 0 is the channel.
        bits: in place of the scheme's.
    """
    import torch

    with torch.no_grad():
        wide = weight.detach().float()
        bits = scheme.bits if bits is None else bits
        low, high = _extremes(wide, scheme)
        if scheme.range == "mse":
            centre = torch.zeros_like(low) if scheme.symmetric else _over(wide.double(), scheme, torch.mean).float()
            share = _clipping(wide, low - centre, high - centre, centre, scheme, bits)
            low, high = centre + share * (low - centre), centre + share * (high - centre)
        return _coded(wide, low, high, scheme, bits)


def _clipping(weight: Tensor, low: Tensor, high: Tensor, centre: Tensor, scheme: Quantization, bits: int) -> Tensor:
    """The share of the range on both sides of the centre with the least squared error, for each scale."""
    import torch

    best, found = torch.full_like(low, torch.inf), torch.ones_like(low)
    for share in CLIPPINGS:
        image = dequantize(_coded(weight, centre + share * low, centre + share * high, scheme, bits))
        error = _over(image.sub_(weight).square_(), scheme, torch.sum)
        found = torch.where(error < best, share, found)
        best = torch.minimum(error, best)
    return found


def dequantize(quantized: Quantized) -> Tensor:
    """The weight (float32) that the codes stand for."""
    import torch

    codes, scale, minimum = quantized
    # In halves, since a range may be twice as wide as the largest float.
    values = (codes.float() * (scale * 0.5) + minimum * 0.5) * 2
    largest = torch.finfo(torch.float32).max
    return values.clamp_(-largest, largest)


def _over(weight: Tensor, scheme: Quantization, statistic: Callable[..., Tensor]) -> Tensor:
    """A statistic of the tensor or of each channel, in a shape that broadcasts with the weight."""
    groups = weight.shape[0] if scheme.per == "channel" and weight.ndim > 0 else 1
    return statistic(weight.reshape(groups, -1), dim=1).reshape(groups, *[1] * (weight.ndim - 1))


def _extremes(weight: Tensor, scheme: Quantization) -> tuple[Tensor, Tensor]:
    import torch

    if scheme.symmetric:
        largest = _over(weight.abs(), scheme, torch.amax)
        return -largest, largest
    return _over(weight, scheme, torch.amin), _over(weight, scheme, torch.amax)


def _coded(weight: Tensor, low: Tensor, high: Tensor, scheme: Quantization, bits: int) -> Quantized:
    import torch

    top = 2**bits - (2 if scheme.symmetric else 1)  # the largest code
    scale = high / top - low / top
    scale = torch.where(scale < SMALLEST, 0.0, scale)
    minimum = low
    if scheme.rest == "float16":
        scale, minimum = _rounded(scale, minimum, top, scheme)
    if scheme.symmetric:
        minimum = scale * (-top / 2)
    step = torch.where(scale > 0, scale, 1.0)
    codes = ((weight * 0.5 - minimum * 0.5) / (step * 0.5)).round_().clamp_(0, top)
    return Quantized(torch.where(scale > 0, codes, 0.0).to(torch.uint8), scale, minimum)


def _rounded(scale: Tensor, minimum: Tensor, top: int, scheme: Quantization) -> tuple[Tensor, Tensor]:
    """In half precision, unless a level would move by more than a quarter of a step."""
    import torch

    half = scale.half().float(), minimum.half().float()
    moved = top * (half[0] - scale).abs()
    allowed = scale / 4
    if not scheme.symmetric:
        moved = moved + (half[1] - minimum).abs()
        allowed = torch.where(scale > 0, allowed, minimum.abs() / 2048)
    fits = (moved <= allowed).all()
    return torch.where(fits, half[0], scale), torch.where(fits, half[1], minimum)


def pack(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """(N,) codes below 2^bits -> (ceil(N bits / 8),) bytes; code i begins at bit i * bits, low bits first."""
    padded = np.zeros((-(-len(codes) // 8), 8), dtype=np.uint64)
    padded.reshape(-1)[: len(codes)] = codes
    words = np.bitwise_or.reduce(padded << (bits * np.arange(8, dtype=np.uint64)), axis=1)
    octets = words.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :bits]
    return octets.reshape(-1)[: packed_size(len(codes), bits)].copy()


def unpack(data: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """The `count` codes that `pack` made bytes of."""
    groups = -(-count // 8)
    octets = np.zeros((groups, 8), dtype=np.uint8)
    whole = np.zeros(groups * bits, dtype=np.uint8)
    whole[: len(data)] = data
    octets[:, :bits] = whole.reshape(groups, bits)
    words = octets.view("<u8") >> (bits * np.arange(8, dtype=np.uint64))
    return (words & np.uint64(2**bits - 1)).astype(np.uint8).reshape(-1)[:count]


def packed_size(count: int, bits: int) -> int:
    """Bytes that so many codes take."""
    return -(-count * bits // 8)


def parameters(model: nn.Module) -> dict[str, str]:
    """The weights of a model that can be quantized: parameters of a floating type with two dimensions or more.

    Returns:
        By name in the `state_dict()`, the first name of the same tensor: its own, except for tied weights.
    """
    first: dict[int, str] = {}
    found = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter.is_floating_point() and parameter.ndim >= 2 and parameter.numel() > 0:
            found[name] = first.setdefault(id(parameter), name)
    return found


@dataclass(frozen=True)
class Layout:
    """Where each tensor of a model is in the packed file: a function of names, shapes and scheme alone.

    Attributes:
        scheme: the scheme.
        weights: sizes [bits] of the quantized weights, in the order of their codes.
        rest: names of the other floating tensors, in their order.
        integers: names of the integer tensors, in their order.
        tied: names of further appearances of a weight, with the name that it is stored under.
        shapes: of all tensors, by name.
    """

    scheme: Quantization
    weights: dict[str, int]
    rest: tuple[str, ...]
    integers: tuple[str, ...]
    tied: dict[str, str]
    shapes: dict[str, tuple[int, ...]] = field(repr=False)

    @classmethod
    def of(cls, state: Mapping[str, Tensor], parameters: Mapping[str, str], scheme: Quantization) -> Layout:
        """Lay out a model's `state_dict()`.

        Args:
            parameters: see `voxkit.packed.parameters`.

        Raises:
            UserError: a pattern of the scheme matches nothing, or a tensor is of complex numbers.
        """
        scheme.require_matches([name for name, first in parameters.items() if name == first])
        weights: dict[str, int] = {}
        rest, integers, tied = [], [], {}
        for name in sorted(state):  # not in the model's order: parametrizations change it
            first = parameters.get(name)
            bits = None if first is None else scheme.bits_for(first)
            if state[name].is_complex():
                raise UserError(f"{name}: complex numbers cannot be quantized", fix="leave this model as it is")
            if first is not None and first != name:
                tied[name] = first
            elif bits is not None:
                weights[name] = bits
            elif state[name].is_floating_point():
                rest.append(name)
            elif name.rpartition(".")[2] != COUNTER:
                integers.append(name)
        shapes = {name: tuple(state[name].shape) for name in sorted(state)}
        return cls(scheme, weights, tuple(rest), tuple(integers), tied, shapes)

    @property
    def digest(self) -> str:
        """What a file knows its layout by."""
        parts = [self.weights, self.rest, self.integers, self.tied, self.shapes, self.scheme.per, self.scheme.symmetric]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def count(self, name: str) -> int:
        """Elements of a tensor."""
        return int(np.prod(self.shapes[name], dtype=np.int64))

    def scales(self, name: str) -> int:
        """How many scales a quantized weight has."""
        return self.shapes[name][0] if self.scheme.per == "channel" else 1

    def size(self, name: str, exact: bool = False) -> int:
        """Bytes that a tensor takes in the file, scales included; `exact`: its scales or itself are full floats."""
        width = 4 if exact or self.scheme.rest == "float32" else 2
        if name in self.weights:
            scales = self.scales(name) * (1 if self.scheme.symmetric else 2)
            return packed_size(self.count(name), self.weights[name]) + scales * width
        return self.count(name) * (8 if name in self.integers else width if name in self.rest else 0)


def quantized_weights(state: Mapping[str, Tensor], layout: Layout) -> dict[str, Quantized]:
    """The weights of a layout, quantized, on the CPU.

    Raises:
        UserError: a tensor of the state is not finite.
    """
    _require_finite(state)
    return {
        name: Quantized(*(part.cpu() for part in quantize(state[name], layout.scheme, bits)))
        for name, bits in layout.weights.items()
    }


def full_floats(state: Mapping[str, Tensor], layout: Layout, quantized: Mapping[str, Quantized]) -> tuple[str, ...]:
    """The names of weights whose scales, and of other tensors that themselves stay full floats where `rest` says half.

    Others would become infinite or 0, and levels would move (see `quantize`).
    """
    if layout.scheme.rest == "float32":
        return ()
    spoilt = [name for name, one in quantized.items() if not all(map(_is_half, _stored(one, layout.scheme)))]
    return (*spoilt, *(name for name in layout.rest if not _survives(state[name])))


def _stored(quantized: Quantized, scheme: Quantization) -> tuple[Tensor, ...]:
    """What is stored of a weight beside its codes."""
    return (quantized.scale,) if scheme.symmetric else (quantized.scale, quantized.minimum)


def pack_state(state: Mapping[str, Tensor], layout: Layout) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The few tensors of the file, and the names of those that take full floats (see `full_floats`), which are told.

    Raises:
        UserError: a tensor is not finite.
    """
    import torch

    quantized = quantized_weights(state, layout)
    exact = full_floats(state, layout, quantized)
    if others := [name for name in exact if name in layout.rest]:
        say(f"note: {_listed(others)}: in float32, since float16 does not hold the values")
    if spoilt := [name for name in exact if name in layout.weights]:
        say(f"note: {_listed(spoilt)}: scales in float32, since float16 is too coarse for them")
    packed = [
        torch.from_numpy(pack(quantized[name].codes.flatten().numpy(), bits)) for name, bits in layout.weights.items()
    ]
    halves = [_stored(quantized[name], layout.scheme) for name in layout.weights if name not in exact]
    floats = [part for name in layout.weights if name in exact for part in _stored(quantized[name], layout.scheme)]
    narrow = torch.float16 if layout.scheme.rest == "float16" else torch.float32
    found = {
        CODES: _joined(packed, torch.uint8),
        SCALES: _joined([parts[0] for parts in halves], narrow),
        MINIMA: _joined([part for parts in halves for part in parts[1:]], narrow),
        REST: _joined([state[name] for name in layout.rest if name not in exact], narrow),
        EXACT: _joined([*floats, *(state[name] for name in layout.rest if name in exact)], torch.float32),
        INTEGERS: _joined([state[name] for name in layout.integers], torch.int64),
    }
    return {name: tensor for name, tensor in found.items() if tensor.numel() > 0}, exact


def unpack_state(packed: Mapping[str, Tensor], layout: Layout, exact: Sequence[str]) -> dict[str, Tensor]:
    """The `state_dict()` (float32 and int64, on the CPU) that `pack_state` packed.

    Raises:
        UserError: the packed tensors are not as many, or not as large, as the layout says.
    """
    import torch

    parts = {name: _Reader(name, packed.get(name)) for name in (CODES, SCALES, MINIMA, REST, EXACT, INTEGERS)}
    state: dict[str, Tensor] = {}
    for name, bits in layout.weights.items():
        shape, count = layout.shapes[name], layout.count(name)
        codes = unpack(parts[CODES].take(packed_size(count, bits)).numpy(), bits, count)
        scales = layout.scales(name)
        ones = (scales, *[1] * (len(shape) - 1))
        scale = parts[EXACT if name in exact else SCALES].take(scales).float().reshape(ones)
        if layout.scheme.symmetric:
            minimum = scale * (-(2**bits - 2) / 2)
        else:
            minimum = parts[EXACT if name in exact else MINIMA].take(scales).float().reshape(ones)
        state[name] = dequantize(Quantized(torch.from_numpy(codes).reshape(shape), scale, minimum))
    for name in layout.rest:
        part = parts[EXACT if name in exact else REST]
        state[name] = part.take(layout.count(name)).float().reshape(layout.shapes[name])
    for name in layout.integers:
        state[name] = parts[INTEGERS].take(layout.count(name)).reshape(layout.shapes[name])
    for part in parts.values():
        part.close()
    for name, first in layout.tied.items():
        state[name] = state[first]
    return {
        name: state[name] if name in state else torch.zeros(shape, dtype=torch.int64)
        for name, shape in layout.shapes.items()
    }


class _Reader:
    """Takes one piece after the other from a packed tensor."""

    def __init__(self, name: str, data: Tensor | None) -> None:
        self.name, self.data, self.place = name, data, 0

    def take(self, count: int) -> Tensor:
        import torch

        if count == 0:
            return torch.empty(0)
        if self.data is None or self.data.ndim != 1 or len(self.data) < self.place + count:
            raise UserError(f"damaged: {self.name!r} is too short for the model", fix="make the bundle again")
        self.place += count
        return self.data[self.place - count : self.place]

    def close(self) -> None:
        if self.data is not None and self.place != self.data.numel():
            raise UserError(f"damaged: {self.name!r} is too long for the model", fix="make the bundle again")


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """The names of tensors that hold something which is no number."""
    return [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]


def _require_finite(state: Mapping[str, Tensor]) -> None:
    if broken := not_finite(state):
        raise UserError(f"{_listed(broken)}: not finite", fix="quantize a model whose training went well")


def _survives(tensor: Tensor) -> bool:
    """Whether half precision keeps a tensor finite, and what is not 0 as something that is not 0."""
    half = tensor.half()
    return bool((half.isfinite() & ((half != 0) | (tensor == 0))).all())


def _is_half(tensor: Tensor) -> bool:
    """Whether half precision loses nothing of a tensor."""
    return bool((tensor.half().float() == tensor).all())


def _joined(tensors: Sequence[Tensor], dtype: Any) -> Tensor:
    import torch

    return torch.cat([torch.empty(0, dtype=dtype), *(tensor.detach().flatten().cpu().to(dtype) for tensor in tensors)])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
