"""Models of ner in fewer bits, and as integers."""

from pathlib import Path

import pytest

from tests.commands.ner.small_ner import columns, make, sentences
from voxkit import bundle
from voxkit.commands.ner.tagger import Tagger
from voxkit.commands.quantize import afterwards, eight, training
from voxkit.commands.quantize.command import Quantize
from voxkit.commands.quantize.source import Data, open_source
from voxkit.config import build

ROWS = sentences()


@pytest.fixture(scope="module")
def exp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("ner") / "exp")


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return columns(tmp_path_factory.mktemp("dev") / "dev.conll", *ROWS)


def same(exp: Path, other: Path) -> int:
    """How many sentences have the same entities by both."""
    found, again = (Tagger.load(path).tag(ROWS) for path in (exp, other))
    return sum(one.entities == two.entities for one, two in zip(found, again, strict=True))


def test_weights_after_training(exp: Path, dev: Path, tmp_path: Path) -> None:
    settings = build(Quantize, None, ["quantization.bits=4"])
    afterwards.run(open_source(exp), settings, Data(dev=dev), tmp_path / "out", report=True)
    assert same(exp, tmp_path / "out") >= 0.9 * len(ROWS)
    assert bundle.size(tmp_path / "out").weights < 0.3 * bundle.size(exp).weights
    report = (tmp_path / "out" / "report.txt").read_text()
    assert "multiply-adds for one example" in report
    assert "words.weight" in report


def test_training_for_few_bits(exp: Path, dev: Path, tmp_path: Path) -> None:
    settings = build(
        Quantize, None, ["quantization.bits=3", "train.epochs=1", "train.warmup=1", "train.tensorboard=false"]
    )
    training.run(exp, open_source(exp), settings, Data(train=dev, dev=dev), tmp_path / "out", False, report=False)
    assert same(exp, tmp_path / "out") >= 0.8 * len(ROWS)
    assert bundle.load(tmp_path / "out").quantization is not None


def test_integers_in_onnxruntime(exp: Path, dev: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    eight.run(open_source(exp), build(Quantize), Data(calibrate=dev, dev=dev), tmp_path / "out", report=True)
    assert same(exp, tmp_path / "out") >= 0.95 * len(ROWS)
    assert "augmentation" not in capsys.readouterr().err  # ranges are those of whole sentences
    assert "onnxruntime int8" in (tmp_path / "out" / "report.txt").read_text()
