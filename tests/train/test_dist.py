"""Two processes as one: by torchrun, and by its environment alone (which starts faster)."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import toy
from toy import Toy, configured, ended, launch, same, train

from voxkit.errors import UserError
from voxkit.train import checkpoint
from voxkit.train.curves import read_metrics
from voxkit.train.dist import joined


def launch_two(path: Path, **options):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [launch(path, environment={**place, "RANK": str(r), "LOCAL_RANK": str(r)}, **options) for r in range(2)]


def curve(run: Path, kind: str, name: str):
    return [record[name] for record in read_metrics(run / "metrics.jsonl")[kind]]


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_two_processes_give_the_curve_of_one_that_accumulates_two(tmp_path, norm):
    """Dropout is on; epochs have 7 and 8 batches, so that the first is padded; nothing hangs."""
    options = {"norm": norm, "train": {"epochs": 3, "accumulate": 2}}
    train(tmp_path / "one", **options | {"train": options["train"] | {"accumulate": 4}})
    two = launch_two(tmp_path / "two", **options)
    assert [ended(process) for process in two] == [0, 0]
    for name in ("loss", "absolute", "grad_norm", "lr"):
        assert curve(tmp_path / "two", "train", name) == pytest.approx(curve(tmp_path / "one", "train", name), rel=1e-5)
    if norm == "layer":  # batch norm's statistics are those of the first process
        assert curve(tmp_path / "two", "score", "score") == pytest.approx(
            curve(tmp_path / "one", "score", "score"), rel=1e-5
        )


def test_by_torchrun(tmp_path):
    options = '{"norm": "layer", "train": {"steps": 6}}'
    (tmp_path / "two").parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, toy.__file__, str(tmp_path / "two"), options],
        env=os.environ | {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    train(tmp_path / "one", norm="layer", train={"steps": 6, "accumulate": 2})
    assert curve(tmp_path / "two", "train", "loss") == pytest.approx(curve(tmp_path / "one", "train", "loss"), rel=1e-5)


@pytest.mark.parametrize("told", [0, 1])
def test_a_signal_to_either_process_stops_both_at_the_same_step(tmp_path, told):
    options = {"train": {"epochs": 4, "workers": told}}
    assert [ended(process) for process in launch_two(tmp_path / "whole", **options)] == [0, 0]
    two = launch_two(tmp_path / "stopped", pause=0.1, **options)
    metrics = tmp_path / "stopped" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count("\n") < 3:
        time.sleep(0.01)
    os.kill(two[told].pid, signal.SIGTERM)
    assert [ended(process) for process in two] == [75, 75]
    assert [ended(process) for process in launch_two(tmp_path / "stopped", **options)] == [0, 0]
    assert same(tmp_path / "whole", tmp_path / "stopped")


def test_a_non_finite_loss_on_one_process_is_skipped_by_both(tmp_path):
    options = {"norm": "batch", "nan": (3,), "train": {"epochs": 2}}
    assert [ended(process) for process in launch_two(tmp_path / "two", **options)] == [0, 0]
    records = read_metrics(tmp_path / "two" / "metrics.jsonl")
    assert [r["ids"] for r in records["nonfinite"]] == [[f"cut-3-{k}" for k in range(6)]] * 2
    two = launch_two(tmp_path / "strict", **options | {"train": {"epochs": 2, "max_nonfinite": 0}})
    assert [ended(process) for process in two] == [2, 2]


class LocalSteps:
    """Each process makes its own steps; every third one their weights are averaged, and the change is remembered."""

    shared = False

    def __init__(self):
        self.exchanges = 0

    def wrap(self, model, world):
        return model

    def micro_batch(self, model, last):
        return nullcontext()

    def gradients(self, model):
        pass

    def weights(self, model, step):
        if step % 3 == 2:
            self.exchanges += 1
            for parameter in model.parameters():
                dist.all_reduce(parameter.data)
                parameter.data.div_(2 + 0.01 * self.exchanges)

    def state_dict(self):
        return {"exchanges": torch.tensor(self.exchanges)}

    def load_state_dict(self, state):
        self.exchanges = int(state.get("exchanges", 0))


def test_a_strategy_with_weights_of_its_own_resumes_exactly(tmp_path):
    options = {"strategy": LocalSteps(), "train": {"steps": 11, "save_every": 1}}
    assert [ended(process) for process in launch_two(tmp_path / "whole", **options)] == [0, 0]
    two = launch_two(tmp_path / "stopped", pause=0.1, **options)
    metrics = tmp_path / "stopped" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count("\n") < 2:
        time.sleep(0.01)
    os.kill(two[1].pid, signal.SIGUSR1)
    assert [ended(process) for process in two] == [75, 75]
    assert [ended(process) for process in launch_two(tmp_path / "stopped", **options)] == [0, 0]
    assert same(tmp_path / "whole", tmp_path / "stopped")
    newest = checkpoint.latest(tmp_path / "whole" / "checkpoints")
    first, second = checkpoint.load(newest).objects["ranks"]
    assert not torch.equal(first["model"]["first.weight"], second["model"]["first.weight"])


def test_different_data_are_told(tmp_path):
    class Uneven(Toy):
        def batches(self, split, epoch):
            batches = super().batches(split, epoch)
            batches.config = configured(batches=5 + int(os.environ["RANK"]))
            return batches

    assert [ended(process) for process in launch_two(tmp_path / "two", task=Uneven, train={"steps": 5})] == [2, 2]
    assert "see different data" in (tmp_path / "two.log").read_text()


def test_a_rehearsal_of_two(tmp_path):
    for name, rehearse in (("with", True), ("without", False)):
        options = {"train": {"steps": 4, "rehearse": rehearse, "accumulate": 2}}
        assert [ended(process) for process in launch_two(tmp_path / name, **options)] == [0, 0]
    assert same(tmp_path / "with", tmp_path / "without")


def test_one_process_dies_and_the_other_ends_too(tmp_path):
    two = launch_two(tmp_path / "run", pause=0.05, train={"epochs": 50})
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count("\n") < 2:
        time.sleep(0.01)
    two[1].kill()
    assert ended(two[0]) == 1


@pytest.mark.parametrize(
    "environment", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "two"}, {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "x"}]
)
def test_half_an_environment_is_told(monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError), joined("cpu"):
        pass


def test_a_gpu_that_is_not_there_is_told():
    with pytest.raises(UserError, match="GPU 99"), joined("cuda:99"):
        pass
