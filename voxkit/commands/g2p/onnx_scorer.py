"""An exported model in onnxruntime, as the search wants it. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.g2p.pronounce import ONNX
from voxkit.commands.g2p.search import Array, Begun, Numbers
from voxkit.commands.g2p.tables import FILE, Tables
from voxkit.errors import UserError
from voxkit.onnx_session import facts_of, open_session
from voxkit.rundir import digest

FORMAT = "1"
MEMORY, STATE, AFTER = "memory_", "state_", "after_"  # names of inputs and outputs, before a number

Arrays = tuple[NDArray[np.generic], ...]


class OnnxScorer:
    """A `voxkit.commands.g2p.search.Scorer` of the folder that `g2p export` writes, on the CPU.

    Raises:
        UserError: no onnxruntime, or files that are damaged or do not belong together.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.tables = Tables.load(path / FILE)
        self.encoder, self.decoder = (open_session(path / name, threads) for name in ONNX)
        made = [facts_of(session) for session in (self.encoder, self.decoder)]
        if made[0] != made[1] or made[0].get("format") != FORMAT:
            what = "are of different exports" if made[0] != made[1] else "were made by another version of voxkit"
            raise UserError(f"{path}: {' and '.join(ONNX)} {what}", fix="export the model again")
        first = [session.get_inputs()[0].name for session in (self.encoder, self.decoder)]
        if first != ["letters", "previous"] or made[0].get("tables") != digest(path / FILE):
            raise UserError(f"{path}: its files do not belong together", fix="export the model again")
        names = [output.name for output in self.encoder.get_outputs()]
        self.memory = [name for name in names if name.startswith(MEMORY)]
        self.state = [name for name in names if name.startswith(STATE)]

    def begin(self, letters: Numbers, lengths: Numbers, language: Numbers) -> Begun:
        found = self.encoder.run(None, {"letters": letters, "lengths": lengths, "language": language})
        ends = len(self.memory), len(self.memory) + len(self.state)
        return Begun(tuple(found[: ends[0]]), tuple(found[ends[0] : ends[1]]), cast(Array, found[ends[1]]))

    def step(self, previous: Numbers, language: Numbers, memory: Arrays, state: Arrays) -> tuple[Array, Arrays]:
        inputs: Mapping[str, Any] = {
            "previous": previous,
            "language": language,
            **dict(zip(self.memory, memory, strict=True)),
            **dict(zip(self.state, state, strict=True)),
        }
        log_probs, *after = cast(Sequence[Array], self.decoder.run(None, inputs))
        return log_probs, tuple(after)
