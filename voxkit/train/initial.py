"""Starting from the weights of a trained model."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from voxkit.bundle import ONNX, Bundle, misfits
from voxkit.errors import UserError
from voxkit.packed import not_finite


def start_from(model: nn.Module, initial: Mapping[str, Tensor] | None) -> None:
    """Fill a new model with trained weights, all of them; nothing happens if there are none.

    Raises:
        UserError: they do not fit the model.
    """
    if initial is None:
        return
    found = list(misfits(model.state_dict(), initial))
    if found:
        raise UserError(
            f"the weights to start from do not fit the model: {'; '.join(found)}",
            fix="start from a model of the same configuration and classes, or from scratch",
        )
    model.load_state_dict(dict(initial), strict=True)


def weights_of(found: Bundle) -> Mapping[str, Tensor]:
    """The weights of a loaded model, to start from.

    Raises:
        UserError: it is a graph for onnxruntime, whose weights are not there as such, or some are no numbers.
    """
    if (found.path / ONNX).exists():
        raise UserError(
            f"{found.path}: a graph for onnxruntime, which nothing can be trained from",
            fix="give the model that it was made from",
        )
    state: Mapping[str, Tensor] = found.model.state_dict()
    if bad := not_finite(state):
        raise UserError(
            f"{found.path}: has weights that are no numbers ({', '.join(bad[:3])})",
            fix="start from another model, or copy this one again",
        )
    return state
