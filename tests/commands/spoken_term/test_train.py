"""`spoken-term train`: networks by config, what is refused, and a model of tones."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from voxkit import bundle
from voxkit.commands.spoken_term.command import SpokenTerm, train
from voxkit.commands.spoken_term.model import build as build_model
from voxkit.commands.spoken_term.model import outputs
from voxkit.config import build, to_yaml
from voxkit.errors import UserError
from voxkit.nn.clip_classifier import ClipClassifier
from voxkit.nn.counting import count

CONF = Path(__file__).parents[3] / "conf" / "spoken_term"
TONES = {"low": 300.0, "mid": 1000.0, "high": 3000.0}


def model(*sets: str, config: Path | None = None, classes: int = 3) -> ClipClassifier:
    torch.manual_seed(0)
    return build_model(build(SpokenTerm, config, sets), classes).eval()


def write_tones(folder: Path, count: int) -> Path:
    """Sub-folders of short, noisy tones, one for each word."""
    rng = np.random.default_rng(0)
    for name, frequency in TONES.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            tone = 0.3 * np.sin(2 * np.pi * frequency * np.arange(8000) / 16000)
            soundfile.write(folder / name / f"{number}.wav", tone + 0.003 * rng.standard_normal(8000), 16000)
    return folder


def test_one_band_is_the_same_network_however_it_is_split_and_joined() -> None:
    x = torch.randn(2, 100, 40)
    plain = model()
    for split, concatenate, overlap in itertools.product(("first", "all"), ("channel", "frequency"), (0, 50)):
        other = model(f"model.split={split}", f"model.concatenate={concatenate}", f"model.overlap={overlap}")
        assert {name: value.shape for name, value in plain.state_dict().items()} == {
            name: value.shape for name, value in other.state_dict().items()
        }
        assert torch.equal(plain(x), other(x))


@pytest.mark.parametrize(
    ("sets", "shares"),
    [
        (("model.bands=2",), (2, 2, 2)),
        (("model.bands=2", "model.split=all"), (2, 4, 4)),
        (("model.bands=4", "model.concatenate=frequency"), (4, 4, 1)),
        (("model.bands=4", "model.band_channels=[8]", "model.concatenate=frequency"), (2, 2, 1)),
    ],
)
def test_bands_take_their_share_of_the_multiply_adds(sets: tuple[str, ...], shares: tuple[int, ...]) -> None:
    x = torch.zeros(1, 100, 40)
    whole, parts = (
        [layer.multiply_adds for layer in count(model(*some, "model.pools=[[2,2],[2,1],[2,1]]"), x).by_layer
         if layer.kind == "Conv2d"]
        for some in ((), sets)
    )  # fmt: skip
    assert [a / b for a, b in zip(whole, parts, strict=True)] == list(shares)


def test_bands_cover_the_features_and_share_what_they_should() -> None:
    for bands, overlap in itertools.product(range(1, 8), range(5)):
        channels = [f"model.channels=[{4 * bands},8]", "model.kernels=[[3,3]]", "model.strides=[[2,2]]"]
        given = [f"model.bands={bands}", f"model.overlap={overlap}", "model.concatenate=frequency"]
        config = build(SpokenTerm, None, [*given, *channels])
        edges = config.model.edges(40)
        assert (edges[0][0], edges[-1][1], len(edges)) == (0, 40, bands)
        assert all(before[1] - after[0] == overlap for before, after in itertools.pairwise(edges))
        widths = [end - begin for begin, end in edges]
        assert max(widths) - min(widths) <= 1
        assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (("model.bands=3",), "cannot be shared out equally to 3 bands"),
        (("model.bands=3", "model.band_channels=[6]"), "40 features make bands of 14 and 13"),
        (("model.bands=2", "model.overlap=40"), "2 bands of 40 features would be 40 wide"),
        (("model.bands=64", "model.band_channels=[1]"), "64 bands of 40 features would be 0 wide"),
        (("model.bands=2", "model.band_channels=[8,8]"), "has 2 entries, and 1 convolutions are apart"),
        (("model.kernels=[[3,3],[3,3]]",), "kernels: has 2 entries; 3 convolutions take one each, or one for all"),
        (("model.pools=[[0,1]]",), "model.pools"),
        (("model.hidden=[8,8,8]",), "model.hidden"),
        (("clip.seconds=0.01",), "shorter than a frame"),
    ],
)
def test_impossible_networks_are_refused_in_words(sets: tuple[str, ...], told: str) -> None:
    with pytest.raises(UserError, match=r".") as caught:
        build(SpokenTerm, None, sets)
    assert told in str(caught.value)


def test_one_setting_of_a_section_leaves_the_others_at_what_suits_words() -> None:
    config = build(
        SpokenTerm,
        None,
        [
            "features.sampling_rate=8000",
            "augment.volume=3",
            "spec_augment.time_width=5",
            "clip.fill=repeat",
            "train.lr=1",
        ],
    )
    assert (config.features.num_mels, config.augment.shift, config.augment.wrap) == (40, 0.1, False)
    assert (config.spec_augment.frequency_width, config.clip.seconds) == (6, 1.0)
    assert build(SpokenTerm, None, [f"train.epochs={config.train.epochs}", "train.lr=1"]).train == config.train


def test_print_config_can_be_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(set_=["model.bands=2", "model.kernels=[[5,3]]"], print_config=True)
    file = tmp_path / "config.yaml"
    file.write_text(capsys.readouterr().out)
    config = build(SpokenTerm, file)
    assert config == build(SpokenTerm, None, ["model.bands=2", "model.kernels=[[5,3]]"])
    assert to_yaml(config) == file.read_text()


def test_training_learns_tones_and_its_bundle_is_the_same_network(tmp_path: Path) -> None:
    words, out = write_tones(tmp_path / "words", 8), tmp_path / "exp"
    sets = ["model.bands=2", "augment.noise=0", "train.epochs=8", "train.lr=0.01"]
    train(train=words, out=out, seed=1, config=CONF / "tiny.yaml", set_=sets)
    loaded = bundle.load(out)
    assert loaded.system == "spoken_term"
    assert outputs(loaded.assets) == sorted(TONES)
    assert '"acc": 100.0' in (out / "metrics.jsonl").read_text()
    fresh = model("model.bands=2", config=CONF / "tiny.yaml")
    fresh.load_state_dict(loaded.model.state_dict())
    x = torch.randn(2, 100, 16)
    assert torch.equal(fresh(x), loaded.model(x))


def test_what_is_missing_is_told() -> None:
    with pytest.raises(UserError, match="needs --train and --out"):
        train()
