import contextlib
import copy
import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from pydantic import Field
from safetensors.torch import load_file
from torch import nn

from voxkit import bundle
from voxkit.config import Config
from voxkit.errors import UserError
from voxkit.packed import Quantization, dequantize, parameters, quantize


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
    found = load_file(tmp_path / "b" / "model.safetensors")
    assert torch.equal(found["t"], big.T)
    assert torch.equal(found["row"], big[1])
    assert torch.equal(found["again"], big)


def test_what_is_there_twice_is_stored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Three(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = (nn.Linear(3, 3) for _ in range(3))
            self.second.weight = self.first.weight

    torch.manual_seed(0)
    model = Three()
    model.third.weight.data.copy_(model.first.weight)  # alike by chance, and by itself
    bundle.save(tmp_path / "b", "train_am", Toy(), copy.deepcopy(model.state_dict()), {})
    stored = load_file(tmp_path / "b" / "model.safetensors")
    assert sorted(stored) == ["first.bias", "first.weight", "second.bias", "third.bias"]
    monkeypatch.setattr(bundle, "room", lambda *_: SimpleNamespace(from_bundle=lambda *_: Three()))
    loaded = bundle.load(tmp_path / "b").model
    assert same(loaded, model)
    assert isinstance(loaded, Three)
    assert loaded.second.weight is loaded.first.weight is not loaded.third.weight


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


def inner(folder: Path, seed: int, **files: str) -> Path:
    """A bundle with more files beside it, to be an asset of another."""
    save(folder, seed)
    (folder / "deep" / "er").mkdir(parents=True)
    for name, text in files.items():
        (folder / "deep" / "er" / name).write_text(text)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o002])
def test_all_files_have_the_modes_that_the_umask_gives(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        save(inner(tmp_path / "inner", 1, one="1"), 1)
        bundle.weights(tmp_path / "inner").chmod(0o600)  # as older versions made it
        model = save(tmp_path / "b", 2, assets={"inner": tmp_path / "inner"})
        scheme, names = Quantization(bits=4), parameters(model)
        bundle.save(tmp_path / "q", "train_am", Toy(), model.state_dict(), None, scheme, names)
    finally:
        os.umask(before)
    files = [file for name in ("b", "q") for file in (tmp_path / name).rglob("*") if file.is_file()]
    assert len([file for file in files if file.name == "model.safetensors"]) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o666 & ~mask}


def test_an_asset_may_be_a_folder(tmp_path: Path) -> None:
    given = inner(tmp_path / "given", 1, one="1", two="2")
    (tmp_path / "tokens.txt").write_text("a\n")
    model = save(tmp_path / "b", seed=2, assets={"inner": given, "tokens.txt": tmp_path / "tokens.txt"})
    before = content(given)
    shutil.rmtree(given)
    loaded = bundle.load(tmp_path / "b")
    assert same(loaded.model, model)
    assert sorted(path.name for path in loaded.assets.iterdir()) == ["inner", "tokens.txt"]
    assert content(loaded.assets / "inner") == before
    nested = bundle.load(loaded.assets / "inner").model
    torch.manual_seed(1)
    assert same(nested, Tied(3))
    sizes, inside = bundle.size(tmp_path / "b"), bundle.size(loaded.assets / "inner")
    assert sizes.weights == (tmp_path / "b" / "model.safetensors").stat().st_size
    assert sizes.total == sum(map(len, content(tmp_path / "b").values())) > inside.total > inside.weights


def test_folders_among_the_assets_are_replaced_whole(tmp_path: Path) -> None:
    first, second = inner(tmp_path / "first", 1, one="1", old="x"), inner(tmp_path / "second", 2, one="2")
    (tmp_path / "file").write_text("now a file")
    save(tmp_path / "b", assets={"inner": first})
    save(tmp_path / "b", assets={"inner": second})
    assert content(tmp_path / "b" / "assets" / "inner") == content(second)  # nothing of the older one is left
    own = tmp_path / "b" / "assets" / "inner"
    model = save(tmp_path / "b", seed=5, assets={"inner": own})  # its own, taken over
    assert content(own) == content(second)
    assert same(bundle.load(tmp_path / "b").model, model)
    save(tmp_path / "b", assets={"inner": tmp_path / "file"})
    assert own.read_text() == "now a file"
    save(tmp_path / "b", assets={"inner": first})
    assert content(own) == content(first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "file", "first", "second"]


def test_a_folder_that_cannot_be_copied_leaves_the_older_bundle(tmp_path: Path) -> None:
    given = inner(tmp_path / "given", 1, one="1")
    model = save(tmp_path / "b", seed=2, assets={"inner": given})
    before = content(tmp_path / "b")
    (given / "deep" / "broken").symlink_to(tmp_path / "nothing")
    with pytest.raises(OSError, match="broken"):
        save(tmp_path / "b", seed=3, assets={"inner": given})
    assert content(tmp_path / "b") == before
    assert same(bundle.load(tmp_path / "b").model, model)
    (given / "deep" / "broken").unlink()
    newer = save(tmp_path / "b", seed=3, assets={"inner": given})
    assert same(bundle.load(tmp_path / "b").model, newer)


