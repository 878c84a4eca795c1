"""An exported model as a torch module: the same signature as the module that was exported, computed by onnxruntime."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from voxkit.errors import UserError
from voxkit.onnx_session import facts_of, open_session

INPUTS = "inputs"  # a fact: the names of all inputs, where the graph uses only some of them

_TYPES = {
    "tensor(float)": torch.float32,
    "tensor(double)": torch.float64,
    "tensor(int64)": torch.int64,
    "tensor(int32)": torch.int32,
    "tensor(bool)": torch.bool,
}


class OnnxModel(nn.Module):
    """A graph that `voxkit.nn.onnx_graph` wrote, float or int8, on the CPU and for inference only.

    It has no parameters: `state_dict()` is empty and `to(device)` moves nothing.

    Args:
        path: the `.onnx` file.
        threads: how many work on one operation; as many as torch uses now if not given.

    Attributes:
        facts: what the export wrote into the graph, by name.

    Raises:
        UserError: no onnxruntime, or a file that is damaged or was not exported by voxkit.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        super().__init__()
        self.path = path
        self._session = open_session(path, threads or torch.get_num_threads())
        self.facts = facts_of(self._session)
        self._used = {one.name: _TYPES.get(one.type) for one in self._session.get_inputs()}
        if "voxkit" not in self.facts or None in self._used.values():
            raise UserError(f"{path}: not a model that voxkit exported", fix="give a file of an export of voxkit")
        self._names = self.facts[INPUTS].split() if INPUTS in self.facts else list(self._used)
        self.eval()

    def forward(self, *tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The outputs for the inputs of the exported module, in its order and shapes.

        Args:
            tensors: as many as the module had; converted to the types that the graph wants.

        Returns:
            The output, or a tuple where there are several; on the CPU, without gradient.

        Raises:
            ValueError: another number of inputs.
        """
        feeds = {
            name: tensor.detach().to("cpu", self._used[name]).contiguous().numpy()
            for name, tensor in zip(self._names, tensors, strict=True)
            if name in self._used
        }
        found = tuple(torch.from_numpy(array) for array in self._session.run(None, feeds))
        return found[0] if len(found) == 1 else found
