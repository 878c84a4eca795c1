"""A small task with all that makes resuming hard (dropout, batch norm, ragged batches, augmentation), and a command
around it: `python toy.py RUN '{"train": {...}, ...}'`."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
import time
import traceback
import warnings
from multiprocessing.process import BaseProcess as Process
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import nn

from voxkit.config import Config, from_mapping
from voxkit.errors import EXIT_INTERRUPTED, EXIT_USER, Interrupted, UserError
from voxkit.rundir import RunDir
from voxkit.train import checkpoint
from voxkit.train.settings import TrainConfig, resumable
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


def configured(**options) -> ToyConfig:
    """A config from differences; those of `train` are merged."""
    plain = ToyConfig().model_dump()
    plain["train"] |= options.pop("train", {})
    return from_mapping(ToyConfig, plain | options, "the test")


def train(path: Path, pause: float = 0.0, task=Toy, strategy=None, **options) -> Path:
    """Train in this process."""
    from voxkit.train.loop import fit

    config = configured(**options)
    path.parent.mkdir(parents=True, exist_ok=True)
    note = path.with_name("note.txt")
    note.write_text("toy\n")
    with RunDir.open(path, "toy", config, resumable()) as run:
        return fit(task(config, note, pause), config.train, run, strategy)


def launch(path: Path, before=lambda: None, environment=None, **options) -> Process:
    """Train in another process, a fork of this one (starting torch anew takes seconds). Its stderr is <path>.log."""

    def work() -> None:
        os.environ.update(environment or {})
        log = os.open(f"{path}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 2)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        code = 1
        try:
            before()
            code = status(lambda: train(path, **options))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    for name in ("torch._dynamo", "matplotlib.figure", "matplotlib.backends.backend_agg", "voxkit.train.loop"):
        importlib.import_module(name)  # here, once, and not in every fork
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forks of processes with threads: there is one here
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
    return process


def status(work) -> int:
    """The exit status that the command line gives."""
    try:
        work()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER
    except Interrupted as stop:
        print(f"stopped: {stop}", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def ended(process: Process, within: float = 60.0) -> int:
    """The exit status; negative for a signal. (Joining would wait for the process's own children too.)"""
    deadline = time.monotonic() + within
    while process.exitcode is None:
        if time.monotonic() > deadline:
            process.kill()
            raise AssertionError("it hangs")
        time.sleep(0.01)
    return process.exitcode


def content(run: Path) -> dict[str, torch.Tensor]:
    """All tensors of the newest checkpoint and of the bundle, by name."""
    newest = checkpoint.load(checkpoint.latest(run / "checkpoints"))
    found = {f"{file}/{name}": value for file, t in newest.tensors.items() for name, value in t.items()}
    for number, state in newest.objects["optimizer"]["state"].items():
        found |= {f"optimizer/{number}/{name}": value for name, value in state.items()}
    return found | {f"bundle/{k}": v for k, v in load_file(run / "bundle" / "model.safetensors").items()}


def same(first: Path, second: Path) -> bool:
    """Equal to the bit."""
    a, b = content(first), content(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(status(lambda: train(Path(sys.argv[1]), **json.loads(sys.argv[2]))))
