"""A small task with all that makes resuming hard (dropout, batch norm, ragged batches, augmentation), and a command
around it: `python toy.py RUN '{"train": {...}, ...}'`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import nn

from voxkit.config import Config, from_mapping
from voxkit.errors import EXIT_INTERRUPTED, EXIT_USER, Interrupted, UserError
from voxkit.rundir import RunDir
from voxkit.train.settings import RESUMABLE, TrainConfig
from voxkit.train.task import Loss, Score


class ToyConfig(Config):
    train: TrainConfig = Field(TrainConfig(warmup=3, device="cpu", tensorboard=False, log_every=1, rehearse=False))
    batches: int = 7
    norm: str = "batch"
    nan: tuple[int, ...] = ()


class Norm(nn.Module):
    """Affine, with a buffer that every forward pass moves (as batch norm's are)."""

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.inner = nn.BatchNorm1d(width) if kind == "batch" else nn.LayerNorm(width)

    def forward(self, x):
        return self.inner(x)


class Model(nn.Module):
    def __init__(self, norm: str) -> None:
        super().__init__()
        self.first = nn.Linear(6, 16)
        self.norm = Norm(norm, 16)
        self.dropout = nn.Dropout(0.3)
        self.second = nn.Linear(16, 1)

    def forward(self, x):  # (N, 6) -> (N,)
        return self.second(self.dropout(torch.relu(self.norm(self.first(x))))).squeeze(-1)


class ToyBatches:
    def __init__(self, config: ToyConfig, epoch: int) -> None:
        self.config, self.epoch = config, epoch

    def __len__(self) -> int:
        return self.config.batches + self.epoch % 2

    def ids(self, i: int) -> list[str]:
        return [f"cut-{i}-{k}" for k in range(3 + i)]

    def worst(self) -> int:
        return len(self) - 1

    def __getitem__(self, i: int):
        rng = np.random.default_rng([self.config.train.seed, self.epoch, i])
        x = torch.from_numpy(rng.normal(size=(3 + i, 6))).float()
        y = x.sum(1) + 0.5 * x[:, 0] * x[:, 1]
        x = x + 0.01 * torch.randn_like(x)  # augmentation by a global generator
        if i in self.config.nan:
            x[0, 0] = float("nan")
        return {"x": x, "y": [y]}


class Toy:
    system = "toy"

    def __init__(self, config: ToyConfig, assets: Path, pause: float = 0.0) -> None:
        self.config, self.pause, self.scored = config, pause, 0
        self.assets = {"note.txt": assets}

    def model(self):
        return Model(self.config.norm)

    def batches(self, split, epoch):
        assert split == "train"
        return ToyBatches(self.config, epoch)

    def loss(self, model, batch):
        time.sleep(self.pause)
        error = (model(batch["x"]) - batch["y"][0]) ** 2
        return Loss(error.sum(), len(error), parts={"absolute": error.detach().sqrt().sum()})

    def score(self, model):
        assert not model.training
        assert not torch.is_grad_enabled()
        torch.rand(3)  # a score may use up random numbers
        x = torch.linspace(-1, 1, 60).reshape(10, 6)
        value = float(((model(x) - x.sum(1)) ** 2).mean())
        self.scored += 1
        return Score(value, "MSE", [f"%MSE {value:.3f} [ 10 ]"], {"mse": value})


def main() -> None:
    path, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    torch.set_num_threads(1)
    from voxkit.train.loop import fit

    if (number := options.pop("kill_at_sync", 0)) > 0:
        _kill_at_sync(number)
    pause = options.pop("pause", 0.0)
    config = ToyConfig().model_dump()
    config["train"] |= options.pop("train", {})
    config = from_mapping(ToyConfig, config | options, "the test")
    note = path.with_name("note.txt")
    note.write_text("toy\n")
    try:
        with RunDir.open(path, "toy", config, RESUMABLE) as run:
            fit(Toy(config, note, pause), config.train, run)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER)
    except Interrupted as stop:
        print(f"stopped: {stop}", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _kill_at_sync(number: int) -> None:
    """Die as if by `kill -9` at the n-th flush of a file or folder to the disk while a checkpoint is saved."""
    from voxkit.train import checkpoint

    real, save = os.fsync, checkpoint.save
    left = [number]

    def fsync(descriptor):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        real(descriptor)

    def saving(*args):
        os.fsync = fsync
        try:
            return save(*args)
        finally:
            os.fsync = real

    checkpoint.save = saving


if __name__ == "__main__":
    main()
