import json

import pytest
import torch
import yaml
from matplotlib import colors, image
from safetensors.torch import load_file
from toy import Toy, train

from voxkit.errors import UserError
from voxkit.train import checkpoint
from voxkit.train.curves import INK, draw, read_metrics
from voxkit.train.numerics import derive, seed_all
from voxkit.train.task import Score


def records(run, kind):
    return read_metrics(run / "metrics.jsonl").get(kind, [])


def test_the_folder_of_a_run(tmp_path):
    bundle = train(tmp_path / "run", train={"epochs": 2, "log_every": 4, "tensorboard": True})
    run = tmp_path / "run"
    assert bundle == run / "bundle"
    assert (bundle / "assets" / "note.txt").read_text() == "toy\n"
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert any((run / "tensorboard").iterdir())
    assert [r["step"] for r in records(run, "train")] == [4, 8, 12, 15]
    assert set(records(run, "train")[0]) >= {
        "epoch",
        "loss",
        "lr",
        "grad_norm",
        "seconds",
        "examples_per_second",
        "absolute",
    }
    assert [(r["step"], r["epoch"]) for r in records(run, "score")] == [(7, 1), (15, 2)]
    summary = json.loads((run / "summary.json").read_text())
    assert summary["step"] == 15
    assert summary["best_score"] == min(r["score"] for r in records(run, "score"))


@pytest.mark.parametrize("length", [{"steps": 3}, {"epochs": 1}])
def test_a_training_shorter_than_a_window_is_logged_once(tmp_path, length):
    for _ in range(2):
        train(tmp_path / "run", train={"log_every": 50, "warmup": 1, **length})
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "train"] == [length.get("steps", 7)]


@pytest.mark.parametrize("kind", ["cosine", "constant"])
def test_the_default_of_the_warmup_gives_way_to_a_short_training(tmp_path, capfd, kind):
    train(tmp_path / "run", batches=25, train={"epochs": 1, "warmup": 500, "schedule": kind, "average": "none"})
    told = capfd.readouterr().err
    assert "the warm-up of 500 steps is shortened to 2, since the training has 25; --set train.warmup=2" in told
    assert [r["lr"] for r in records(tmp_path / "run", "train")][:3] == pytest.approx([5e-4, 1e-3, 1e-3])
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["train"]["warmup"] == 500


def test_a_warmup_that_takes_all_of_an_epoch_is_told_with_one_that_fits(tmp_path, capfd):
    train(tmp_path / "run", batches=25, train={"epochs": 1, "warmup": 60})
    told = capfd.readouterr().err
    assert "the warm-up of 60 steps takes all of the training, since the training has 25; --set train.warmup=2" in told
    assert [r["lr"] for r in records(tmp_path / "run", "train")][-1] == pytest.approx(1e-3)


def test_it_learns(tmp_path):
    train(tmp_path / "run", norm="layer", batches=20, train={"epochs": 8, "lr": 0.02, "average": "mean"})
    losses = [r["loss"] for r in records(tmp_path / "run", "train")]
    assert sum(losses[-20:]) < 0.4 * sum(losses[:20])


class Judged(Toy):
    """Scores that are given beforehand."""

    given = (3.0, 1.0, float("nan"), 2.0)

    def score(self, model):
        self.scored += 1
        return Score(self.given[self.scored - 1], "given")


@pytest.mark.parametrize(("select", "step"), [("best", 4), ("last", 8)])
def test_the_best_is_kept_beside_the_last(tmp_path, select, step):
    knobs = {"steps": 8, "score_every": 2, "score_unit": "steps", "keep_last": 1, "select": select}
    bundle = train(tmp_path / "run", task=Judged, train=knobs)
    folder = tmp_path / "run" / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["step-4", "step-8"]
    chosen = checkpoint.load(folder / f"step-{step}").tensors["average"]
    assert all(torch.equal(value, chosen[name]) for name, value in load_file(bundle / "model.safetensors").items())


