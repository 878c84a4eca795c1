from pathlib import Path

import pytest
import torch
from torch import nn
from toy import Toy, ToyConfig

from voxkit.errors import UserError
from voxkit.train import checkpoint
from voxkit.train.run import train

SMALL = ToyConfig(train=ToyConfig().train.model_copy(update={"epochs": 1}))


class Huge(Toy):
    """Its model is larger than any memory."""

    def model(self) -> nn.Module:
        return nn.Linear(2**28, 2**28)


class Broken(Toy):
    def model(self) -> nn.Module:
        raise RuntimeError("a bug")


def run(kind: type[Toy], out: Path) -> None:
    train("toy", SMALL, SMALL.train, out, lambda folder: kind(SMALL, folder))


def test_a_model_larger_than_memory_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not fit into memory") as caught:
        run(Huge, tmp_path / "exp")
    assert "lower the sizes" in caught.value.fix
    assert not (tmp_path / "exp").exists()
    run(Toy, tmp_path / "exp")
    assert checkpoint.latest(tmp_path / "exp" / "checkpoints")


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    with pytest.raises(UserError, match="does not fit into memory"):
        run(Huge, tmp_path / "exp")
    assert (tmp_path / "exp").exists()


def test_other_errors_are_bugs_and_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        run(Broken, tmp_path / "exp")
    assert (tmp_path / "exp" / "config.yaml").exists()


def test_memory_that_runs_out_later_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(Toy, tmp_path / "exp")
    monkeypatch.setattr("voxkit.train.run.fit", lambda *_: torch.empty(2**58))
    with pytest.raises(RuntimeError, match=r"memory|overflow"):
        run(Toy, tmp_path / "exp")
    assert (tmp_path / "exp" / "bundle").exists()
