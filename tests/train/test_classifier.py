"""What the training loop gets of clips: the same batches again, and the losses of torch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.decode import tones
from voxkit.commands.audio_event.command import AudioEvent
from voxkit.commands.audio_event.task import make
from voxkit.config import build
from voxkit.data.clip_augment import windows
from voxkit.data.clips import CLASSES
from voxkit.decode.classifier import Classifier
from voxkit.errors import DataError
from voxkit.nn.counting import count
from voxkit.train.classifier import Batch, ClassifierTask, Memory, identified

SETS = [f"features.sampling_rate={tones.RATE}", f"clip.seconds={tones.SECONDS}", "model.channels=[4]", "batch=4"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tones.write(tmp_path_factory.mktemp("data") / "tones", 3)


def task(data: Path, folder: Path, *sets: str) -> ClassifierTask:
    config = build(AudioEvent, None, [*SETS, f"data.train={data}", *sets])
    return make(config, folder)


def test_an_example_is_a_function_of_seed_epoch_and_clip(data: Path, tmp_path: Path) -> None:
    one, other = task(data, tmp_path, "augment.mix=0.5"), task(data, tmp_path, "augment.mix=0.5", "data.memory=0")
    other.example(5, 9)  # what was made before does not matter
    for index, epoch in ((0, 0), (0, 1), (5, 3)):
        for left, right in zip(one.example(index, epoch), other.example(index, epoch), strict=True):
            assert torch.equal(left, right)
    assert not torch.equal(one.example(0, 0)[0], one.example(0, 1)[0])
    assert not torch.equal(one.example(0, 0)[0], one.example(1, 0)[0])
    seeded = task(data, tmp_path, "augment.mix=0.5", "augment.seed=1")
    assert not torch.equal(one.example(0, 0)[0], seeded.example(0, 0)[0])


def test_views_come_again(data: Path, tmp_path: Path) -> None:
    for memory in ("2000", "0"):
        one = task(data, tmp_path, "augment.views=2", f"data.memory={memory}")
        assert [one.view(epoch) for epoch in range(4)] == [0, 1, 0, 1]
        first, second, third = (one.example(0, epoch)[0] for epoch in range(3))
        assert torch.equal(first, third)
        assert not torch.equal(first, second)
    endless = task(data, tmp_path)
    assert endless.view(3) is None


def test_batches_hold_each_clip_once(data: Path, tmp_path: Path) -> None:
    one = task(data, tmp_path)
    batches = one.batches("train", 0)
    ids = [id for number in range(len(batches)) for id in batches.ids(number)]
    assert sorted(ids) == sorted(clip.id for clip in one.clips)
    assert len(batches.ids(batches.worst())) == 4
    assert ids != [id for number in range(len(batches)) for id in one.batches("train", 1).ids(number)]
    again = one.batches("train", 0)[1]
    assert torch.equal(again.features, batches[1].features)
    assert again.features.shape[:1] == again.targets.shape[:1]
    assert again.targets.shape[1] == 3


def test_calibration_hears_clips_as_inference_does(data: Path, tmp_path: Path) -> None:
    one = task(data, tmp_path, "augment.mix=1", "augment.noise=1")
    classifier = Classifier(nn.Identity(), "single", one.classes, one.config.clip, one.config.features)
    calls = list(one.calibration())
    assert sum(len(features) for (features,) in calls) == len(one.clips)
    found = [row for (features,) in calls for row in features]
    for index in range(len(one.clips)):
        (part,) = windows(one.samples(index), classifier.length, classifier.clip)
        assert any(torch.equal(row, classifier.extractor(part)) for row in found)


def test_the_network_is_counted(data: Path, tmp_path: Path) -> None:
    one = task(data, tmp_path)
    model, frames = one.model(), one.config.features.num_frames(one.length)
    counts = count(model, torch.zeros(1, frames, one.extractor.dim))
    expected = f"{counts.parameters} parameters, {counts.multiply_adds} multiply-adds for a window of 0.5 s"
    assert one.account() == expected


def test_without_mixing_targets_are_the_labels(data: Path, tmp_path: Path) -> None:
    one = task(data, tmp_path, "augment.mix=0")
    for index, clip in enumerate(one.clips):
        wanted = [float(name in clip.labels) for name in one.classes]
        assert one.example(index, 0)[1].tolist() == wanted
    mixed = task(data, tmp_path, "augment.mix=1")
    targets = torch.stack([mixed.example(index, 0)[1] for index in range(len(mixed.clips))])
    torch.testing.assert_close(targets.sum(1), torch.ones(len(targets)))
    assert (targets.amax(1) < 1).any()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_losses_are_those_of_torch(data: Path, tmp_path: Path, smoothing: float) -> None:
    torch.manual_seed(0)
    logits, classes = 3 * torch.randn(7, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    batch = Batch(torch.zeros(7, 1, 1), nn.functional.one_hot(classes, 3).float())
    single = task(data, tmp_path, f"label_smoothing={smoothing}").criterion(logits, batch)
    wanted = nn.functional.cross_entropy(logits, classes, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(single.total, wanted)
    assert single.weight == 7
    multi = task(data, tmp_path, "head=multi", f"label_smoothing={smoothing}").criterion(logits, batch)
    targets = (1 - smoothing) * batch.targets + smoothing / 2
    torch.testing.assert_close(
        multi.total / multi.weight, nn.functional.binary_cross_entropy_with_logits(logits, targets)
    )


def test_loss_is_the_criterion_of_the_answers(data: Path, tmp_path: Path) -> None:
    one = task(data, tmp_path)
    batches = one.batches("train", 0)
    model, batch = one.model().eval(), batches[batches.worst()]
    answers = one.answers(model, batch)
    torch.testing.assert_close(one.loss(model, batch).total, one.criterion(answers, batch).total)
    decisions = one.decisions(answers, batch)
    assert (decisions.kind, decisions.weights.tolist(), decisions.counts.tolist()) == ("single", [1] * 4, [1] * 4)


def test_models_normalise_with_the_statistics_of_training(data: Path, tmp_path: Path) -> None:
    one = task(data, tmp_path)
    model = one.model()
    features = torch.cat([one.extractor(one.samples(index)) for index in range(len(one.clips))])
    torch.testing.assert_close(model.mean, features.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model.deviation, features.std(0, correction=0), rtol=1e-3, atol=1e-3)
    assert (tmp_path / CLASSES).read_text().split() == one.classes == one.names()


def test_scores_of_heads(data: Path, tmp_path: Path) -> None:
    for head, name in (("single", "ERR"), ("multi", "100-AUC")):
        one = task(data, tmp_path, f"head={head}")
        score = one.score(one.model().eval())
        assert (score.name, len(score.lines)) == (name, 1)
        assert 0 <= score.value <= 100


def test_training_scores_draw_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a bootstrap that nobody looks at")

    monkeypatch.setattr("voxkit.metrics.classify.draws_with_replacement", refused)
    for head in ("single", "multi"):
        one = task(data, tmp_path, f"head={head}", f"data.dev={data}")
        (line,) = one.score(one.model().eval()).lines
        assert " to " not in line


def test_clips_that_cannot_be_decoded_are_left_out_at_once(tmp_path: Path) -> None:
    folder = tones.write(tmp_path / "tones", 3)
    soundfile.write(folder / "mid" / "1.wav", np.full(4000, np.inf), tones.RATE, subtype="FLOAT")
    lists = tmp_path / "lists"
    lists.mkdir()
    with pytest.raises(DataError, match="NaN audio: 1"):
        task(folder, lists)
    for dev in ([], [f"data.dev={folder}"]):
        one = task(folder, lists, "data.max_bad=0.2", *dev)
        assert len(one.clips) == len(one.dev) == 8
        assert len([one.example(index, 0) for index in range(8)]) == 8
        assert 0 <= one.score(one.model().eval()).value <= 100
    assert "mid/1" in (lists / "train_audio.jsonl").read_text()
    assert "mid/1" in (lists / "dev_audio.jsonl").read_text()


def test_inputs_are_known_by_their_content(data: Path, tmp_path: Path) -> None:
    config = build(AudioEvent, None, [f"data.train={data}"]).data
    found = identified(config).digests
    assert len(found) == 9
    assert identified(config).digests == found


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40)), max_size=40), st.integers(0, 200))
def test_memory_keeps_to_its_size_and_forgets_nothing(calls: list[tuple[int, int]], size: int) -> None:
    memory = Memory(4 * size)
    made: list[int] = []
    sizes: dict[int, int] = {}
    for key, _ in calls:
        length = sizes.setdefault(key, 1 + 7 * key)

        def make(key: int = key, length: int = length) -> Any:
            made.append(key)
            return np.full(length, key, np.float32)

        found = memory.get(key, make)
        assert found.tolist() == [key] * length
    kept = [key for key in sizes if memory.get(key, lambda: np.zeros(10**6, np.float32))[0] == key and key]
    assert 4 * sum(sizes[key] for key in kept) <= 4 * size
    assert all(made.count(key) == 1 for key in kept)


def test_processes_that_load_data_keep_nothing_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, made = Memory(1000), [0, 0]

    def make(which: int) -> Any:
        made[which] += 1
        return np.zeros(2, np.float32)

    memory.get("before", lambda: make(0))
    monkeypatch.setattr("voxkit.train.classifier.get_worker_info", object)
    for _ in range(3):
        memory.get("before", lambda: make(0))
        memory.get("since", lambda: make(1))
    assert made == [1, 3]


def test_memory_counts_all_of_a_tuple() -> None:
    memory = Memory(10)
    pair = (torch.zeros(2), torch.zeros(1))
    memory.get("pair", lambda: pair)
    replaced: tuple[Tensor, Tensor] = memory.get("pair", lambda: (torch.ones(2), torch.ones(1)))
    assert replaced[0].sum() == 2
