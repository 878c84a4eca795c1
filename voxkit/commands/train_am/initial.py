"""The weights of another trained model, to start from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from voxkit import bundle
from voxkit.commands.train_am.command import TrainAm
from voxkit.commands.train_am.model import AcousticModel
from voxkit.config import diff, from_mapping, to_dict
from voxkit.data.lang import Lang
from voxkit.errors import UserError
from voxkit.progress import say
from voxkit.train.initial import weights_of

OUTPUT = ("output.weight", "output.bias")  # one row for each unit
SHOWN = 8  # names of units in a message


@dataclass(frozen=True)
class Initial:
    """A trained model's weights, normalisation included, and the names of its units."""

    path: Path
    state: Mapping[str, Tensor]
    tokens: Sequence[str]

    @classmethod
    def load(cls, path: Path, config: TrainAm) -> Initial:
        """Read a model that the one of `config` can start from: only their units may differ.

        Raises:
            UserError: there is none, or it has another shape or other features; with the difference.
        """
        found = bundle.load(path)
        if found.system != "train_am":
            raise UserError(f"--init {path}: made by {found.system}, not by train-am", fix="give an acoustic model")
        theirs = to_dict(from_mapping(TrainAm, found.config, str(found.path)))
        ours = to_dict(config)
        changed = [line for part in ("model", "features") for line in diff(theirs[part], ours[part], f"{part}.")]
        if changed:
            raise UserError(
                f"--init {path}: its model is not of the kind that is to be trained\n  " + "\n  ".join(changed),
                fix=f"take the model: and features: sections of {found.path / 'config.yaml'}, or another --init",
            )
        return cls(path, weights_of(found), Lang.load(found.assets).tokens)

    def put_into(self, model: AcousticModel, tokens: Sequence[str]) -> None:
        """Copy all weights; of the output layer those of the units that both models have, by name.

        Args:
            model: fresh, with an output for each of `tokens`.
        """
        if list(tokens) == list(self.tokens):
            model.load_state_dict(self.state, strict=True)
            self._tell(f"all weights are those of {self.path}")
            return
        state = {name: weights for name, weights in self.state.items() if name not in OUTPUT}
        place = {token: index for index, token in enumerate(self.tokens)}
        known = [(index, place[token]) for index, token in enumerate(tokens) if token in place]
        fresh = [token for token in tokens if token not in place]
        here, there = (list(column) for column in zip(*known, strict=True))
        for name in OUTPUT:
            state[name] = model.state_dict()[name].clone()
            state[name][here] = self.state[name][there]
        model.load_state_dict(state, strict=True)
        drawn = f"; {len(fresh)} are new and drawn at random: {' '.join(fresh[:SHOWN])}" if fresh else ""
        drawn += " ..." if len(fresh) > SHOWN else ""
        self._tell(f"{len(known)} of {len(tokens)} output units are those of {self.path}{drawn}")

    def _tell(self, text: str) -> None:
        if int(os.environ.get("RANK", "0")) == 0:
            say(f"note: {text}")
