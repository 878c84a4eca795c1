"""`train-am --init`: training starts where another model ended."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from lhotse import Recording, SupervisionSegment

from voxkit import bundle
from voxkit.commands.train_am.command import TrainAm, train_am
from voxkit.commands.train_am.model import AcousticModel
from voxkit.commands.train_am.task import AcousticTask
from voxkit.config import build
from voxkit.data.manifests import write_cuts
from voxkit.errors import UserError

ROOT = Path(__file__).parents[3]
TINY = ROOT / "conf" / "train_am" / "tiny.yaml"
TONES = {"LOW": 300.0, "MID": 1000.0, "HIGH": 3000.0}
PLAIN = ["model.spec_augment.frequency_masks=0", "model.spec_augment.time_share=0", "model.spec_augment.warp=0"]
SETS = [
    *PLAIN,
    "train.schedule=constant",
    "train.warmup=0",
    "train.average=none",
    "train.select=last",
    "train.log_every=1",
]


def write_lang(folder: Path, units: str) -> Path:
    """LOW, MID and HIGH are the units L, M and H; `units` has them in order, and more."""
    folder.mkdir()
    folder.joinpath("lang.yaml").write_text("units: phone\nnormaliser: none\n")
    folder.joinpath("tokens.txt").write_text("".join(f"{u} {i}\n" for i, u in enumerate(["<blk>", *units])))
    folder.joinpath("words.txt").write_text("<eps> 0\nHIGH 1\nLOW 2\nMID 3\n#0 4\n")
    folder.joinpath("lexicon.txt").write_text("HIGH 1 H\nLOW 1 L\nMID 1 M\n")
    return folder


def write_corpus(folder: Path, name: str, level: float, count: int) -> None:
    rng = np.random.default_rng(int(100 * level))
    cuts = []
    for number in range(count):
        words = [str(word) for word in rng.choice(list(TONES), size=2)]
        tones = [level * np.sin(2 * np.pi * TONES[word] * np.arange(3200) / 16000) for word in words]
        samples = np.concatenate([np.zeros(1600), tones[0], np.zeros(1600), tones[1], np.zeros(1600)])
        path = folder / f"{name}{number}.wav"
        soundfile.write(path, samples + 0.001 * rng.standard_normal(len(samples)), 16000)
        cut = Recording.from_file(path).to_cut()
        cut.supervisions = [SupervisionSegment(cut.id, cut.recording_id, 0, cut.duration, text=" ".join(words))]
        cuts.append(cut)
    write_cuts(cuts, folder / f"{name}.jsonl.gz")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two corpora, three lang folders, and two models of the first corpus."""
    folder = tmp_path_factory.mktemp("tones")
    write_corpus(folder, "loud", 0.3, 16)
    write_corpus(folder, "soft", 0.05, 8)
    for name, units in (("lang", "LMH"), ("more", "XHLYM"), ("fewer", "HLM")):
        write_lang(folder / name, units)
    train(folder, "seed0", "loud", steps=4)
    train(folder, "seed1", "loud", steps=4, seed=1)
    return folder


def train(place: Path, name: str, corpus: str, *sets: str, steps: int, seed: int = 0, **options: Path) -> Path:
    out = place / name
    given = {"train": place / f"{corpus}.jsonl.gz", "lang": place / "lang", "out": out, "seed": seed, **options}
    train_am(**given, config=TINY, set_=[*SETS, f"train.steps={steps}", "batch.max_cuts=4", *sets])
    return out


def task(place: Path, corpus: str, tmp_path: Path, *sets: str, lang: str = "lang", init: str = "seed0") -> AcousticTask:
    data = {"train": str(place / f"{corpus}.jsonl.gz"), "lang": str(place / lang), "init": str(place / init)}
    return AcousticTask(build(TrainAm, TINY, [*PLAIN, *sets], data=data), tmp_path)


def losses(out: Path) -> list[float]:
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [record["loss"] for record in records if "loss" in record]


def weights(out: Path) -> bytes:
    return (out / "bundle" / "model.safetensors").read_bytes()


