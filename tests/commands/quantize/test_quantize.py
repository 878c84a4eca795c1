"""`voxkit quantize` on small models of several rooms: what it writes, measures and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from tests.commands.g2p import small_model
from tests.commands.lm_nce import small_lm
from tests.commands.train_am.test_initial import train as train_acoustic
from tests.commands.train_am.test_initial import write_corpus, write_lang
from voxkit import bundle
from voxkit.bundle import Sizes
from voxkit.commands.audio_event.command import export
from voxkit.commands.audio_event.command import train as train_audio_event
from voxkit.commands.decode.command import Decode, decode
from voxkit.commands.decode.recognise import Recogniser
from voxkit.commands.g2p.command import apply as apply_g2p
from voxkit.commands.quantize import report
from voxkit.commands.quantize.command import quantize
from voxkit.commands.quantize.layers import Row
from voxkit.commands.quantize.report import Report
from voxkit.data.clips import load_classes
from voxkit.data.manifests import open_cuts
from voxkit.errors import UserError
from voxkit.nn.counting import count
from voxkit.packed import Quantization, dequantize
from voxkit.packed import quantize as quantized_weight
from voxkit.train import checkpoint
from voxkit.train.task import Score

ROOT = Path(__file__).parents[3]
TINY = ROOT / "conf" / "quantize" / "tiny.yaml"
TONES = {"low": 300.0, "mid": 1000.0, "high": 3000.0}
SHORT = ["clip.seconds=0.5", "train.epochs=15", "train.tensorboard=false", "augment.mix=0", "train.threads=1"]


def write_tones(folder: Path, names: tuple[str, ...] = ("low", "mid", "high"), count: int = 6, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            tone = 0.3 * np.sin(2 * np.pi * TONES[name] * rng.uniform(0.8, 1.2) * np.arange(8000) / 16000)
            soundfile.write(folder / name / f"{number}.wav", tone + 0.003 * rng.standard_normal(8000), 16000)
    return folder


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tones(tmp_path_factory.mktemp("tones") / "sounds")


@pytest.fixture(scope="module")
def listener(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("listener") / "exp"
    train_audio_event(train=sounds, out=out, config=ROOT / "conf" / "audio_event" / "tiny.yaml", set_=SHORT)
    return out


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("g2p")
    small_model.make(folder / "exp" / "bundle")
    rows = [
        f"{word}\t{' '.join(small_model.spoken(word, language))}\t{language}"
        for language in ("one", "two")
        for word in small_model.words(language)
    ]
    (folder / "train.tsv").write_text("\n".join(rows) + "\n")
    (folder / "dev.tsv").write_text("\n".join(rows[::40]) + "\n")
    return folder


def run(model: Path | None, **given: Any) -> None:
    quantize(model, **given)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_weights_are_rounded_and_the_file_is_small(listener: Path, tmp_path: Path, capsys: Any) -> None:
    run(listener, out=tmp_path / "q", bits=3, per="channel")
    full, small = bundle.load(listener), bundle.load(tmp_path / "q")
    assert small.quantization == Quantization(bits=3, per="channel")
    assert (small.system, small.config) == (full.system, full.config)
    assert load_classes(small.assets) == ["high", "low", "mid"]
    for name, weight in full.model.named_parameters():
        if weight.ndim >= 2:
            expected = dequantize(quantized_weight(weight, small.quantization))
            assert torch.equal(small.model.get_parameter(name), expected)
    assert bundle.size(tmp_path / "q").weights < bundle.size(listener).weights / 2
    out = capsys.readouterr().out.splitlines()
    sizes = bundle.size(tmp_path / "q"), bundle.size(listener)
    assert out[-1] == str(tmp_path / "q" / "bundle")
    assert out[-2].startswith(f"%SIZE {100 * sizes[0].weights / sizes[1].weights:.2f} [ {sizes[0].weights} / ")


def test_again_there_is_nothing_to_do_and_other_settings_are_refused(
    listener: Path, tmp_path: Path, capsys: Any
) -> None:
    run(listener, out=tmp_path / "q", bits=4)
    before = content(tmp_path / "q")
    run(listener, out=tmp_path / "q", bits=4)
    assert "nothing to do" in capsys.readouterr().err
    assert content(tmp_path / "q") == before
    with pytest.raises(UserError, match=r"quantization\.bits: 4 -> 5"):
        run(listener, out=tmp_path / "q", bits=5)


def test_settings_come_from_the_file_too(listener: Path, tmp_path: Path) -> None:
    sets = ["quantization.rest=float32", 'quantization.keep=["*head*", "*last*", "*output*"]']
    with pytest.raises(UserError, match="no weight of the model is called"):
        run(listener, out=tmp_path / "q", config=TINY, set_=sets)
    run(listener, out=tmp_path / "q", config=TINY, set_=sets[:1], symmetric=True)
    assert bundle.load(tmp_path / "q").quantization == Quantization(bits=4, symmetric=True, rest="float32")


def test_a_dry_run_shows_the_layers_and_writes_nothing(listener: Path, tmp_path: Path, capsys: Any) -> None:
    run(listener, bits=4, dry_run=True)
    weights, _, counts = capsys.readouterr().out.partition("\n\n")
    lines, full = weights.splitlines(), bundle.load(listener)
    expected = count(full.model, torch.zeros(1, full.model.frames, len(full.model.mean)))
    assert counts.split()[-2:] == [f"{expected.parameters:,}", f"{expected.multiply_adds:,}"]
    names = [name for name, weight in full.model.named_parameters() if weight.ndim >= 2]
    assert [line.split()[0] for line in lines] == ["weight", *names, "(others)", "total"]
    floats = sum(t.numel() * t.element_size() for t in full.model.state_dict().values())
    assert lines[-1].split()[1] == str(floats)
    run(listener, bits=4, out=tmp_path / "q")
    stored = load_file(tmp_path / "q" / "bundle" / "model.safetensors")
    assert lines[-1].split()[2] == str(sum(t.numel() * t.element_size() for t in stored.values()))
    run(listener, bits=4, out=tmp_path / "not", dry_run=True)
    assert not (tmp_path / "not").exists()


def test_told_sizes_are_those_of_the_file_where_half_precision_is_too_coarse(listener: Path, tmp_path: Path) -> None:
    full = bundle.load(listener)
    state = {name: tensor.clone() for name, tensor in full.model.state_dict().items()}
    name = next(name for name, weight in full.model.named_parameters() if weight.ndim >= 2)
    state[name] *= 1e-7
    bundle.save(tmp_path / "exp", full.system, full.config, state, {p.name: p for p in full.assets.iterdir()})
    run(tmp_path / "exp", bits=4, per="channel", out=tmp_path / "q", report=True)
    told = json.loads((tmp_path / "q" / "report.json").read_text())["layers"]
    stored = load_file(tmp_path / "q" / "bundle" / "model.safetensors")
    assert sum(row["after"] for row in told) == sum(t.numel() * t.element_size() for t in stored.values())


def test_the_report_measures_each_layer(listener: Path, sounds: Path, tmp_path: Path) -> None:
    run(listener, out=tmp_path / "q", bits=2, report=True, dev=sounds)
    told = json.loads((tmp_path / "q" / "report.json").read_text())
    names = [name for name, weight in bundle.load(listener).model.named_parameters() if weight.ndim >= 2]
    assert [row["name"] for row in told["layers"]] == [*names, "(others)"]
    assert all(row["bits"] == 2 and 0 < row["snr"] < 25 and row["score"] >= 0 for row in told["layers"][:-1])
    assert told["scores"]["float"]["name"] == told["scores"]["quantized"]["name"] == "ERR"
    assert told["scores"]["float"]["value"] <= told["scores"]["quantized"]["value"] + 20
    assert told["weights"] == {
        "before": bundle.size(listener).weights,
        "after": bundle.size(tmp_path / "q").weights,
    }
    text = (tmp_path / "q" / "report.txt").read_text()
    assert f"float     ERR {told['scores']['float']['value']:.3f}" in text
    value = told["scores"]["float"]["value"]
    assert (
        f"score alone: ERR [%] of the model with this layer alone quantized, lower is better; {value:.3f} with none"
        in text
    )
    assert "(others): the structure" not in text
    assert (tmp_path / "q" / "report.png").stat().st_size > 5000
    assert told["model"] == str(listener / "bundle")
    by_layer = told["multiply_adds_by"]
    assert told["multiply_adds"] == sum(one["multiply_adds"] for one in by_layer) > 0
    model = bundle.load(listener).model
    shape = [1, model.frames, len(model.mean)]
    assert list(told["multiply_adds_for"].values()) == [shape]
    assert f"multiply-adds for one example, a call with features ({' x '.join(map(str, shape))}):" in text


@pytest.mark.parametrize("keep", [(), ("*embed*",)])
def test_weights_that_are_tied_count_once(tmp_path: Path, keep: tuple[str, ...]) -> None:
    exp = small_lm.save(small_lm.model(width=64, tie=True), tmp_path / "exp", width=64, tie=True)
    run(exp, out=tmp_path / "q", report=True, set_=[f"quantization.keep={list(keep)}"])
    told = json.loads((tmp_path / "q" / "report.json").read_text())
    stored = load_file(bundle.weights(exp))
    assert sum(row["before"] for row in told["layers"]) == sum(4 * tensor.numel() for tensor in stored.values())
    packed = load_file(bundle.weights(tmp_path / "q"))
    assert sum(row["after"] for row in told["layers"]) == sum(t.numel() * t.element_size() for t in packed.values())
    names = [row["name"] for row in told["layers"]]
    assert "output.weight" not in names
    assert names.count("embedding.weight") == (not keep)


def test_multiply_adds_of_a_language_model_are_those_of_its_layers(tmp_path: Path) -> None:
    exp = small_lm.save(small_lm.model(width=64, tie=True), tmp_path / "exp", width=64, tie=True)
    run(exp, out=tmp_path / "q", report=True)
    told = json.loads((tmp_path / "q" / "report.json").read_text())
    found = {one["name"]: one["multiply_adds"] for one in told["multiply_adds_by"]}
    assert told["multiply_adds_for"]["words"] == [1]
    asked = told["multiply_adds_for"]["asked"][0]
    step = 4 * 64 * (64 + 64)
    assert found == {"embedding": 0, "body.layers.0": step, "body.layers.1": step, "output": asked * 64}
    assert told["multiply_adds"] == sum(found.values())


@pytest.mark.parametrize(
    ("sizes", "unit"), [((900, 10), "bytes"), ((147_456, 61_536), "kB"), ((11_520_000, 147_456), "MB")]
)
def test_the_picture_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: Any, unit: str) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(report, "save_figure", lambda figure, path: figures.append(figure))
    rows = [
        Row("first", (3, 3), 8, sizes[0], sizes[0] // 4, 42.0, score=84.0312 + 17e-5),
        Row("second", (3, 3), 8, sizes[1], sizes[1] // 4, 41.0, score=84.0312 - 1e-5),
    ]
    scores = {"float": Score(84.0312, "perplexity"), "quantized": Score(84.04, "perplexity")}
    before, after = Sizes(sum(sizes), sum(sizes)), Sizes(sum(sizes) // 4, sum(sizes) // 4)
    report.draw(Report("exp", Quantization(), before, after, rows, scores), tmp_path / "report.png")
    (figure,) = figures
    figure.canvas.draw()
    left, right = figure.axes
    assert left.get_xlabel() == f"size [{unit}]"
    assert max(bar.get_width() for bar in left.patches) < 1000
    assert not left.xaxis.get_offset_text().get_text()
    for axes in (left, right):
        boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
        assert len(boxes) >= 2
        assert all(one.x1 < other.x0 for one, other in pairwise(boxes))


def test_legends_cover_no_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(report, "save_figure", lambda figure, path: figures.append(figure))
    rows = [Row(name, (9, 9), 8, 400, 100, 42.0, 30.0) for name in "abc"]
    scores = {"float": Score(15.0, "100-AUC"), "int8": Score(17.5, "100-AUC")}
    report.draw(Report("exp", Quantization(), Sizes(9, 9), Sizes(3, 3), rows, scores), tmp_path / "report.png")
    figures[0].canvas.draw()
    for axes in figures[0].axes:
        legend = axes.get_legend().get_window_extent()
        assert not any(legend.overlaps(bar.get_window_extent()) for bar in axes.patches)
        assert not legend.overlaps(axes._left_title.get_window_extent())


def test_the_help_says_the_defaults() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "voxkit", "quantize", "--help"],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200", "TERM": "dumb"},
    ).stdout  # fmt: skip
    for default in ("default: 8", "default: tensor; --int8: channel", "default: asymmetric", "default: minmax"):
        assert default in shown
    assert "per cent" in shown


def test_the_report_without_data_tells_errors_only(listener: Path, tmp_path: Path) -> None:
    run(listener, out=tmp_path / "q", bits=8, report=True)
    told = json.loads((tmp_path / "q" / "report.json").read_text())
    assert told["scores"] == {}
    assert all(row["snr"] > 30 and row["score"] is None for row in told["layers"][:-1])


def test_measuring_a_layer_leaves_the_model_as_it_was(listener: Path) -> None:
    from voxkit.commands.quantize.layers import alone

    model = bundle.load(listener).model
    name = next(name for name, weight in model.named_parameters() if weight.ndim >= 2)
    before = model.get_parameter(name).detach().clone()
    with alone(model, name, Quantization(bits=2), 2):
        assert len(model.get_parameter(name).unique()) <= 4
    assert torch.equal(model.get_parameter(name), before)


def test_training_for_it_starts_from_the_model_and_resumes(listener: Path, sounds: Path, tmp_path: Path) -> None:
    sets = ["train.epochs=2", "train.lr=1e-4", "train.warmup=1", "train.schedule=constant"]
    run(listener, out=tmp_path / "whole", bits=2, aware=True, train=sounds, dev=sounds, set_=sets, report=True)
    small = bundle.load(tmp_path / "whole")
    assert small.quantization == Quantization(bits=2)
    told = json.loads((tmp_path / "whole" / "report.json").read_text())
    assert set(told["scores"]) == {"float", "shadow", "quantized"}
    assert all(0 < row["snr"] < 25 and row["score"] >= 0 for row in told["layers"][:-1])
    newest = checkpoint.load(checkpoint.latest(tmp_path / "whole" / "checkpoints"))
    shadow = newest.tensors["model"]
    full = bundle.load(listener).model.state_dict()
    names = [name for name in shadow if name.endswith(".original")]
    for name in names:
        plain = name.replace("parametrizations.", "").removesuffix(".original")
        torch.testing.assert_close(shadow[name], full[plain], rtol=0, atol=0.02)
    assert names
    quantized = bundle.load(tmp_path / "whole").model.state_dict()
    ratios = {row["name"]: row["snr"] for row in told["layers"][:-1]}
    assert len(ratios) == len(names)
    for name in names:
        plain = name.replace("parametrizations.", "").removesuffix(".original")
        noise = float((quantized[plain] - shadow[name]).square().sum())
        assert ratios[plain] == pytest.approx(10 * np.log10(float(shadow[name].square().sum()) / noise), abs=1e-3)
    one = [*sets[1:], "train.epochs=1"]
    run(listener, out=tmp_path / "parts", bits=2, aware=True, train=sounds, dev=sounds, set_=one)
    run(listener, out=tmp_path / "parts", bits=2, aware=True, train=sounds, dev=sounds, set_=sets)
    whole, parts = (load_file(tmp_path / name / "bundle" / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    with pytest.raises(UserError, match=r"quantization\.bits: 2 -> 3"):
        run(listener, out=tmp_path / "parts", bits=3, aware=True, train=sounds, dev=sounds, set_=sets)


def test_from_scratch_is_another_model(listener: Path, sounds: Path, tmp_path: Path) -> None:
    sets = ["train.epochs=1", "train.warmup=1", "train.lr=1e-9"]
    run(listener, out=tmp_path / "q", bits=8, aware=True, from_scratch=True, train=sounds, seed=5, set_=sets)
    name, weight = next((n, w) for n, w in bundle.load(listener).model.named_parameters() if w.ndim >= 2)
    assert not torch.allclose(bundle.load(tmp_path / "q").model.get_parameter(name), weight, atol=0.05)


def test_data_with_other_classes_are_refused(listener: Path, tmp_path: Path) -> None:
    two = write_tones(tmp_path / "two", ("low", "mid"), 3)
    with pytest.raises(UserError, match=r"the data are not for this model: they make another classes\.txt"):
        run(listener, out=tmp_path / "q", bits=4, aware=True, train=two)
    assert not (tmp_path / "q").exists()
    # For a score the classes come from the model's own training data.
    run(listener, out=tmp_path / "r", bits=4, report=True, dev=two)
    assert json.loads((tmp_path / "r" / "report.json").read_text())["scores"]["float"]["name"] == "ERR"


def test_a_quantized_model_of_words_pronounces(speaker: Path, tmp_path: Path, capsys: Any) -> None:
    run(speaker / "exp", out=tmp_path / "q", bits=6, per="channel", range_="mse")
    (tmp_path / "words.txt").write_text("bad\ncab\nman\n")
    capsys.readouterr()
    apply_g2p(tmp_path / "q", [tmp_path / "words.txt"], lang="one")
    assert capsys.readouterr().out.splitlines() == ["bad\tb a d", "cab\tc a b", "man\tm a n"]


def test_a_model_of_words_is_trained_for_few_bits(speaker: Path, tmp_path: Path) -> None:
    sets = ["train.steps=3", "train.warmup=1", "train.tensorboard=false", "train.threads=1"]
    train, dev = speaker / "train.tsv", speaker / "dev.tsv"
    run(speaker / "exp", out=tmp_path / "q", bits=4, aware=True, train=train, dev=dev, set_=sets)
    assert bundle.load(tmp_path / "q").config["data"]["train"] == [str(train)]
    assert len(bundle.load(tmp_path / "q").model.decoder.layers[0].weight_hh_l0.unique()) <= 16
    with pytest.raises(UserError, match=r"unknown key 'train\.stepz'"):
        run(speaker / "exp", out=tmp_path / "r", bits=4, aware=True, train=train, set_=["train.stepz=3"])


def heard(model: Path, cuts: Path, out: Path) -> list[str]:
    """What the model hears in each cut, by greedy decoding."""
    decode(model, [cuts], out=out, method="greedy")
    return [cut.supervisions[0].text for cut in open_cuts(out / "hypotheses.jsonl.gz")]


def test_a_quantized_acoustic_model_decodes(tmp_path: Path) -> None:
    write_lang(tmp_path / "lang", "LMH")
    write_corpus(tmp_path, "loud", 0.3, 16)
    train_acoustic(tmp_path, "am", "loud", "train.lr=5e-3", steps=60)
    dev = tmp_path / "loud.jsonl.gz"
    run(tmp_path / "am", out=tmp_path / "eight", bits=8, per="channel")
    full = heard(tmp_path / "am", dev, tmp_path / "full")
    small = heard(tmp_path / "eight", dev, tmp_path / "small")
    assert len(set(full)) > 2, "the model has learnt to tell tones"
    assert sum(a != b for a, b in zip(full, small, strict=True)) <= 1
    sets = ["train.steps=2", "train.warmup=1", "train.tensorboard=false"]
    run(tmp_path / "am", out=tmp_path / "aware", bits=3, aware=True, train=dev, dev=dev, set_=sets)
    assert bundle.load(tmp_path / "aware").quantization == Quantization(bits=3)


def test_an_acoustic_model_decodes_in_int8(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("onnxruntime")
    write_lang(tmp_path / "lang", "LMH")
    write_corpus(tmp_path, "loud", 0.3, 16)
    train_acoustic(tmp_path, "am", "loud", "train.lr=5e-3", steps=60)
    dev = tmp_path / "loud.jsonl.gz"
    run(tmp_path / "am", out=tmp_path / "int8", int8=True, calibrate=dev, per="channel")
    assert bundle.weights(tmp_path / "int8").name == "model.onnx"
    told = capsys.readouterr().err
    assert "note: ranges of activations are those of training batches" in told
    assert "8 bits: outputs differ by at most" in told
    full, small = (heard(tmp_path / name, dev, tmp_path / f"{name}_out") for name in ("am", "int8"))
    assert len(set(full)) > 2, "the model has learnt to tell tones"
    assert sum(a != b for a, b in zip(full, small, strict=True)) <= 1
    shifts = [Recogniser(tmp_path / name, None, Decode()).frame_shift for name in ("am", "int8")]
    assert shifts[0] == shifts[1] > 0
    decode(tmp_path / "int8", [dev], out=tmp_path / "jobs", method="greedy", num_jobs=2)
    assert [cut.supervisions[0].text for cut in open_cuts(tmp_path / "jobs" / "hypotheses.jsonl.gz")] == small


def test_only_acoustic_models_decode(listener: Path) -> None:
    with pytest.raises(UserError, match="a model of audio_event, not of train-am"):
        Recogniser(listener, None, Decode())


def test_int8_runs_and_is_measured(listener: Path, sounds: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    run(listener, out=tmp_path / "q", int8=True, calibrate=sounds, dev=sounds, report=True, config=_eight(tmp_path))
    full, small = bundle.load(listener), bundle.load(tmp_path / "q")
    assert bundle.weights(tmp_path / "q").name == "model.onnx"
    assert small.model.facts["system"] == "audio_event"
    features = torch.randn(3, full.model.frames, 16) * full.model.deviation + full.model.mean
    with torch.no_grad():
        expected, found = full.model(features), small.model(features)
    assert 0 < float((expected - found).abs().max()) < 0.5 * float(expected.abs().max())
    told = json.loads((tmp_path / "q" / "report.json").read_text())
    assert [one["name"] for one in told["runtimes"]] == ["torch", "onnxruntime float", "onnxruntime int8"]
    assert all(0 < one["p10"] <= one["median"] <= one["p90"] and one["memory"] > 1e6 for one in told["runtimes"])
    assert told["scores"]["int8"]["value"] <= told["scores"]["float"]["value"] + 20
    assert not list((tmp_path / "q").rglob("float.onnx"))
    layers = told["layers"]
    kept = [name for name, weight in full.model.named_parameters() if weight.ndim >= 2]
    assert len(layers) - 1 == len(kept)
    assert all(row["bits"] == 8 and 30 < row["snr"] < 70 and 5 < row["output"] < 70 for row in layers[:-1])
    assert sum(row["after"] for row in layers) == bundle.size(tmp_path / "q").weights
    assert (tmp_path / "q" / "report.png").stat().st_size > 20000
    text = (tmp_path / "q" / "report.txt").read_text()
    assert "(others): the structure of the graph, names, facts and small tensors" in text
    assert "score alone" not in text


def test_int8_is_made_as_export_makes_it(listener: Path, sounds: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    run(listener, out=tmp_path / "q", int8=True, calibrate=sounds)
    export(listener, tmp_path / "e", int8=True, calibrate=sounds)
    ours, theirs = (bundle.load(tmp_path / name) for name in "qe")
    assert ours.model.facts == theirs.model.facts
    assert json.loads(ours.model.facts["classes"]) == ["high", "low", "mid"]
    assert ours.quantization == theirs.quantization == Quantization(symmetric=True, per="channel", rest="float32")

    def operations(folder: Path) -> list[str]:
        return [node.op_type for node in onnx.load(str(bundle.weights(folder))).graph.node]

    assert operations(tmp_path / "q") == operations(tmp_path / "e")
    features = torch.randn(8, 25, 16) * 2
    torch.testing.assert_close(ours.model(features), theirs.model(features), rtol=0.1, atol=0.5)
    run(listener, out=tmp_path / "t", int8=True, calibrate=sounds, per="tensor")
    assert bundle.load(tmp_path / "t").quantization == Quantization(symmetric=True, rest="float32")


def test_an_exported_graph_says_that_its_weights_were_packed(listener: Path, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("onnxruntime")
    run(listener, out=tmp_path / "q", bits=3, per="channel")
    export(tmp_path / "q", tmp_path / "onnx")
    assert (
        "weights packed in 3 bits are for voxkit; the graph has what they stand for in floats"
        in capsys.readouterr().err
    )
    facts = json.loads((tmp_path / "onnx" / "model.json").read_text())
    assert (facts["bits"], facts["graph"]["weights"]) == (32, "float32")
    assert Quantization(**facts["quantized"]) == Quantization(bits=3, per="channel")
    written = bundle.load(tmp_path / "onnx").model.facts
    assert (written["bits"], json.loads(written["quantized"])) == ("32", facts["quantized"])
    export(listener, tmp_path / "float")
    assert "packed" not in capsys.readouterr().err


def test_what_changed_in_a_folder_is_noticed(listener: Path, tmp_path: Path, capsys: Any) -> None:
    data = write_tones(tmp_path / "data")
    run(listener, out=tmp_path / "q", bits=4, report=True, dev=data)
    run(listener, out=tmp_path / "q", bits=4, report=True, dev=data)
    assert "nothing to do" in capsys.readouterr().err
    (data / "low" / "0.wav").write_bytes((data / "low" / "1.wav").read_bytes())
    with pytest.raises(UserError, match=r"data\.dev\.digest"):
        run(listener, out=tmp_path / "q", bits=4, report=True, dev=data)


def _eight(folder: Path) -> Path:
    file = folder / "eight.yaml"
    file.write_text(TINY.read_text().replace("bits: 4", "bits: 8"))
    return file


def test_a_room_without_a_graph_offers_weights_alone(speaker: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(UserError, match="g2p: its models cannot be exported") as refused:
        run(speaker / "exp", out=tmp_path / "q", int8=True, calibrate=speaker / "dev.tsv")
    assert "weights alone" in refused.value.fix
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"out": None}, "needs --out"),
        ({"aware": True}, "nothing to train on"),
        ({"from_scratch": True}, "--from-scratch is about training"),
        ({"set_": ["train.steps=3"]}, r"train\.steps is about training"),
        ({"seed": 3}, r"train\.seed is about training"),
        ({"int8": True}, "needs data to find"),
        ({"calibrate": Path("x")}, "--calibrate is about activations"),
        ({"int8": True, "calibrate": Path("x"), "bits": 4}, "--int8 is 8 bits"),
        ({"int8": True, "calibrate": Path("x"), "dry_run": True}, "--dry-run shows packed weights"),
        ({"dev": Path("x")}, "--dev is scored on"),
        ({"int8": True, "calibrate": Path("x"), "dev": Path("x")}, "--dev is scored on"),
        ({"train": Path("x"), "report": True}, "--train is for --aware"),
        ({"dev": Path("x"), "report": True}, "x: no such manifest"),
        ({"int8": True, "aware": True, "train": Path("x"), "calibrate": Path("x")}, "do not go together"),
        ({"per": "row"}, "per: Input should be 'tensor' or 'channel'"),
        ({"set_": ["quantization.bits=9"]}, "bits: Input should be less than or equal to 8"),
        ({"model": None}, "needs MODEL"),
    ],
)
def test_options_that_do_not_go_together(listener: Path, tmp_path: Path, given: dict[str, Any], message: str) -> None:
    options = {"model": listener, "out": tmp_path / "q", **given}
    with pytest.raises(UserError, match=message):
        run(**options)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_quantized_again(listener: Path, tmp_path: Path) -> None:
    run(listener, out=tmp_path / "q", bits=4)
    with pytest.raises(UserError, match="is quantized already, to 4 bits"):
        run(tmp_path / "q", out=tmp_path / "r", bits=2)
    with pytest.raises(UserError, match="holds no trained model"):
        run(tmp_path, out=tmp_path / "r")
