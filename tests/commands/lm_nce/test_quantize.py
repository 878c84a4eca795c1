"""Language models in fewer bits, and as integers."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.commands.lm_nce.small_lm import CLASSES, WORDS, model, save
from voxkit import bundle
from voxkit.commands.lm_nce.command import LmNce
from voxkit.commands.lm_nce.in_use import InUse, first
from voxkit.commands.lm_nce.model import LmModel
from voxkit.commands.lm_nce.scorer import OnnxScorer, open_scorer
from voxkit.commands.lm_nce.vocabulary import FILE
from voxkit.commands.quantize import afterwards, eight, training
from voxkit.commands.quantize.command import Quantize
from voxkit.commands.quantize.source import Data, open_source, own_config
from voxkit.config import build, from_mapping
from voxkit.errors import UserError

KINDS = ("lstm", "transformer")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Sentences of all lengths."""
    path = tmp_path / "dev.txt"
    path.write_text("".join(" ".join(WORDS[n % 7 : n % 7 + n % 11 + 1]) + "\n" for n in range(60)))
    return path


def report(folder: Path) -> dict[str, dict[str, float]]:
    found = json.loads((folder / "report.json").read_text())["scores"]
    return {name: one["value"] if isinstance(one, dict) else one for name, one in found.items()}


@pytest.mark.parametrize("tie", [True, False])
def test_packed_weights(tie: bool, text: Path, tmp_path: Path) -> None:
    exp = save(model(tie=tie), tmp_path / "exp", tie=tie)
    afterwards.run(open_source(exp), build(Quantize), Data(dev=text), tmp_path / "out", report=True)
    loaded = bundle.load(tmp_path / "out").model
    assert isinstance(loaded, LmModel)
    assert (loaded.output.weight is loaded.embedding.weight) == tie
    scores = report(tmp_path / "out")
    assert scores["quantized"] == pytest.approx(scores["float"], rel=0.1)
    assert scores["quantized"] != scores["float"]


def test_tied_tables_are_stored_once(tmp_path: Path) -> None:
    sizes = {}
    for tie in (True, False):
        exp = save(model(tie=tie), tmp_path / f"exp{tie}", tie=tie)
        afterwards.run(open_source(exp), build(Quantize), Data(), tmp_path / f"out{tie}", report=False)
        tensors = load_file(bundle.weights(tmp_path / f"out{tie}"))
        sizes[tie] = sum(one.numel() for one in tensors.values() if one.dtype == torch.uint8)
    assert sizes[False] - sizes[True] == (len(WORDS) + 3) * 8


@pytest.mark.parametrize("kind", KINDS)
def test_integers_in_onnxruntime(kind: str, text: Path, tmp_path: Path) -> None:
    exp = save(model(kind), tmp_path / "exp", kind)
    eight.run(open_source(exp), build(Quantize), Data(calibrate=text), tmp_path / "out", report=False)
    used = InUse(open_source(exp), text)
    full, small = (used.score(bundle.load(path).model) for path in (exp, tmp_path / "out"))
    assert small.value == pytest.approx(full.value, rel=0.1)
    scorer, wanted = open_scorer(tmp_path / "out"), open_scorer(exp)
    assert isinstance(scorer, OnnxScorer)
    scale = wanted.weight.abs().amax(1) / 127
    assert ((scorer.weight - wanted.weight).abs().amax(1) <= 0.51 * scale).all()  # each row has levels of its own


def test_an_int8_graph_is_small(text: Path, tmp_path: Path) -> None:
    exp = save(model(width=64), tmp_path / "exp", width=64)
    eight.run(open_source(exp), build(Quantize), Data(calibrate=text), tmp_path / "out", report=False)
    assert bundle.size(tmp_path / "out").weights < 0.35 * bundle.size(exp).weights