def test_training_starts_at_the_models_score(place: Path, tmp_path: Path) -> None:
    trained = bundle.load(place / "seed0").model
    assert isinstance(trained, AcousticModel)
    soft = task(place, "soft", tmp_path)
    model = soft.model()
    data = soft.config.data.model_copy(update={"init": None})
    fresh = AcousticTask(soft.config.model_copy(update={"data": data}), tmp_path)
    assert torch.equal(model.mean, trained.mean)
    assert torch.equal(model.deviation, trained.deviation)
    assert not torch.allclose(model.mean, fresh.model().mean, atol=0.1)
    with torch.no_grad():
        assert soft.score(model.eval()) == soft.score(trained)
        batch = soft.batches("train", 0)[0]
        assert torch.equal(soft.loss(model, batch).total, soft.loss(trained, batch).total)
        expected = soft.loss(trained.train(), batch)
    out = train(place, "tuned", "soft", "batch.max_cuts=64", steps=1, init=place / "seed0")
    assert losses(out) == [pytest.approx(float(expected.total) / float(expected.weight), rel=1e-5)]


def test_units_of_equal_names_keep_their_outputs(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = bundle.load(place / "seed0").model
    assert isinstance(trained, AcousticModel)
    other = task(place, "soft", tmp_path, lang="more")
    model = other.model()
    told = capsys.readouterr().err
    assert f"note: 4 of 6 output units are those of {place / 'seed0'}; 2 are new and drawn at random: X Y" in told
    for weight, known in ((model.output.weight, trained.output.weight), (model.output.bias, trained.output.bias)):
        assert torch.equal(weight[[0, 2, 3, 5]], known[[0, 3, 1, 2]])
        assert weight[1].abs().sum() > 0
    rest = {name: value for name, value in trained.state_dict().items() if not name.startswith("output.")}
    assert all(torch.equal(model.state_dict()[name], value) for name, value in rest.items())
    reordered = task(place, "loud", tmp_path, lang="fewer")
    with torch.no_grad():
        score = reordered.score(reordered.model().eval()).value
        assert score == task(place, "loud", tmp_path).score(trained).value
    assert "4 of 4 output units" in capsys.readouterr().err


def test_a_model_of_another_kind_is_refused_with_the_difference(place: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        task(place, "soft", tmp_path, "model.width=48", "features.num_mels=40", "model.kernel=3")
    for line in ("model.width: 32 -> 48", "model.kernel: 5 -> 3", "features.num_mels: 80 -> 40"):
        assert line in str(error.value)
    with pytest.raises(UserError, match="holds no trained model"):
        task(place, "soft", tmp_path, init="lang")


def test_resumed_is_bit_exact_and_bound_to_the_initial_weights(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "seed0", tmp_path / "init")
    whole = train(place, "whole", "soft", steps=5, init=tmp_path / "init")
    out = train(place, "stopped", "soft", steps=2, init=tmp_path / "init")
    assert losses(out) == losses(whole)[:2]
    with pytest.raises(UserError, match=r"data\.init: .* -> .*seed1"):
        train(place, "stopped", "soft", steps=5, init=place / "seed1")
    with pytest.raises(UserError, match=r"data\.init: .* -> None"):
        train(place, "stopped", "soft", steps=5)
    shutil.copytree(place / "seed1" / "bundle", tmp_path / "init" / "bundle", dirs_exist_ok=True)
    with pytest.raises(UserError, match=r"data\.digests\..*model\.safetensors: "):
        train(place, "stopped", "soft", steps=5, init=tmp_path / "init")
    shutil.copytree(place / "seed0" / "bundle", tmp_path / "init" / "bundle", dirs_exist_ok=True)
    train(place, "stopped", "soft", steps=5, init=tmp_path / "init")
    assert losses(out) == losses(whole)
    assert weights(out) == weights(whole)
    shutil.rmtree(tmp_path / "init")
    bundle.load(out)


def test_two_processes_start_at_the_same_weights(place: Path, tmp_path: Path) -> None:
    """They see two batches at a time, as one process does that accumulates two."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    arguments = ["--train", place / "soft.jsonl.gz", "--lang", place / "lang", "--init", place / "seed0", "-c", TINY]
    for item in (*SETS, "train.steps=2", "batch.max_cuts=4", "train.device=cpu"):
        arguments += ["--set", item]
    command = [sys.executable, "-m", "voxkit", "train-am", *map(str, arguments), "--out", str(tmp_path / "two")]
    two = [
        subprocess.Popen(
            command,
            env={**os.environ, **world, "PYTHONPATH": str(ROOT), "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    told = [process.communicate(timeout=120)[1] for process in two]
    assert [process.returncode for process in two] == [0, 0], told
    assert [text.count("all weights are those of") for text in told] == [1, 0]
    one = train(place, "one", "soft", "train.accumulate=2", steps=2, init=place / "seed0")
    assert losses(tmp_path / "two") == pytest.approx(losses(one), rel=1e-4)
