"""Models that compute with quantized weights and learn with full ones.

The weights of full precision stay the model's parameters (Polino, Pascanu, Alistarh 2018 call them shadow weights).
What the layers see is their quantized image, and the gradient of that goes straight through to them (Bengio, Léonard,
Courville 2013, "Estimating or propagating gradients through stochastic neurons for conditional computation").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from voxkit.errors import UserError
from voxkit.packed import Quantization, dequantize, parameters, quantize

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)

_ORIGINAL = re.compile(r"(^|\.)parametrizations\.(\w+)\.original$")


class _StraightThrough(torch.autograd.Function):
    """The quantized weight forwards, the identity backwards."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scheme: Quantization, bits: int) -> Tensor:
        return dequantize(quantize(weight, scheme, bits)).to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0], None, None


class Quantizer(nn.Module):
    """The parametrization of a weight: what `voxkit.packed` would store of it."""

    def __init__(self, scheme: Quantization, bits: int) -> None:
        super().__init__()
        self.scheme, self.bits = scheme, bits

    def forward(self, weight: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        image: Tensor = _StraightThrough.apply(weight, self.scheme, self.bits)  # type: ignore[no-untyped-call]
        return image

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


def make_aware(model: M, scheme: Quantization) -> M:
    """Have a model, in place, compute with the weights that a bundle quantized by the same scheme would have.

    Its `state_dict()` then has other names, see `plain_names`. `torch.nn.utils.parametrize.cached()` around passes
    without updates between them saves computing the weights anew in each.

    Raises:
        UserError: a layer whose weight is parametrized already, or a pattern of the scheme that matches nothing.
    """
    weights = parameters(model)
    scheme.require_matches([name for name, first in weights.items() if name == first])
    for name, first in weights.items():
        bits = scheme.bits_for(first)
        if bits is None:
            continue
        path, _, attribute = name.rpartition(".")
        layer = model.get_submodule(path)
        if isinstance(layer, parametrize.ParametrizationList) or parametrize.is_parametrized(layer, attribute):
            raise UserError(
                f"{path}: its weight is computed from others already, so it cannot be trained for quantization",
                fix="quantize it after training, without --aware",
            )
        parametrize.register_parametrization(layer, attribute, Quantizer(scheme, bits))
        if isinstance(layer, nn.RNNBase):
            _see_parametrized(layer)
    return model


def _see_parametrized(layer: nn.RNNBase) -> None:
    """Have a recurrent layer look its weights up in each pass.

    It keeps them in a list, which would hold the images of the weights that it was made with. The class is the
    layer's own: `parametrize` derives one for each module.
    """

    def weights(self: nn.RNNBase) -> list[Tensor]:
        return [getattr(self, name) for name in self._flat_weights_names]

    kind: Any = type(layer)
    kind._flat_weights = property(weights, lambda self, _: None)
    kind._weights_have_changed = lambda self: False  # so that it does not refresh the list that it no longer has
    layer.__dict__.pop("_flat_weights", None)


def plain_names(state: Mapping[str, T]) -> dict[str, T]:
    """A state by the names that the model had before `make_aware`."""
    return {_ORIGINAL.sub(r"\1\2", name): value for name, value in state.items()}