def test_non_finite_steps_are_skipped_and_their_cuts_named(tmp_path, capfd):
    train(tmp_path / "run", nan=(2,), train={"epochs": 3})
    skipped = [json.loads(line) for line in (tmp_path / "run" / "nonfinite.jsonl").read_text().splitlines()]
    assert [(r["step"], r["epoch"]) for r in skipped] == [(3, 0), (10, 1), (18, 2)]
    assert skipped[0]["ids"] == [f"cut-2-{k}" for k in range(5)]
    assert skipped[0]["loss"] is None
    assert "cut-2-0" in capfd.readouterr().err
    assert [r["step"] for r in records(tmp_path / "run", "nonfinite")] == [3, 10, 18]
    weights = load_file(tmp_path / "run" / "bundle" / "model.safetensors")
    assert all(value.isfinite().all() for value in weights.values())


def test_too_many_of_them_end_it(tmp_path):
    with pytest.raises(UserError, match=r"2 steps had a non-finite loss.*cut-2-0") as caught:
        train(tmp_path / "run", nan=(2,), train={"epochs": 3, "max_nonfinite": 1})
    assert "nonfinite.jsonl" in caught.value.fix


def test_a_training_without_a_finite_step_has_no_bundle(tmp_path):
    for _ in range(2):  # nor does it have one when the same command goes on
        with pytest.raises(UserError, match="all 7 steps had a non-finite loss") as caught:
            train(tmp_path / "run", nan=tuple(range(7)), train={"epochs": 1})
        assert "nonfinite.jsonl" in caught.value.fix
        assert (tmp_path / "run" / "checkpoints" / "step-7").exists()
        assert (tmp_path / "run" / "nonfinite.jsonl").exists()
        assert not (tmp_path / "run" / "bundle").exists()


def test_an_empty_epoch_is_told(tmp_path):
    with pytest.raises(UserError, match="no training batches"):
        train(tmp_path / "run", batches=0, train={"epochs": 3})


def test_a_rehearsal_leaves_no_trace(tmp_path, capfd):
    train(tmp_path / "with", train={"steps": 5, "rehearse": True})
    assert "fits" in capfd.readouterr().err
    train(tmp_path / "without", train={"steps": 5, "rehearse": False})
    first, second = (checkpoint.load(tmp_path / name / "checkpoints" / "step-5") for name in ("with", "without"))
    for name, value in first.tensors["model"].items():
        assert torch.equal(value, second.tensors["model"][name])


def test_a_batch_that_does_not_fit_is_named(tmp_path):
    class Hungry(Toy):
        batch_option = "--set batch.max_duration"

        def loss(self, model, batch):
            raise torch.OutOfMemoryError("tried to allocate too much")

    with pytest.raises(UserError, match=r"largest batch .*cut-6-0") as caught:
        train(tmp_path / "run", task=Hungry, train={"steps": 5, "rehearse": True})
    assert "--set batch.max_duration" in caught.value.fix


def test_bf16_trains_on_a_cpu_too(tmp_path):
    train(tmp_path / "run", norm="layer", train={"steps": 5, "precision": "bf16"})
    weights = load_file(tmp_path / "run" / "bundle" / "model.safetensors")
    assert all(value.dtype == torch.float32 for value in weights.values())


def test_settings_of_the_process_are_put_back(tmp_path):
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    train(tmp_path / "run", train={"steps": 2, "warmup": 0, "threads": 1})
    assert before == (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())


def test_seeds_are_those_of_their_place():
    assert len({derive(s, e, b) for s in range(5) for e in range(12) for b in range(12)}) == 5 * 12 * 12
    seed_all(1, 2)
    first = torch.rand(2)
    seed_all(1, 2)
    assert torch.equal(first, torch.rand(2))


def test_metrics_of_a_killed_run_are_read(tmp_path):
    lines = [
        {"kind": "train", "step": 1, "loss": 5.0},
        {"kind": "train", "step": 2, "loss": 4.0},
        {"kind": "train", "step": 2, "loss": 3.0},
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "train", "st')
    assert [(r["step"], r["loss"]) for r in read_metrics(path)["train"]] == [(1, 5.0), (2, 3.0)]


def test_a_picture_of_nothing(tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    draw(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()


def test_a_training_of_one_record_is_seen(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"kind": "train", "step": 7, "loss": 6.0, "lr": 0.1, "grad_norm": 1.0}\n')
    draw(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    pixels = image.imread(tmp_path / "curves.png")[:, :, :3]
    loss = pixels[:, : pixels.shape[1] // 3]
    assert (abs(loss - colors.to_rgb(INK)).max(-1) < 0.01).sum() > 20
