"""`audio-event train`: what it learns, that it is the same again, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from tests.commands.audio_event import made_model
from tests.decode import tones
from voxkit import bundle
from voxkit.commands.audio_event.command import AudioEvent, train
from voxkit.commands.audio_event.model import from_bundle, outputs
from voxkit.config import build, to_yaml
from voxkit.errors import DataError, UserError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tones.write(tmp_path_factory.mktemp("data") / "tones", 6)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(bundle.weights(out))


def test_tones_are_learnt_and_the_same_seed_gives_the_same_weights(data: Path, tmp_path: Path) -> None:
    one, other = (made_model.make(data, tmp_path / name, "train.threads=1") for name in ("one", "other"))
    scores = [json.loads(line) for line in (one / "metrics.jsonl").read_text().splitlines()]
    assert max(line["acc"] for line in scores if "acc" in line) == 100
    first, again = weights(one), weights(other)
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    loaded = bundle.load(one)
    assert outputs(loaded.assets) == sorted(tones.TONES)
    fresh = from_bundle(loaded.config, loaded.assets)
    fresh.load_state_dict(loaded.model.state_dict())
    x = torch.randn(2, fresh.frames, 16)
    assert torch.equal(fresh.eval()(x), loaded.model(x))


def test_a_finished_run_has_nothing_to_do_and_other_data_are_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = made_model.make(data, tmp_path / "exp", "train.epochs=1")
    size = sum(parameter.numel() for parameter in bundle.load(out).model.parameters())
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"{size} parameters, ")
    before = bundle.weights(out).stat().st_mtime_ns
    made_model.make(data, out, "train.epochs=1")
    assert bundle.weights(out).stat().st_mtime_ns == before
    copy = tones.write(tmp_path / "tones", 6)
    soundfile.write(copy / "low" / "0.wav", tones.tone("low", seed=99), tones.RATE)
    with pytest.raises(UserError, match="made with another config"):
        made_model.make(copy, out, "train.epochs=1")


def test_a_longer_run_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    straight = made_model.make(data, tmp_path / "straight", "train.epochs=2", "train.schedule=constant")
    parts = made_model.make(data, tmp_path / "parts", "train.epochs=1", "train.schedule=constant")
    made_model.make(data, parts, "train.epochs=2", "train.schedule=constant")
    first, second = weights(straight), weights(parts)
    assert all(torch.allclose(tensor, second[name], atol=1e-6) for name, tensor in first.items())


def test_several_classes_a_clip(tmp_path: Path) -> None:
    folder = tones.write(tmp_path / "tones", 4)
    out = made_model.make(folder, tmp_path / "exp", "head=multi", "train.epochs=2")
    assert bundle.load(out).config["head"] == "multi"
    assert "auc" in (out / "metrics.jsonl").read_text()


def test_dev_clips_of_an_unknown_class_are_told(data: Path, tmp_path: Path) -> None:
    dev = tones.write(tmp_path / "dev", 1)
    (dev / "low").rename(dev / "whistle")
    with pytest.raises(DataError, match=r"unknown class: 1[\s\S]*whistle: not among the classes"):
        train(train=data, dev=dev, out=tmp_path / "exp", config=made_model.CONF, set_=made_model.SETS)
    assert not (tmp_path / "exp" / "bundle").exists()


def test_all_bad_clips_are_told_at_once(tmp_path: Path) -> None:
    folder = tones.write(tmp_path / "tones", 3)
    soundfile.write(folder / "low" / "short.wav", np.zeros(50), tones.RATE)
    (folder / "mid" / "empty.wav").touch()
    (folder / "high" / "text.wav").write_text("no audio")
    with pytest.raises(DataError) as caught:
        train(train=folder, out=tmp_path / "exp", config=made_model.CONF, set_=made_model.SETS)
    told = str(caught.value)
    assert "3 of 12 items have problems" in told
    for part in ("shorter than a frame: 1", "the file is empty", "cannot decode"):
        assert part in told


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    (tmp_path / "tones" / "low").mkdir(parents=True)
    soundfile.write(tmp_path / "tones" / "low" / "0.wav", tones.tone("low"), tones.RATE)
    with pytest.raises(UserError, match=r"1 class\(es\), 2 are the least"):
        train(train=tmp_path / "tones", out=tmp_path / "exp", config=made_model.CONF, set_=made_model.SETS)


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        ("model.stem=4", "stem 4: must be odd"),
        ("model.channels=[0]", "each is at least 1"),
        ("clip.seconds=0.001", "shorter than a frame"),
        ("augment.speeds=[5]", "between 0.3 and 3"),
        ("augment.snr=[9,3]", "the lower end comes first"),
        ("head=both", "head"),
    ],
)
def test_impossible_settings_are_refused(sets: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        build(AudioEvent, None, [sets])
    assert told in str(caught.value)


def test_what_is_missing_is_told() -> None:
    with pytest.raises(UserError, match="needs --train and --out"):
        train()


def test_print_config_can_be_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(set_=["model.depth=1"], print_config=True)
    (tmp_path / "config.yaml").write_text(capsys.readouterr().out)
    assert to_yaml(build(AudioEvent, tmp_path / "config.yaml")) == (tmp_path / "config.yaml").read_text()
