import contextlib
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml
from pydantic import Field
from torch import nn

from voxkit import bundle
from voxkit.config import Config
from voxkit.errors import UserError


class Toy(Config):
    width: int = Field(3, ge=1, description="features")


class Tied(nn.Module):
    """Two names for one matrix, as in models that share embeddings, and a buffer that is no parameter."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.second.weight = self.first.weight
        self.register_buffer("seen", torch.tensor(7))


@pytest.fixture(autouse=True)
def _room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A room whose model is `Tied`, in place of train_am's."""
    room = ModuleType("voxkit.commands.train_am.model")
    room.from_bundle = lambda config, assets: Tied(Toy(**config).width)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "voxkit.commands.train_am.model", room)


def save(path: Path, seed: int = 0, width: int = 3, assets: dict[str, Path] | None = None) -> Tied:
    torch.manual_seed(seed)
    model = Tied(width)
    bundle.save(path, "train_am", Toy(width=width), model.state_dict(), assets)
    return model


def same(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("<blk>\na\n")
    model = save(tmp_path / "exp" / "bundle", assets={"tokens.txt": tmp_path / "tokens.txt"})
    for path in (tmp_path / "exp" / "bundle", tmp_path / "exp"):
        loaded = bundle.load(path)
        assert same(loaded.model, model)
        assert not loaded.model.training
        assert (loaded.system, loaded.config) == ("train_am", {"width": 3})
        assert (loaded.assets / "tokens.txt").read_text() == "<blk>\na\n"
    assert sorted(p.name for p in (tmp_path / "exp").iterdir()) == ["bundle"]


def test_a_transposed_or_shared_tensor_is_saved_whole(tmp_path: Path) -> None:
    big = torch.arange(12.0).view(3, 4)
    bundle.save(tmp_path / "b", "train_am", Toy(), {"t": big.T, "row": big[1], "again": big}, {})
    from safetensors.torch import load_file

    found = load_file(tmp_path / "b" / "model.safetensors")
    assert torch.equal(found["t"], big.T)
    assert torch.equal(found["row"], big[1])
    assert torch.equal(found["again"], big)


def test_an_older_bundle_is_replaced(tmp_path: Path) -> None:
    save(tmp_path / "b", seed=1)
    model = save(tmp_path / "b", seed=2)
    assert same(bundle.load(tmp_path / "b").model, model)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_failed_save_leaves_the_older_one(tmp_path: Path) -> None:
    model = save(tmp_path / "b", seed=1)
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "b", seed=2, assets={"tokens.txt": tmp_path / "missing"})
    assert same(bundle.load(tmp_path / "b").model, model)
    newer = save(tmp_path / "b", seed=3)
    assert same(bundle.load(tmp_path / "b").model, newer)


def test_a_full_disk(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left on device") as caught:
        save(small_disk / "b", width=200)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(small_disk / "b"))
    model = save(small_disk / "b", width=20)
    assert same(bundle.load(small_disk / "b").model, model)


class Killed(BaseException):
    """Stands for a kill: nothing in `save` catches it or cleans up."""


@pytest.mark.parametrize("step", range(1, 9))
def test_a_kill_at_any_step_of_a_save_leaves_one_that_loads(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Die at the n-th call that changes the folder: one of the two models is there, whole, and the next save works."""
    calls = iter(range(1, 1000))

    def dying(function: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: object, **options: object) -> None:
            if next(calls) == step:
                raise Killed
            function(*arguments, **options)

        return call

    first = save(tmp_path / "b", seed=1)
    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(os, "replace", dying(os.replace))
        patch.setattr(bundle.shutil, "rmtree", dying(bundle.shutil.rmtree))
        patch.setattr(bundle, "sync_tree", dying(bundle.sync_tree))
        save(tmp_path / "b", seed=2)
    found = bundle.load(tmp_path / "b").model
    torch.manual_seed(2)
    assert same(found, first) or same(found, Tied(3))
    third = save(tmp_path / "b", seed=3)
    assert same(bundle.load(tmp_path / "b").model, third)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no trained model"):
        bundle.load(tmp_path)
    with pytest.raises(UserError, match="holds no trained model"):
        bundle.load(tmp_path / "missing")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match="has not ended"):
        bundle.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"format": 99}, {"system": "no_such_system"}, {"system": None}, {"system": "../../etc"}, {"config": None}],
)
def test_a_bundle_of_another_version(tmp_path: Path, change: dict[str, object]) -> None:
    save(tmp_path / "b")
    file = tmp_path / "b" / "config.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **change}))
    with pytest.raises(UserError, match="cannot load"):
        bundle.load(tmp_path / "b")


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    save(tmp_path / "b")
    save(tmp_path / "c", width=4)
    os.replace(tmp_path / "c" / "model.safetensors", tmp_path / "b" / "model.safetensors")
    with pytest.raises(UserError, match="does not fit the model"):
        bundle.load(tmp_path / "b")


def test_of_many_weights_that_do_not_fit_a_few_are_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save(tmp_path / "b")
    save_file({f"w{n}": torch.ones(1) for n in range(500)}, tmp_path / "b" / "model.safetensors")
    with pytest.raises(UserError) as caught:
        bundle.load(tmp_path / "b")
    assert "; ".join(caught.value.message.split("model: ")[1:]) == (
        "5 missing (seen, first.weight, first.bias, ...); 500 not the model's (w0, w1, w10, ...)"
    )


def test_damaged_weights(tmp_path: Path) -> None:
    save(tmp_path / "b")
    weights = tmp_path / "b" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"model\.safetensors"):
        bundle.load(tmp_path / "b")
