"""`voxkit distill`, for classifiers and acoustic models: what it trains, resumes and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.commands.quantize.test_quantize import write_tones
from tests.commands.train_am.test_initial import train as train_acoustic
from tests.commands.train_am.test_initial import write_corpus, write_lang
from voxkit import bundle
from voxkit.commands.audio_event.command import train as train_audio_event
from voxkit.commands.distill.command import distill
from voxkit.commands.distill.settings import assemble
from voxkit.commands.distill.task import make
from voxkit.errors import UserError

ROOT = Path(__file__).parents[3]
TINY = ROOT / "conf" / "audio_event" / "tiny.yaml"
SHORT = ["clip.seconds=0.5", "train.epochs=1", "train.tensorboard=false", "augment.mix=0"]
STUDENT = ["model.channels=[3]", "train.tensorboard=false", "train.epochs=2", "augment.mix=0"]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tones(tmp_path_factory.mktemp("tones") / "sounds")


@pytest.fixture(scope="module")
def teacher(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "exp"
    train_audio_event(train=sounds, out=out, config=TINY, set_=SHORT)
    return out


def run(**given: Any) -> None:
    sets = given.pop("sets", [])
    distill(**{"config": None, "set_": [*STUDENT, *sets], **given})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "bundle" / "model.safetensors")


def test_a_student_is_a_bundle_of_the_teachers_command(teacher: Path, sounds: Path, tmp_path: Path) -> None:
    run(teacher=teacher, train=sounds, dev=sounds, out=tmp_path / "student", hard_weight=0.0)
    found = bundle.load(tmp_path / "student")
    assert found.system == "audio_event"
    assert found.config["model"]["channels"] == [3]
    assert found.config["clip"]["seconds"] == 0.5, "what is heard is inherited from the teacher"
    assert found.config["features"]["num_mels"] == 16
    assert (found.assets / "classes.txt").read_text().split() == ["high", "low", "mid"]
    assert found.model(torch.randn(2, 25, 16)).shape == (2, 3)


def test_fewer_bits_from_a_trained_student(teacher: Path, sounds: Path, tmp_path: Path) -> None:
    run(teacher=teacher, train=sounds, out=tmp_path / "student")
    run(teacher=teacher, train=sounds, out=tmp_path / "tiny", init=tmp_path / "student", bits=3, per="channel")
    small, full = bundle.load(tmp_path / "tiny"), bundle.load(tmp_path / "student")
    assert small.quantization is not None
    assert small.quantization.bits == 3
    for name, weight in small.model.named_parameters():
        if weight.ndim >= 2:
            assert all(len(channel.unique()) <= 8 for channel in weight), name
    assert bundle.size(tmp_path / "tiny").weights < bundle.size(tmp_path / "student").weights / 2
    assert any(not torch.equal(a, b) for a, b in zip(small.model.parameters(), full.model.parameters(), strict=True))


def test_answers_are_kept_and_change_nothing(teacher: Path, sounds: Path, tmp_path: Path) -> None:
    views = ["augment.views=2", "train.epochs=4"]
    run(teacher=teacher, train=sounds, out=tmp_path / "plain", sets=views)
    run(teacher=teacher, train=sounds, out=tmp_path / "first", cache=tmp_path / "cache", sets=views)
    assert sorted(path.name for path in (tmp_path / "cache").glob("view-*")) == [
        "view-0000.safetensors",
        "view-0001.safetensors",
    ]
    run(teacher=teacher, train=sounds, out=tmp_path / "second", cache=tmp_path / "cache", sets=views)
    for name, weight in weights(tmp_path / "plain").items():
        assert torch.equal(weight, weights(tmp_path / "first")[name])
        assert torch.equal(weight, weights(tmp_path / "second")[name])


def test_the_answers_are_the_teachers(teacher: Path, sounds: Path, tmp_path: Path) -> None:
    settings = assemble(teacher, None, [*STUDENT, "augment.views=1"], _told(tmp_path), {"train": sounds}, 0)
    (tmp_path / "assets").mkdir()
    task = make(settings, tmp_path / "assets")
    student = task.model()
    for i in range(len(task.batches("train", 0))):
        task.loss(student, task.batches("train", 0)[i])
    (batch,) = [task.batches("train", 0)[i] for i in range(1)]
    kept = load_file(tmp_path / "cache" / "view-0000.safetensors")
    with torch.no_grad():
        says = bundle.load(teacher).model(batch.batch.features)
    for row, name in enumerate(batch.ids):
        assert torch.allclose(kept[name][0], says[row], atol=1e-5)


def _told(folder: Path, **teaching: Any) -> dict[str, Any]:
    return {"teaching": {"cache": str(folder / "cache"), **teaching}, "quantization": {}, "init": None}


def test_a_finished_run_is_left_alone_and_another_teaching_is_refused(
    teacher: Path, sounds: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = {"teacher": teacher, "train": sounds, "out": tmp_path / "student"}
    run(**given)
    capfd.readouterr()
    run(**given)
    assert "nothing to do" in capfd.readouterr().err
    with pytest.raises(UserError, match=r"teaching\.temperature: 2\.0 -> 4\.0"):
        run(**given, temperature=4.0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"out": None}, "distill needs --out"),
        ({"train": None}, "distill needs --train"),
        ({"teacher": None}, "distill needs --teacher"),
        ({"temperature": 0.0}, "temperature"),
        ({"hard_weight": 1.5}, "hard_weight"),
        ({"per": "channel"}, "quantized weights"),
        ({"bits": 3, "per": "layer"}, "quantization.per"),
        ({"cache": "cache"}, "every epoch has new inputs"),
        ({"cache": "student/cache"}, "lies in --out"),
        ({"sets": ["features.num_mels=20"]}, "features.num_mels: 16 -> 20"),
        ({"sets": ["head=multi"]}, "head: single -> multi"),
        ({"sets": ["model.chanels=[3]"]}, "model.channels"),
    ],
)
def test_mistakes_are_told(teacher: Path, sounds: Path, tmp_path: Path, given: dict[str, Any], told: str) -> None:
    if "cache" in given:
        given = {"cache": tmp_path / given["cache"]}
    with pytest.raises(UserError) as refused:
        run(**{"teacher": teacher, "train": sounds, "out": tmp_path / "student", **given})
    assert told in str(refused.value)
    assert not (tmp_path / "student").exists()


def test_other_classes_than_the_teachers_are_named(teacher: Path, tmp_path: Path) -> None:
    few = write_tones(tmp_path / "few", ("low", "mid"))
    with pytest.raises(UserError, match="only the teacher knows high"):
        run(teacher=teacher, train=few, out=tmp_path / "student")


def test_what_is_no_teacher_is_told(teacher: Path, sounds: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no trained model"):
        run(teacher=tmp_path, train=sounds, out=tmp_path / "student")


def test_the_config_can_be_seen_first_and_taken_back(
    teacher: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(teacher=teacher, train=sounds, print_config=True, bits=4)
    shown = capsys.readouterr().out
    assert '# quantization: {"bits": 4' in shown
    assert yaml.safe_load(shown)["model"]["channels"] == [3]
    file = tmp_path / "student.yaml"
    file.write_text(shown, encoding="utf-8")
    distill(teacher=teacher, config=file, print_config=True, bits=4)
    assert capsys.readouterr().out == shown


@pytest.fixture(scope="module")
def acoustic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of tones, a lang folder, and an acoustic model `am`."""
    folder = tmp_path_factory.mktemp("acoustic")
    write_corpus(folder, "loud", 0.3, 8)
    write_lang(folder / "lang", "LMH")
    train_acoustic(folder, "am", "loud", "augment.speeds=[1.0]", "augment.volume=0", steps=4)
    return folder