@pytest.mark.parametrize("files", range(4))
def test_a_kill_while_a_folder_is_copied_leaves_the_older_bundle(
    tmp_path: Path, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = inner(tmp_path / "first", 1, one="1", two="1"), inner(tmp_path / "second", 2, one="2", two="2")
    model = save(tmp_path / "b", seed=3, assets={"inner": first})
    before, calls, copy = content(tmp_path / "b"), iter(range(100)), shutil.copyfile

    def dying(*arguments: Any, **options: Any) -> object:
        if next(calls) == files:
            raise Killed
        return copy(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(bundle.shutil, "copyfile", dying)
        with pytest.raises(Killed):
            save(tmp_path / "b", seed=4, assets={"inner": second})
    assert content(tmp_path / "b") == before
    assert same(bundle.load(tmp_path / "b").model, model)
    newer = save(tmp_path / "b", seed=4, assets={"inner": second})
    assert same(bundle.load(tmp_path / "b").model, newer)
    assert content(tmp_path / "b" / "assets" / "inner") == content(second)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "first", "second"]


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no trained model"):
        bundle.load(tmp_path)
    with pytest.raises(UserError, match="holds no trained model"):
        bundle.load(tmp_path / "missing")
    for nameless in (Path("/"), Path("")):
        with pytest.raises(UserError, match="holds no trained model"):
            bundle.locate(nameless)
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


def quantized(path: Path, scheme: Quantization, width: int = 3) -> Tied:
    torch.manual_seed(0)
    model = Tied(width)
    bundle.save(path, "train_am", Toy(width=width), model.state_dict(), None, scheme, parameters(model))
    return model


@pytest.mark.parametrize("rest", ["float16", "float32"])
def test_a_quantized_bundle_loads_like_another(tmp_path: Path, rest: str) -> None:
    scheme = Quantization(bits=3, per="channel", rest=rest)
    model = quantized(tmp_path / "b", scheme)
    loaded = bundle.load(tmp_path / "b")
    assert loaded.quantization == scheme
    assert torch.equal(loaded.model.first.weight, dequantize(quantize(model.first.weight, scheme)))
    assert loaded.model.second.weight is loaded.model.first.weight
    torch.testing.assert_close(loaded.model.first.bias, model.first.bias, rtol=1e-3, atol=1e-4)
    assert loaded.model.seen == 7
    assert not loaded.model.training
    save(tmp_path / "plain")
    assert bundle.load(tmp_path / "plain").quantization is None


def test_a_quantized_file_is_smaller(tmp_path: Path) -> None:
    save(tmp_path / "float", width=200)
    quantized(tmp_path / "four", Quantization(bits=4), width=200)
    whole, small = bundle.size(tmp_path / "float"), bundle.size(tmp_path / "four")
    assert small.weights < 0.126 * whole.weights + 1500  # the tied matrix is stored once in both
    assert small.total - small.weights == (tmp_path / "four" / "config.yaml").stat().st_size
    assert bundle.weights(tmp_path / "four") == tmp_path / "four" / "model.safetensors"


def test_a_quantized_bundle_for_another_model_is_refused(tmp_path: Path) -> None:
    quantized(tmp_path / "b", Quantization(), width=4)
    file = tmp_path / "b" / "config.yaml"
    file.write_text(file.read_text().replace("width: 4", "width: 5"))
    with pytest.raises(UserError, match="laid out for another one"):
        bundle.load(tmp_path / "b")


def test_a_scheme_that_is_unknown_is_told(tmp_path: Path) -> None:
    quantized(tmp_path / "b", Quantization())
    file = tmp_path / "b" / "config.yaml"
    file.write_text(file.read_text().replace("bits: 8", "bits: 9"))
    with pytest.raises(UserError, match=r"config\.yaml: quantization: bits"):
        bundle.load(tmp_path / "b")


def test_quantized_weights_that_are_cut_short(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    quantized(tmp_path / "b", Quantization())
    weights = tmp_path / "b" / "model.safetensors"
    save_file({name: tensor[:-1].clone() for name, tensor in load_file(weights).items()}, weights)
    with pytest.raises(UserError, match=r"model\.safetensors: damaged"):
        bundle.load(tmp_path / "b")


def test_without_the_names_of_the_parameters_nothing_is_quantized(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="parameters"):
        bundle.save(tmp_path / "b", "train_am", Toy(), Tied(3).state_dict(), None, Quantization())
    assert not list(tmp_path.iterdir())


def test_the_plain_config_of_a_bundle_is_saved_again(tmp_path: Path) -> None:
    model = save(tmp_path / "b")
    loaded = bundle.load(tmp_path / "b")
    bundle.save(tmp_path / "c", loaded.system, loaded.config, model.state_dict())
    assert (tmp_path / "c" / "config.yaml").read_bytes() == (tmp_path / "b" / "config.yaml").read_bytes()


def test_a_room_without_the_part_is_told() -> None:
    assert hasattr(bundle.room("g2p", "model"), "from_bundle")
    with pytest.raises(UserError, match="doctor has no model"):
        bundle.room("doctor", "model")
    for system in ("no_such_system", "../x", "None"):
        with pytest.raises(UserError, match="no system of this version"):
            bundle.room(system, "model")


def test_a_bundle_with_onnx_weights_runs_with_onnxruntime(tmp_path: Path) -> None:
    module = pytest.importorskip("voxkit.onnx_model")
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"voxkit": "test"})
    onnx.save(model, tmp_path / "any.onnx")
    bundle.save_onnx(tmp_path / "exp" / "bundle", "train_am", Toy(), tmp_path / "any.onnx", None, Quantization())
    loaded = bundle.load(tmp_path / "exp")
    assert isinstance(loaded.model, module.OnnxModel)
    assert (loaded.system, loaded.config, loaded.quantization) == ("train_am", {"width": 3}, Quantization())
    assert bundle.weights(tmp_path / "exp").name == "model.onnx"
    assert torch.equal(loaded.model(torch.tensor([1.0, 2.0])), torch.tensor([2.0, 4.0]))
