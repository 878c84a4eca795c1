import json
import os
import random
import signal
import time

import pytest
import torch
from torch import nn
from toy import ended, launch

from voxkit.errors import UserError
from voxkit.train import checkpoint
from voxkit.train.checkpoint import State


def some(step: int, value: float = 1.0):
    state = State(step=step, epoch=2, batch=5, best_step=3, best_value=0.1 + 0.2, meter={"total": 1 / 3})
    optimizer = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"betas": (0.9, 0.98), "lr": 0.1}]}
    return state, {"model": {"w": torch.full((3, 2), value)}}, {"optimizer": optimizer}


def test_round_trip(tmp_path):
    path = checkpoint.save(tmp_path, *some(7))
    assert path == tmp_path / "step-7" == checkpoint.latest(tmp_path)
    assert sorted(p.name for p in path.iterdir()) == ["model.safetensors", "optimizer.pt", "state.json"]
    read = checkpoint.load(path)
    assert read.state == some(7)[0]
    assert torch.equal(read.tensors["model"]["w"], torch.ones(3, 2))
    assert read.objects["optimizer"]["param_groups"][0]["betas"] == (0.9, 0.98)


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_all_files_have_the_modes_that_the_umask_gives(tmp_path, mask):
    before = os.umask(mask)
    try:
        path = checkpoint.save(tmp_path, *some(7))
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o666 & ~mask}


def test_weights_that_share_memory(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    path = checkpoint.save(tmp_path, State(step=1), {"model": model.state_dict()}, {})
    again = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    again[1].weight = again[0].weight
    again.load_state_dict(checkpoint.load(path).tensors["model"])
    assert torch.equal(again[1].weight, model[0].weight)


def test_saving_again_renews_the_state(tmp_path):
    checkpoint.save(tmp_path, *some(7))
    state = some(7)[0]
    state.scored = 7
    checkpoint.save(tmp_path, state, {}, {})
    read = checkpoint.load(tmp_path / "step-7")
    assert read.state.scored == 7
    assert "w" in read.tensors["model"]


def test_the_newest_is_by_number_and_pruning_keeps_what_it_should(tmp_path):
    for step in (2, 3, 9, 10, 100):
        checkpoint.save(tmp_path, *some(step))
    (tmp_path / "step-200.tmp").mkdir()
    (tmp_path / "step-x").mkdir()
    assert checkpoint.latest(tmp_path).name == "step-100"
    checkpoint.prune(tmp_path, keep_last=2, also={3, -1})
    checkpoint.clean(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-10", "step-100", "step-3", "step-x"]
    assert checkpoint.latest(tmp_path / "nowhere") is None


@pytest.mark.parametrize("name", ["state.json", "model.safetensors", "optimizer.pt"])
def test_damage_is_named(tmp_path, name):
    path = checkpoint.save(tmp_path, *some(7))
    (path / name).write_bytes((path / name).read_bytes()[:40])
    with pytest.raises(UserError, match="damaged checkpoint"):
        checkpoint.load(path)


def test_pickled_code_is_not_run(tmp_path):
    path = checkpoint.save(tmp_path, *some(7))

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "evil"),))

    torch.save(Evil(), path / "optimizer.pt")
    with pytest.raises(UserError, match="damaged"):
        checkpoint.load(path)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_fault_anywhere_in_a_save_leaves_whole_checkpoints_only(tmp_path, monkeypatch, call):
    real = getattr(os, call)
    for number in range(20):
        folder, calls = tmp_path / str(number), iter(range(20))
        checkpoint.save(folder, *some(1, value=1.0))

        def faulty(*args, number=number, calls=calls):
            if next(calls) == number:
                raise OSError(28, "No space left on device")
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, faulty)
            try:
                checkpoint.save(folder, *some(2, value=2.0))
                break
            except UserError as error:
                fix = error.fix
        assert "free some space" in fix
        newest = checkpoint.load(checkpoint.latest(folder))
        assert torch.all(newest.tensors["model"]["w"] == newest.state.step)
        checkpoint.clean(folder)
        checkpoint.save(folder, *some(2, value=2.0))
    assert number > 0
    assert checkpoint.load(folder / "step-2").state.step == 2


@pytest.mark.parametrize("what", ["weights", "optimizer", "state"])
def test_a_full_disk(small_disk, what):
    state, weights, optimizer = some(2)
    big = torch.zeros(100_000)
    if what == "weights":
        weights = {"model": {"w": big}}
    elif what == "optimizer":
        optimizer = {"optimizer": {"state": big}}
    else:
        state.meter = {f"key {number}": 0.1 for number in range(10_000)}
    with pytest.raises(UserError, match="cannot write the checkpoint: No space left on device") as caught:
        checkpoint.save(small_disk, state, weights, optimizer)
    assert "free some space" in caught.value.fix
    assert checkpoint.latest(small_disk) is None
    checkpoint.clean(small_disk)
    checkpoint.save(small_disk, *some(2))


def test_what_cannot_be_saved_is_a_bug(tmp_path):
    with pytest.raises(AttributeError):
        checkpoint.save(tmp_path, State(step=1), {"model": {"w": "no tensor"}}, {})


def kill_at_flush(number: int) -> None:
    """Make this process die as if by `kill -9` at its n-th flush of a file or folder during saves."""
    real, save, left = os.fsync, checkpoint.save, [number]

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


def test_killed_inside_a_save(tmp_path):
    settings = {"train": {"epochs": 2, "save_every": 2}}
    for number in (0, 3, 5, 8):
        assert ended(launch(tmp_path / "run", before=lambda n=number: kill_at_flush(n), **settings)) == -signal.SIGKILL
        newest = checkpoint.latest(tmp_path / "run" / "checkpoints")
        assert newest is None or checkpoint.load(newest).state.step % 2 == 0
    assert any((tmp_path / "run" / "checkpoints").glob("*.tmp"))
    assert ended(launch(tmp_path / "run", **settings)) == 0
    assert not any((tmp_path / "run" / "checkpoints").glob("*.tmp"))


def test_killed_at_any_moment_every_folder_loads(tmp_path):
    random.seed(1)
    settings = {"train": {"epochs": 1000, "save_every": 1, "keep_last": 1}}
    reached = 0
    for _ in range(5):
        process = launch(tmp_path / "run", **settings)
        time.sleep(random.uniform(0.3, 0.9))
        process.kill()
        process.join()
        for folder in (tmp_path / "run" / "checkpoints").glob("step-*"):
            if folder.suffix != ".tmp":
                step = checkpoint.load(folder).state.step
                assert folder.name == f"step-{step}"
                assert json.loads((folder / "state.json").read_text())["step"] == step
                reached = max(reached, step)
    assert reached > 1