@pytest.mark.parametrize("kind", KINDS)
def test_calibration_steps_are_those_of_sentences(kind: str, text: Path, tmp_path: Path) -> None:
    exp = save(model(kind), tmp_path / "exp", kind)
    used = InUse(open_source(exp), text)
    pairs = {
        (int(before), int(after))
        for one in used.sentences
        for before, after in zip([1, *one.tokens[:-1]], one.tokens, strict=True)
    }
    seen = set()
    for words, *_, asked, parents in used.calibration():
        assert parents.tolist() == list(range(len(words)))
        seen |= set(zip(words.tolist(), asked.tolist(), strict=True))
    assert seen == pairs


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_hypothesis_of_a_call(kind: str, text: Path, tmp_path: Path) -> None:
    loaded = open_source(save(model(kind), tmp_path / "exp", kind))
    call = next(InUse(loaded, text).calibration())
    with torch.inference_mode():
        some, whole = loaded.model(*first(call)), loaded.model(*call)
    for one, other in zip(some, whole, strict=True):
        torch.testing.assert_close(one, other[:1])


def test_a_graph_with_other_words_is_refused(text: Path, tmp_path: Path) -> None:
    exp = save(model(), tmp_path / "exp")
    eight.run(open_source(exp), build(Quantize), Data(calibrate=text), tmp_path / "out", report=False)
    file = tmp_path / "out" / "bundle" / "assets" / FILE
    file.write_text(file.read_text().replace("alice", "zelda"))
    with pytest.raises(UserError, match="that of another model"):
        open_scorer(tmp_path / "out")


@pytest.mark.parametrize(("kind", "tie"), [("lstm", True), ("lstm", False), ("transformer", True)])
def test_trained_for_few_bits(kind: str, tie: bool, text: Path, tmp_path: Path) -> None:
    exp = save(model(kind, tie=tie), tmp_path / "exp", kind, "softmax", tie=tie)
    more = ["train.epochs=10", "train.lr=0.01", "train.tensorboard=false", "train.score_every=10"]
    settings = build(Quantize, None, ["quantization.bits=2", *more])
    data = Data(train=text, dev=text)
    training.run(exp, open_source(exp), settings, data, tmp_path / "out", from_scratch=False, report=True)
    found = report(tmp_path / "out")
    afterwards.run(open_source(exp), settings, data, tmp_path / "after", report=True)
    assert found["quantized"] < 0.8 * report(tmp_path / "after")["quantized"]
    again = bundle.load(tmp_path / "out")
    assert InUse(again, text).score(again.model).value == pytest.approx(found["quantized"], rel=1e-4)
    tensors = load_file(bundle.weights(tmp_path / "out"))
    assert any(one.dtype == torch.uint8 for one in tensors.values())
    assert (tmp_path / "out" / "bundle" / "assets" / FILE).read_bytes() == (
        exp / "bundle" / "assets" / FILE
    ).read_bytes()


def test_training_for_few_bits_goes_on_with_classes(text: Path, tmp_path: Path) -> None:
    made = model(classes=CLASSES)
    exp = save(made, tmp_path / "exp")
    with pytest.raises(UserError, match="its classes are learnt from the phrases in None, which is gone"):
        own_config(open_source(exp), text, text)
    phrases = tmp_path / "names.tsv"
    phrases.write_text("contact\talice\n")
    config = from_mapping(LmNce, {"model": made_shape(), "data": {"classes": str(phrases)}}, "test")
    own = own_config(open_source(save_with(made, config, tmp_path / "again")), text, text)
    assert own.data.classes == str(phrases)  # type: ignore[attr-defined]


def made_shape() -> dict[str, object]:
    return {"kind": "lstm", "width": 8, "heads": 2, "layers": 2}


def save_with(made: LmModel, config: LmNce, path: Path) -> Path:
    path.mkdir()
    bundle.save(path / "bundle", "lm_nce", config, made.state_dict(), made.vocabulary.save(path))
    return path


def test_training_for_few_bits_starts_from_the_model(text: Path, tmp_path: Path) -> None:
    exp = save(model(), tmp_path / "exp")
    with pytest.raises(UserError, match="what it knows comes from the model"):
        training.run(
            exp, open_source(exp), build(Quantize), Data(train=text), tmp_path / "out", from_scratch=True, report=False
        )