def run_acoustic(place: Path, out: Path, **given: Any) -> None:
    sets = ["augment.speeds=[1.0]", "augment.volume=0", "train.steps=4", "train.warmup=1", "train.tensorboard=false"]
    tiny = ROOT / "conf" / "train_am" / "tiny.yaml"
    sets += given.pop("sets", [])
    distill(teacher=place / "am", train=place / "loud.jsonl.gz", out=out, config=tiny, set_=sets, **given)


def test_an_acoustic_model_learns_frame_by_frame(acoustic: Path, tmp_path: Path) -> None:
    run_acoustic(acoustic, tmp_path / "plain", hard_weight=0.0, temperature=1.0)
    run_acoustic(acoustic, tmp_path / "kept", hard_weight=0.0, temperature=1.0, cache=tmp_path / "cache")
    student = bundle.load(tmp_path / "plain")
    assert student.system == "train_am"
    assert student.config["data"]["lang"] == str(acoustic / "lang"), "the units are the teacher's"
    for name, weight in weights(tmp_path / "plain").items():
        assert torch.equal(weight, weights(tmp_path / "kept")[name])
    kept = load_file(tmp_path / "cache" / "view-0000.safetensors")
    assert len(kept) == 8
    assert {row.shape[1] for row in kept.values()} == {4}


def test_another_frame_rate_is_told(acoustic: Path, tmp_path: Path) -> None:
    taught = bundle.load(acoustic / "am").config["model"]["subsampling"]
    with pytest.raises(UserError, match="frame rate"):
        run_acoustic(acoustic, tmp_path / "student", sets=[f"model.subsampling={taught + 1}"])
