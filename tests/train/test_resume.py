"""Stopped and resumed in any way, training ends with the bits of a run that was not."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy import Toy, ended, launch, same, train

from voxkit.errors import UserError
from voxkit.train import curves, loop
from voxkit.train.curves import read_metrics


class Crash(Exception):
    pass


def crashing(at: int, crash):
    """A task that calls `crash` in the middle of its `at`-th batch."""

    class Crashing(Toy):
        calls = 0

        def loss(self, model, batch):
            self.calls += 1
            if self.calls == at:
                model(batch["x"])
                crash()
            return super().loss(model, batch)

    return Crashing


def raise_crash():
    raise Crash


def kill_me():
    os.kill(os.getpid(), signal.SIGKILL)


def losses(run: Path):
    return [
        {k: r[k] for k in ("step", "loss", "lr", "grad_norm")} for r in read_metrics(run / "metrics.jsonl")["train"]
    ]


def scores(run: Path):
    return [(r["step"], r["score"]) for r in read_metrics(run / "metrics.jsonl")["score"]]


@pytest.mark.parametrize(
    ("kills", "options"),
    [
        ((11, 2, 9), {"train": {"epochs": 3, "save_every": 4, "accumulate": 2}}),
        ((5, 9), {"train": {"epochs": 2, "save_every": 3, "workers": 1, "average": "mean"}}),
        ((13,), {"norm": "layer", "train": {"epochs": 2, "save_every": 2, "optimizer": "sgd", "log_every": 3}}),
    ],
)
def test_killed(tmp_path, kills, options):
    train(tmp_path / "whole", **options)
    for kill in kills:
        assert ended(launch(tmp_path / "killed", task=crashing(kill, kill_me), **options)) == -signal.SIGKILL
    assert ended(launch(tmp_path / "killed", **options)) == 0
    assert same(tmp_path / "whole", tmp_path / "killed")
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")
    assert scores(tmp_path / "whole") == scores(tmp_path / "killed")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    crashes=st.lists(st.integers(1, 20), max_size=3),
    accumulate=st.integers(1, 3),
    average=st.sampled_from(["ema", "mean", "none"]),
    save_every=st.integers(1, 7),
    nan=st.sampled_from([(), (2,)]),
    unit=st.sampled_from(["steps", "epochs"]),
)
def test_crashed_anywhere(tmp_path, monkeypatch, crashes, accumulate, average, save_every, nan, unit):
    monkeypatch.setattr(curves, "draw", lambda *_, **__: None)
    for name in ("whole", "crashed"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    knobs = {"accumulate": accumulate, "average": average, "save_every": save_every, "log_every": 2}
    options = {"nan": nan, "batches": 5, "train": {"epochs": 3, "score_unit": unit, "score_every": 2, **knobs}}
    train(tmp_path / "whole", **options)
    for crash in crashes:
        try:
            train(tmp_path / "crashed", task=crashing(crash, raise_crash), **options)
        except Crash:
            continue
    train(tmp_path / "crashed", **options)
    assert same(tmp_path / "whole", tmp_path / "crashed")
    assert losses(tmp_path / "whole") == losses(tmp_path / "crashed")
    assert scores(tmp_path / "whole") == scores(tmp_path / "crashed")


def wait_for(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, 1), (signal.SIGUSR1, 0), (signal.SIGINT, 1)])
def test_a_signal_saves_and_the_status_says_so(tmp_path, number, workers):
    options = {"train": {"epochs": 2, "workers": workers}}
    train(tmp_path / "whole", **options)
    process = launch(tmp_path / "stopped", pause=0.05, **options)
    wait_for(lambda: lines(tmp_path / "stopped" / "metrics.jsonl") >= 3)
    os.kill(process.pid, number)
    assert ended(process) == 75
    assert "the same command goes on from there" in (tmp_path / "stopped.log").read_text()
    assert len(list((tmp_path / "stopped" / "checkpoints").iterdir())) == 1
    assert not (tmp_path / "stopped" / "bundle").exists()
    assert ended(launch(tmp_path / "stopped", **options)) == 0
    assert same(tmp_path / "whole", tmp_path / "stopped")


class SlowScore(Toy):
    def score(self, model):
        self.note.with_name("scoring").touch()
        time.sleep(30)

    def __init__(self, config, assets, pause):
        super().__init__(config, assets, pause)
        self.note = assets


def test_a_signal_does_not_wait_for_a_score_and_the_score_is_made_up_for(tmp_path):
    options = {"train": {"epochs": 2, "average": "none"}}
    train(tmp_path / "whole", **options)
    process = launch(tmp_path / "stopped", task=SlowScore, **options)
    wait_for((tmp_path / "scoring").exists)
    os.kill(process.pid, signal.SIGTERM)
    assert ended(process, within=15) == 75
    assert ended(launch(tmp_path / "stopped", **options)) == 0
    assert scores(tmp_path / "whole") == scores(tmp_path / "stopped")
    assert same(tmp_path / "whole", tmp_path / "stopped")


def test_a_second_process_on_the_folder_is_refused(tmp_path):
    options = {"train": {"epochs": 2}}
    first = launch(tmp_path / "run", pause=0.1, **options)
    wait_for(lambda: lines(tmp_path / "run" / "metrics.jsonl") >= 1)
    with pytest.raises(UserError, match="in use by process"):
        train(tmp_path / "run", **options)
    first.kill()
    first.join()
    train(tmp_path / "run", **options)


def test_a_finished_run_has_nothing_to_do_and_can_be_made_longer(tmp_path, capfd):
    train(tmp_path / "run", train={"steps": 6, "schedule": "constant", "score_unit": "steps"})
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    train(tmp_path / "run", train={"steps": 6, "schedule": "constant", "score_unit": "steps"})
    assert "nothing to do" in capfd.readouterr().err
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    train(tmp_path / "run", train={"steps": 11, "schedule": "constant", "score_unit": "steps"})
    train(tmp_path / "whole", train={"steps": 11, "schedule": "constant", "score_unit": "steps"})
    assert same(tmp_path / "whole", tmp_path / "run")


def test_a_longer_schedule_is_said_to_be_another_one(tmp_path, capfd):
    train(tmp_path / "run", train={"steps": 5})
    train(tmp_path / "run", train={"steps": 8})
    assert "falls over 8 steps instead of 5" in capfd.readouterr().err


def test_a_shortened_warmup_is_resumed(tmp_path, monkeypatch, capfd):
    settings = {"train": {"steps": 30, "warmup": 500, "save_every": 2}}
    with monkeypatch.context() as patch:
        calls = iter(range(100))
        real = loop.Supervised.__call__
        patch.setattr(loop.Supervised, "__call__", lambda *given: raise_crash() if next(calls) == 3 else real(*given))
        with pytest.raises(Crash):
            train(tmp_path / "run", **settings)
    train(tmp_path / "run", **settings)
    train(tmp_path / "whole", **settings)
    assert same(tmp_path / "whole", tmp_path / "run")
    assert losses(tmp_path / "whole") == losses(tmp_path / "run")
    capfd.readouterr()
    train(tmp_path / "run", train={"steps": 50, "warmup": 500, "save_every": 2})
    assert "the warm-up is now of 5 steps instead of 3" in capfd.readouterr().err


def test_a_changed_config_is_refused(tmp_path):
    train(tmp_path / "run", train={"steps": 5})
    with pytest.raises(UserError, match="made with another config"):
        train(tmp_path / "run", train={"steps": 5, "lr": 0.5})


def test_killed_between_the_last_checkpoint_and_the_bundle(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_conclude", lambda *_: raise_crash())
        with pytest.raises(Crash):
            train(tmp_path / "run", train={"steps": 5})
    assert not (tmp_path / "run" / "bundle").exists()
    train(tmp_path / "run", train={"steps": 5})
    train(tmp_path / "whole", train={"steps": 5})
    assert same(tmp_path / "whole", tmp_path / "run")


def test_a_checkpoint_of_another_model_is_told(tmp_path):
    train(tmp_path / "run", train={"steps": 5})

    class Wider(Toy):
        def model(self):
            return torch.nn.Linear(3, 3)

    with pytest.raises(UserError, match="does not fit the model"):
        train(tmp_path / "run", task=Wider, train={"steps": 6})
