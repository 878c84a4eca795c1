"""What is said where k2 is absent or does not fit; none of this needs k2."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from voxkit.commands.train_am.command import TrainAm
from voxkit.commands.train_am.task import AcousticTask
from voxkit.config import build
from voxkit.errors import UserError
from voxkit.nn import k2_package
from voxkit.nn.k2_package import load_k2


@pytest.fixture
def no_k2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "k2", None)


def test_without_k2_the_wheel_is_named(no_k2: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k2_package, "torch_version", lambda: "2.11.0")
    monkeypatch.setattr(k2_package, "cuda_version", lambda: "")
    with pytest.raises(UserError) as error:
        load_k2()
    assert error.value.message == "k2 is not installed"
    assert "pip install k2==VERSION+cpu.torch2.11.0 -f https://k2-fsa.github.io/k2/cpu.html" in error.value.fix
    assert "voxkit doctor" in error.value.fix


def test_a_k2_of_another_torch_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "k2"
    package.mkdir()
    (package / "__init__.py").write_text(
        "raise ImportError('k2 was built using PyTorch 2.0.1\\nBut you have another')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "k2", raising=False)
    with pytest.raises(UserError, match=r"does not work here: k2 was built using PyTorch 2\.0\.1"):
        load_k2()


def test_a_k2_without_cuda_does_not_take_what_is_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(with_cuda=False)
    monkeypatch.setitem(sys.modules, "k2", module)
    assert load_k2() is module
    with pytest.raises(UserError, match="without CUDA"):
        load_k2(cuda=True)


def test_training_with_k2_is_refused_before_anything_is_read(no_k2: None, tmp_path: Path) -> None:
    config = build(TrainAm, loss="k2_ctc", data={"train": "nowhere", "lang": "nowhere"})
    with pytest.raises(UserError, match="k2 is not installed"):
        AcousticTask(config, tmp_path)
