import sys
from types import ModuleType

import pytest
import torch
from toy import Model, Toy, ToyConfig, configured, train

from voxkit import bundle
from voxkit.errors import UserError
from voxkit.packed import Quantization, dequantize, quantize
from voxkit.rundir import RunDir
from voxkit.train import checkpoint
from voxkit.train.aware import AwareTask
from voxkit.train.loop import fit
from voxkit.train.settings import resumable

SCHEME = Quantization(bits=3, rest="float32")
SHORT = {"steps": 12, "score_every": 4, "score_unit": "steps"}


@pytest.fixture(autouse=True)
def _room(monkeypatch):
    room = ModuleType("voxkit.commands.train_am.model")
    room.from_bundle = lambda config, assets: Model(ToyConfig(**config).norm)
    monkeypatch.setitem(sys.modules, "voxkit.commands.train_am.model", room)


class Housed(Toy):
    """The toy task, in a room that can load it."""

    system = "train_am"
    batch_option = "--set batch.size"


def aware(scheme=SCHEME, initial=None):
    return lambda *arguments: AwareTask(Housed(*arguments), scheme, initial)


def scores(run):
    task = Housed(configured(), run, 0.0)
    with torch.no_grad():
        return task.score(bundle.load(run).model).value


def test_the_bundle_is_the_quantized_model_that_was_scored(tmp_path):
    train(tmp_path / "run", task=aware(), train=SHORT)
    loaded = bundle.load(tmp_path / "run")
    assert loaded.quantization == SCHEME
    newest = checkpoint.load(checkpoint.latest(tmp_path / "run" / "checkpoints"))
    assert scores(tmp_path / "run") == pytest.approx(newest.state.best_value, abs=1e-7)
    assert len(loaded.model.first.weight.unique()) <= 8


def test_it_resumes_to_the_same_bits(tmp_path):
    train(tmp_path / "whole", task=aware(), train=SHORT)
    train(tmp_path / "parts", task=aware(), train={**SHORT, "steps": 5, "schedule": "constant"})
    train(tmp_path / "parts", task=aware(), train={**SHORT, "schedule": "constant"})
    train(tmp_path / "again", task=aware(), train={**SHORT, "schedule": "constant"})
    parts, again = (bundle.load(tmp_path / name).model.state_dict() for name in ("parts", "again"))
    assert all(torch.equal(parts[name], again[name]) for name in parts)


def test_a_bundle_that_is_missing_is_made_from_the_checkpoints_alone(tmp_path, monkeypatch):
    train(tmp_path / "run", task=aware(), train=SHORT)
    before = bundle.load(tmp_path / "run").model.state_dict()
    (tmp_path / "run" / "summary.json").unlink()
    train(tmp_path / "run", task=aware(), train=SHORT)
    after = bundle.load(tmp_path / "run").model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_it_starts_from_trained_weights(tmp_path):
    train(tmp_path / "float", task=Housed, train=SHORT)
    trained = bundle.load(tmp_path / "float").model.state_dict()
    config = configured(train={**SHORT, "steps": 1, "lr": 1e-12, "warmup": 0})
    (tmp_path / "note.txt").write_text("toy\n")
    with RunDir.open(tmp_path / "run", "toy", config, resumable()) as run:
        fit(AwareTask(Housed(config, tmp_path / "note.txt"), SCHEME, trained), config.train, run)
    found = bundle.load(tmp_path / "run").model
    torch.testing.assert_close(found.first.weight, dequantize(quantize(trained["first.weight"], SCHEME)))


def test_weights_that_do_not_fit_are_listed(tmp_path):
    task = AwareTask(Housed(configured(), tmp_path), SCHEME, {"first.weight": torch.zeros(2, 2)})
    with pytest.raises(UserError, match=r"missing .*1 of another shape \(first\.weight \(2, 2\) for \(16, 6\)\)"):
        task.model()


def test_the_rest_of_the_task_is_passed_on(tmp_path):
    inner = Housed(configured(), tmp_path)
    task = AwareTask(inner, SCHEME)
    assert (task.system, task.config, task.assets) == (inner.system, inner.config, inner.assets)
    assert task.batch_option == "--set batch.size"
    assert not hasattr(task, "state_dict")


def test_training_for_few_bits_beats_rounding_afterwards(tmp_path):
    long = {"steps": 400, "score_every": 100, "score_unit": "steps", "lr": 1e-2}
    train(tmp_path / "float", task=Housed, train=long)
    trained = bundle.load(tmp_path / "float").model
    scheme = Quantization(bits=2, rest="float32")
    with torch.no_grad():
        for name in ("first", "second"):
            weight = getattr(trained, name).weight
            weight.copy_(dequantize(quantize(weight, scheme)))
        rounded = Housed(configured(), tmp_path).score(trained.eval()).value
    initial = bundle.load(tmp_path / "float").model.state_dict()
    train(tmp_path / "aware", task=aware(scheme, initial), train=long)
    assert scores(tmp_path / "aware") < rounded
