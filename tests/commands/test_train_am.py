"""The acoustic model's task and command, on "speech" of pure tones that a small net learns in seconds."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import kaldialign
import numpy as np
import pytest
import soundfile
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

from voxkit import bundle
from voxkit.commands.train_am.command import TrainAm
from voxkit.commands.train_am.data import augmented
from voxkit.commands.train_am.task import AcousticTask, distance_to_graph
from voxkit.config import build

ROOT = Path(__file__).parents[2]
TINY = ROOT / "conf" / "train_am" / "tiny.yaml"
TONES = {"LOW": 300.0, "MID": 1000.0, "HIGH": 3000.0}


def speak(path: Path, words: list[str], rng: np.random.Generator) -> Recording:
    """Each word is 0.15 s of its tone between 0.1 s of near silence."""
    parts = [0.001 * rng.standard_normal(1600)]
    for word in words:
        time = np.arange(2400) / 16000
        parts += [0.3 * np.sin(2 * np.pi * TONES[word] * time), 0.001 * rng.standard_normal(1600)]
    soundfile.write(path, np.concatenate(parts).astype(np.float32), 16000)
    return Recording.from_file(path)


def cut(recording: Recording, text: str) -> MonoCut:
    supervision = SupervisionSegment(recording.id, recording.id, 0, recording.duration, text=text, speaker="tone")
    return MonoCut(recording.id, 0, recording.duration, 0, recording=recording, supervisions=[supervision])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    cuts = []
    for number in range(60):
        words = [str(word) for word in rng.choice(list(TONES), size=int(rng.integers(1, 5)))]
        cuts.append(cut(speak(folder / f"u{number:03d}.wav", words, rng), " ".join(words)))
    CutSet.from_cuts(cuts[:48]).to_file(folder / "train.jsonl.gz")
    CutSet.from_cuts(cuts[48:]).to_file(folder / "dev.jsonl.gz")
    lang = folder / "lang"
    lang.mkdir()
    lang.joinpath("lang.yaml").write_text("units: phone\nnormaliser: none\n")
    lang.joinpath("tokens.txt").write_text("<blk> 0\nL 1\nM 2\nH 3\nX 4\n")
    lang.joinpath("words.txt").write_text("<eps> 0\nHIGH 1\nLOW 2\nMID 3\n#0 4\n")
    lang.joinpath("lexicon.txt").write_text("HIGH 1 H\nLOW 0.5 L\nLOW 0.5 X X\nMID 1 M\n")
    return folder


def voxkit(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "voxkit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)


def inputs(corpus: Path) -> list[str]:
    return [
        *("--train", str(corpus / "train.jsonl.gz")),
        *("--dev", str(corpus / "dev.jsonl.gz")),
        *("--lang", str(corpus / "lang")),
    ]


def task(corpus: Path, run: Path, *sets: str) -> AcousticTask:
    data = {"train": str(corpus / "train.jsonl.gz"), "dev": str(corpus / "dev.jsonl.gz"), "lang": str(corpus / "lang")}
    return AcousticTask(build(TrainAm, TINY, sets, data=data), run)


def test_learns_to_hear_tones_and_saves_a_bundle(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "am"
    sets = ["--set", "train.epochs=25", "--set", "train.lr=5e-3", "--set", "batch.max_cuts=8"]
    arguments = ["train-am", *inputs(corpus), "--out", out, "--config", TINY, *sets]
    done = voxkit(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out / "bundle")
    loaded = bundle.load(out)
    trained = task(corpus, tmp_path)
    assert trained.score(loaded.model).value <= 5.0
    again = voxkit(*arguments)
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    other = voxkit(*arguments, "--set", "model.width=48")
    assert other.returncode == 2
    assert "model.width: 32 -> 48" in other.stderr


@pytest.mark.parametrize("encoder", ["tdnn", "conformer", "blstm"])
def test_every_encoder_gives_normalised_posteriors(corpus: Path, tmp_path: Path, encoder: str) -> None:
    made = task(corpus, tmp_path, f"model.encoder={encoder}", "model.layers=1", "model.subsampling=2")
    model = made.model().eval()
    batch = made.batches("train", 0)[0]
    log_probs, lengths = model(batch.features, batch.lengths)
    assert log_probs.shape == (len(batch.lengths), int(lengths.max()), 5)
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]), atol=1e-4)
    assert lengths.tolist() == [-(-int(length) // 2) for length in batch.lengths]
    loss = made.loss(model, batch)
    assert torch.isfinite(loss.total)
    assert float(loss.weight) == float(lengths.sum())


@pytest.mark.parametrize("encoder", ["tdnn", "conformer", "blstm"])
def test_posteriors_do_not_depend_on_the_rest_of_the_batch(corpus: Path, tmp_path: Path, encoder: str) -> None:
    model = task(corpus, tmp_path, f"model.encoder={encoder}", "model.layers=2").model().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    for frames in (10, 11, 12):
        features = torch.randn(1, frames, 80)
        alone, _ = model(features, torch.tensor([frames]))
        padded = torch.cat([features, torch.randn(1, 9, 80)], dim=1).repeat(2, 1, 1)
        together, lengths = model(padded, torch.tensor([frames, frames + 9]))
        assert torch.allclose(alone[0], together[0, : int(lengths[0])], atol=1e-4)


def test_batches_are_a_pure_function_of_seed_epoch_and_index(corpus: Path, tmp_path: Path) -> None:
    sets = ("augment.speeds=[0.9, 1.0, 1.1]", "augment.volume=6.0", "batch.max_cuts=8")
    first, second = (task(corpus, tmp_path / name, *sets) for name in ("a", "b"))
    one, other = first.batches("train", 3), second.batches("train", 3)
    for index in (4, 0, 2):
        assert torch.equal(one[index].features, other[index].features)
        assert one.ids(index) == other.ids(index)
    assert sorted(name for index in range(len(one)) for name in one.ids(index)) == sorted(
        example.cut.id for example in first.examples
    )
    assert one.ids(0) != first.batches("train", 4).ids(0)
    size = [one[index].features.shape[0] * one[index].features.shape[1] for index in range(len(one))]
    assert size[one.worst()] >= 0.98 * max(size)


def test_weights_of_supervisions_scale_the_loss(corpus: Path, tmp_path: Path) -> None:
    cuts = CutSet.from_file(corpus / "train.jsonl.gz").to_eager()
    for item in cuts:
        item.supervisions[0].custom = {"weight": 0.25}
    cuts.to_file(tmp_path / "weighted.jsonl.gz")
    plain = task(corpus, tmp_path)
    data = {
        "train": str(tmp_path / "weighted.jsonl.gz"),
        "dev": str(corpus / "dev.jsonl.gz"),
        "lang": str(corpus / "lang"),
    }
    weighted = AcousticTask(build(TrainAm, TINY, data=data), tmp_path)
    model = plain.model().eval()
    with torch.no_grad():
        one = plain.loss(model, plain.batches("train", 0)[0])
        quarter = weighted.loss(model, weighted.batches("train", 0)[0])
    assert float(quarter.total) == pytest.approx(0.25 * float(one.total), rel=1e-5)
    assert float(quarter.weight) == pytest.approx(0.25 * float(one.weight))


def test_noise_is_mixed_at_the_asked_ratio(corpus: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    # shorter than the speech: it has to begin again
    soundfile.write(tmp_path / "noise.wav", (0.1 * rng.standard_normal(4800)).astype(np.float32), 16000)
    noise = MonoCut("n", 0, 0.3, 0, recording=Recording.from_file(tmp_path / "noise.wav"))
    clean = CutSet.from_file(corpus / "train.jsonl.gz").to_eager()[0]
    config = build(TrainAm, None, ["augment.volume=0", "augment.noise=1", "augment.snr=[10, 10]"]).augment
    noisy = augmented(clean, 16000, 1.0, config, [noise], np.random.default_rng(0))
    speech = clean.load_audio()[0]
    assert noisy.shape == speech.shape
    added = noisy - speech
    assert 10 * np.log10((speech**2).sum() / (added**2).sum()) == pytest.approx(10, abs=0.5)
    assert np.array_equal(noisy, augmented(clean, 16000, 1.0, config, [noise], np.random.default_rng(0)))


@given(
    slots=st.lists(
        st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=3), min_size=1, max_size=3), min_size=0, max_size=3
    ),
    units=st.lists(st.integers(1, 3), max_size=7),
)
@settings(max_examples=200, deadline=None)
def test_distance_to_graph_is_the_least_over_all_choices(slots: list[list[list[int]]], units: list[int]) -> None:
    weighted = [[(ids, 1.0) for ids in slot] for slot in slots]
    best = min(
        kaldialign.edit_distance([label for ids in choice for label in ids], units)["total"]
        for choice in itertools.product(*slots)
    )
    assert distance_to_graph(weighted, units) == best


def test_unknown_words_are_all_told(corpus: Path, tmp_path: Path) -> None:
    cuts = CutSet.from_file(corpus / "train.jsonl.gz").to_eager()
    for item in list(cuts)[:7]:
        item.supervisions[0].text += " FOO"
    cuts.to_file(tmp_path / "train.jsonl.gz")
    arguments = [
        "--dev",
        corpus / "dev.jsonl.gz",
        "--lang",
        corpus / "lang",
        "--config",
        TINY,
        "--out",
        tmp_path / "am",
    ]
    failed = voxkit("train-am", "--train", tmp_path / "train.jsonl.gz", *arguments)
    assert failed.returncode == 2
    assert "train.jsonl.gz:1" in failed.stderr
    assert "FOO" in failed.stderr
    assert "Traceback" not in failed.stderr
    tolerated = voxkit("train-am", "--train", tmp_path / "train.jsonl.gz", *arguments, "--max-bad", "0.2")
    assert tolerated.returncode == 0, tolerated.stderr
    assert len((tmp_path / "am" / "rejected.jsonl").read_text().splitlines()) == 7


def test_too_short_and_too_long_are_told_before_anything_is_written(corpus: Path, tmp_path: Path) -> None:
    cuts = list(CutSet.from_file(corpus / "train.jsonl.gz").to_eager())
    cuts[3].supervisions[0].text = "LOW " * 400
    CutSet.from_cuts(cuts).to_file(tmp_path / "train.jsonl.gz")
    arguments = ["--train", tmp_path / "train.jsonl.gz", "--lang", corpus / "lang", "--config", TINY]
    limit = sorted(item.duration for item in cuts)[-2]
    failed = voxkit("train-am", *arguments, "--out", tmp_path / "am", "--set", f"batch.max_duration={limit - 0.01}")
    assert failed.returncode == 2, failed.stderr
    assert "too short for its transcript: 1" in failed.stderr
    assert cuts[3].id in failed.stderr
    assert "too long for a batch" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (tmp_path / "am").exists()


def test_slow_speech_never_outgrows_a_batch(corpus: Path, tmp_path: Path) -> None:
    longest = max(item.duration for item in CutSet.from_file(corpus / "train.jsonl.gz"))
    made = task(corpus, tmp_path, "augment.speeds=[0.5, 2.0]", f"batch.max_duration={longest + 0.01}")
    for epoch in range(5):
        batches = made.batches("train", epoch)
        assert batches.durations.max() <= longest + 0.01
        assert len(batches) > 0


def test_other_data_under_the_same_name_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl.gz").write_bytes((corpus / "train.jsonl.gz").read_bytes())
    arguments = ["--train", tmp_path / "train.jsonl.gz", "--lang", corpus / "lang", "--config", TINY]
    arguments += ["--out", tmp_path / "am", "--set", "train.steps=6"]
    assert voxkit("train-am", *arguments).returncode == 0
    CutSet.from_file(corpus / "dev.jsonl.gz").to_eager().to_file(tmp_path / "train.jsonl.gz")
    refused = voxkit("train-am", *arguments)
    assert refused.returncode == 2
    assert "data.digests" in refused.stderr


def test_killed_and_resumed_gives_the_same_weights(corpus: Path, tmp_path: Path) -> None:
    sets = ["train.steps=60", "train.save_every=2", "augment.speeds=[0.9, 1.0, 1.1]", "augment.volume=3.0"]
    sets += ["model.dropout=0.2", "batch.max_cuts=4"]
    settings = [word for item in sets for word in ("--set", item)]
    arguments = ["train-am", *inputs(corpus), "--config", str(TINY), *settings]
    assert voxkit(*arguments, "--out", tmp_path / "whole").returncode == 0
    command = [sys.executable, "-m", "voxkit", *arguments, "--out", str(tmp_path / "killed")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "killed").glob("checkpoints/step-*[0-9]")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    assert not (tmp_path / "killed" / "bundle").exists()
    resumed = voxkit(*arguments, "--out", tmp_path / "killed")
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from step" in resumed.stderr
    weights = [tmp_path / name / "bundle" / "model.safetensors" for name in ("whole", "killed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_missing_options_and_wrong_settings_exit_2(corpus: Path, tmp_path: Path) -> None:
    nothing = voxkit("train-am")
    assert nothing.returncode == 2
    assert "--train, --lang, --out" in nothing.stderr
    wrong = voxkit("train-am", *inputs(corpus), "--out", tmp_path / "am", "--set", "model.wdith=3")
    assert wrong.returncode == 2
    assert "did you mean 'model.width'?" in wrong.stderr
    assert not (tmp_path / "am").exists()
    printed = voxkit("train-am", "--config", TINY, "--print-config")
    assert yaml.safe_load(printed.stdout)["model"]["width"] == 32
