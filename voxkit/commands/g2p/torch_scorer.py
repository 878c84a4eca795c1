"""A model in torch, as the search wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxkit import bundle
from voxkit.commands.g2p.model import G2pModel
from voxkit.commands.g2p.search import Array, Begun, Numbers
from voxkit.commands.g2p.tables import Tables
from voxkit.errors import UserError

Arrays = tuple[NDArray[np.generic], ...]


class TorchScorer:
    """A `voxkit.commands.g2p.search.Scorer` of a model in eval mode, on whatever device it is."""

    def __init__(self, model: G2pModel) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self._memory: tuple[Arrays, tuple[Tensor, ...]] = ((), ())  # as the search has it, and on the device

    @classmethod
    def load(cls, path: Path, threads: int = 1) -> TorchScorer:
        """From an experiment or bundle folder.

        Raises:
            UserError: none there, or one of another system.
        """
        torch.set_num_threads(threads)
        loaded = bundle.load(path)
        if not isinstance(loaded.model, G2pModel):
            raise UserError(f"{path}: a model of {loaded.system}, not of g2p", fix="give a folder of g2p train")
        return cls(loaded.model)

    @property
    def tables(self) -> Tables:
        return self.model.tables

    @torch.inference_mode()
    def begin(self, letters: Numbers, lengths: Numbers, language: Numbers) -> Begun:
        encoded = self.model.encode(self._in(letters), self._in(lengths), self._in(language))
        return Begun(_out(encoded.memory), _out(encoded.state), cast(Array, _out((encoded.languages,))[0]))

    @torch.inference_mode()
    def step(self, previous: Numbers, language: Numbers, memory: Arrays, state: Arrays) -> tuple[Array, Arrays]:
        if memory is not self._memory[0]:  # it is the same from step to step
            self._memory = (memory, tuple(map(self._in, memory)))
        inputs = self._in(previous).unsqueeze(1), self._in(language), self._memory[1], tuple(map(self._in, state))
        log_probs, after = self.model.decode(*inputs)
        return cast(Array, _out((log_probs[:, 0],))[0]), _out(after)

    def _in(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def _out(tensors: tuple[Tensor, ...]) -> Arrays:
    return tuple(tensor.cpu().numpy() for tensor in tensors)
