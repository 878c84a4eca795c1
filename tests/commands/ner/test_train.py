"""`ner train`, from tagged sentences to a bundle: what it says, that it goes on, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from tests.commands.ner import small_ner
from voxkit import bundle
from voxkit.commands.ner.command import Ner, train
from voxkit.commands.ner.tables import FILE, Tables
from voxkit.commands.ner.tagger import Tagger
from voxkit.commands.ner.task import Batch, NerTask
from voxkit.config import build, to_yaml
from voxkit.data.tagging import entities
from voxkit.errors import DataError, Interrupted, UserError
from voxkit.train.task import Loss

ROOT = Path(__file__).parents[3]
CONF = ROOT / "conf" / "ner" / "tiny.yaml"
CPU = ["train.device=cpu", "train.threads=1"]
SETS = [*CPU, "train.steps=12", "batch.words=60"]  # several batches an epoch, and an epoch that does not end with them
LEARNING = [*CPU, "train.steps=60", "train.lr=0.02", "train.score_every=3", "words.hide=0.2", "model.dropout=0.1"]
WAIT = 120.0  # seconds; a loaded machine starts slowly


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_ner.columns(tmp_path_factory.mktemp("data") / "train.conll", *small_ner.sentences())


@pytest.fixture(scope="module")
def learnt(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that finds what it has learnt."""
    out = tmp_path_factory.mktemp("learnt") / "exp"
    train(train=[data], out=out, config=CONF, set_=LEARNING)
    return out


@pytest.fixture(scope="module")
def straight(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing has stopped."""
    return made(data, tmp_path_factory.mktemp("straight") / "exp")


def made(data: Path, out: Path, *sets: str) -> Path:
    train(train=[data], out=out, config=CONF, set_=[*SETS, *sets])
    return out


def same(one: Path, other: Path) -> bool:
    """Whether two runs ended with the same bits."""
    first, second = (load_file(bundle.weights(path)) for path in (one, other))
    assert first.keys() == second.keys()
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "voxkit", "ner", "train", *map(str, arguments)]


# ---------------------------------------------------------------------------------------------- what it makes


def test_what_is_trained_finds_what_it_has_learnt(learnt: Path) -> None:
    tagger, some = Tagger.load(learnt), small_ner.sentences()
    right = [one.entities == entities(of.tags or ()) for one, of in zip(tagger.tag(some), some, strict=True)]
    assert sum(right) >= 0.9 * len(some)
    found = [json.loads(line) for line in (learnt / "metrics.jsonl").read_text().splitlines()]
    scores = [line["f1"] for line in found if line["kind"] == "score"]
    assert scores[0] < scores[-1]
    assert scores[-1] > 90


def test_the_vocabulary_is_told_and_the_bundle_printed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(train=[data], dev=[data], out=tmp_path / "exp", units="bytes, words,chars", config=CONF, set_=SETS)
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'exp' / 'bundle'}\n"
    loaded = bundle.load(tmp_path / "exp")
    assert loaded.config["units"] == ["words", "chars", "bytes"]
    tables = Tables.load(loaded.assets / FILE)
    sizes = [f"{len(tables.symbols[unit])} {unit}" for unit in ("words", "chars", "bytes")]
    subwords = len(tables.symbols["chars"]) + len(tables.symbols["bytes"])
    line = f"vocabulary: {', '.join(sizes)} ({subwords} subword symbols); 3 labels"
    assert line in told.err.splitlines()
    assert any(score.startswith("%F1 ") and score.endswith(" dev") for score in told.err.splitlines())
    assert list(loaded.config["data"]["digests"]) == [str(data)]


def test_a_finished_run_has_nothing_to_do(data: Path, straight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in (straight / "bundle").rglob("*")}
    made(data, straight)
    told = capsys.readouterr()
    assert f"{straight}: training is finished (12 steps), nothing to do" in told.err
    assert told.out == f"{straight / 'bundle'}\n"
    assert {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in (straight / "bundle").rglob("*")} == before


def test_another_config_is_refused_with_the_difference(data: Path, straight: Path) -> None:
    with pytest.raises(UserError) as caught:
        made(data, straight, "model.cells=24", "words.hide=0")
    told = caught.value.message.splitlines()
    assert told[0] == f"{straight}: made with another config"
    assert sorted(line.strip() for line in told[1:]) == ["model.cells: 16 -> 24", "words.hide: 1.0 -> 0.0"]
    with pytest.raises(UserError, match=r"units: \['words', 'chars'\] -> \['bytes'\]"):
        train(train=[data], out=straight, units="bytes", config=CONF, set_=SETS)


def test_other_data_under_the_same_name_are_refused(tmp_path: Path) -> None:
    some = small_ner.sentences()
    data = small_ner.columns(tmp_path / "train.conll", *some)
    out = made(data, tmp_path / "exp")
    small_ner.columns(data, *some[1:])
    with pytest.raises(UserError, match=r"another config\n  data\.digests\.\S*train\.conll: \w+ -> \w+"):
        made(data, out)


# ---------------------------------------------------------------------------------------------- the same again


def test_the_same_seed_gives_the_same_weights(data: Path, straight: Path, tmp_path: Path) -> None:
    torch.manual_seed(99)  # what happened in the process before does not matter
    assert same(made(data, tmp_path / "again"), straight)
    train(train=[data], out=tmp_path / "other", seed=1, config=CONF, set_=SETS)
    assert not same(tmp_path / "other", straight)


def terminating(step: int) -> Callable[[NerTask, nn.Module, Batch], Loss]:
    """A loss in whose computation SIGTERM comes, once."""
    loss, calls = NerTask.loss, iter(range(1, 1000))

    def terminated(self: NerTask, model: nn.Module, batch: Batch) -> Loss:
        if next(calls) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(self, model, batch)

    return terminated


@pytest.mark.parametrize("step", [1, 5, 11])
def test_a_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not(
    data: Path, straight: Path, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(NerTask, "loss", terminating(step))
        with pytest.raises(Interrupted, match=f"at step {step + 1}, saved; the same command goes on"):
            made(data, tmp_path / "exp")
    assert not (tmp_path / "exp" / "bundle").exists()
    with pytest.raises(UserError, match="training has not ended"):
        Tagger.load(tmp_path / "exp")
    torch.manual_seed(step)
    assert same(made(data, tmp_path / "exp"), straight)


def test_a_run_of_all_units_goes_on_too(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lexicon.txt").write_text("play P L EY\nqueen K W IY N\nrome R OW M\n")

    def run(out: Path) -> Path:
        units = "words,chars,phones,bytes"
        lexicon = tmp_path / "lexicon.txt"
        train(train=[data], out=out, units=units, lexicon=lexicon, asr_text=True, config=CONF, set_=[*SETS, *BIOES])
        return out

    with monkeypatch.context() as patch:
        patch.setattr(NerTask, "loss", terminating(7))
        with pytest.raises(Interrupted):
            run(tmp_path / "stopped")
    assert same(run(tmp_path / "stopped"), run(tmp_path / "whole"))


BIOES = ["model.scheme=bioes", "model.layers=2", "train.average=mean"]


def test_a_run_that_is_made_longer_is_that_of_the_whole_length(data: Path, tmp_path: Path) -> None:
    steady = ["train.schedule=constant", "train.score_unit=steps", "train.score_every=6", "train.select=last"]
    out = made(data, tmp_path / "exp", *steady)
    half = load_file(bundle.weights(out))
    made(data, out, *steady, "train.steps=24")
    assert not all(torch.equal(tensor, half[name]) for name, tensor in load_file(bundle.weights(out)).items())
    assert json.loads((out / "summary.json").read_text())["step"] == 24
    assert same(out, made(data, tmp_path / "whole", *steady, "train.steps=24"))


def test_data_processes_change_nothing(data: Path, straight: Path, tmp_path: Path) -> None:
    assert same(made(data, tmp_path / "exp", "train.workers=1"), straight)


def test_a_process_that_was_told_to_stop_goes_on(data: Path, tmp_path: Path) -> None:
    steady = ["train.schedule=constant", "train.select=last", "train.score_every=1000", "train.log_every=1"]
    sets = [part for one in [*SETS, *steady, "train.steps=100000"] for part in ("--set", one)]
    arguments = ["--train", data, "--config", CONF, *sets, "--out", tmp_path / "exp"]
    log = tmp_path / "log"
    with open(log, "w") as file:
        process = subprocess.Popen(command(*arguments), cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    records, end = tmp_path / "exp" / "metrics.jsonl", time.monotonic() + WAIT
    while not records.exists() or records.read_text().count("\n") < 4:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT) == 75, log.read_text()  # schedulers start it again
    assert "saved; the same command goes on from there" in log.read_text()
    assert "Traceback" not in log.read_text()
    (saved,) = (int(path.name.removeprefix("step-")) for path in (tmp_path / "exp" / "checkpoints").iterdir())
    steady.append(f"train.steps={saved + 8}")
    assert same(made(data, tmp_path / "exp", *steady), made(data, tmp_path / "whole", *steady))


# ---------------------------------------------------------------------------------------------- its options


def test_a_share_of_the_sentences(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for share in (0.1, 0.5, 1.0):
        out = tmp_path / str(share)
        train(train=[data], out=out, share=share, config=CONF, set_=SETS)
        loaded = bundle.load(out)
        assert loaded.config["data"]["share"] == share
        tables = Tables.load(loaded.assets / FILE)
        assert f"vocabulary: {len(tables.symbols['words'])} words" in capsys.readouterr().err
        seen.append(set(tables.symbols["words"]))
    assert seen[0] < seen[1] < seen[2]  # fewer sentences are part of more


@pytest.mark.parametrize(("share", "told"), [(0.0, "greater than 0"), (1.5, "less than or equal to 1")])
def test_no_share_is_refused(data: Path, share: float, told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"data\.share: Input should be {told}"):
        train(train=[data], out=tmp_path / "exp", share=share)
    assert not (tmp_path / "exp").exists()


@pytest.mark.parametrize("units", ["", "letters", "words,", "words;chars", "Words", "chars,,bytes"])
def test_unknown_units_are_refused(data: Path, units: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Input should be 'words', 'chars', 'phones' or 'bytes'"):
        train(train=[data], out=tmp_path / "exp", units=units)
    assert not (tmp_path / "exp").exists()


def test_no_units_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="units: Tuple should have at least 1 item"):
        train(train=[data], out=tmp_path / "exp", set_=["units=[]"])
    assert not (tmp_path / "exp").exists()


@pytest.mark.parametrize("units", ["phones", "words,chars,phones"])
def test_phones_without_pronunciations_are_refused(data: Path, units: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="phones need pronunciations") as caught:
        train(train=[data], out=tmp_path / "exp", units=units)
    assert "--g2p" in str(caught.value.fix)
    assert "--lexicon" in str(caught.value.fix)
    assert not (tmp_path / "exp").exists()


def test_units_are_taken_in_any_order_and_once(capsys: pytest.CaptureFixture[str]) -> None:
    train(units="bytes,words , bytes,chars", print_config=True)
    assert yaml.safe_load(capsys.readouterr().out)["units"] == ["words", "chars", "bytes"]


def test_what_is_missing_is_told(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs --train and --out"):
        train()
    with pytest.raises(UserError, match=r"needs --train\n"):
        train(out=tmp_path / "exp")
    with pytest.raises(UserError, match=r"needs --out\n"):
        train(train=[data])
    with pytest.raises(UserError, match=r"nothing\.conll"):
        train(train=[tmp_path / "nothing.conll"], out=tmp_path / "exp")
    with pytest.raises(UserError, match=r"nothing\.conll"):
        train(train=[data], dev=[tmp_path / "nothing.conll"], out=tmp_path / "exp")
    assert not (tmp_path / "exp").exists()


def test_bad_sentences_are_told_before_anything_is_written(tmp_path: Path) -> None:
    bad = tmp_path / "bad.conll"
    bad.write_text(
        "fly\tO\nto\tO\nRome\tB-city\n\nplay\n\nto\tO\nOslo\tB-city\n\nRome\tX-city\n\nto\tO\nRome\tB-city\n"
    )
    with pytest.raises(DataError) as caught:
        train(train=[bad], out=tmp_path / "exp", config=CONF, set_=SETS)
    for line in (5, 10):
        assert f"bad.conll:{line}" in str(caught.value)
    assert not (tmp_path / "exp").exists()
    train(train=[bad], out=tmp_path / "exp", max_bad=0.5, config=CONF, set_=SETS)
    rejected = [json.loads(line) for line in (tmp_path / "exp" / "rejected.jsonl").read_text().splitlines()]
    assert len(rejected) == 2


def test_options_are_checked_by_the_command_too(data: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command("--train", data, "--units", "phones", "--out", tmp_path / "exp"),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=WAIT,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "error: units: phones need pronunciations"
    assert os.listdir(tmp_path) == []


def test_a_printed_config_says_all_that_the_options_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(
        train=[Path("a.conll"), Path("b.conll")],
        dev=[Path("c.conll")],
        units="words,phones",
        g2p=Path("exp/g2p"),
        lexicon=Path("lexicon.txt"),
        asr_text=True,
        share=0.5,
        seed=7,
        max_bad=0.1,
        set_=["model.scheme=bioes", "train.steps=200"],
        print_config=True,
    )
    printed = tmp_path / "config.yaml"
    printed.write_text(capsys.readouterr().out)
    config = build(Ner, printed)
    assert (config.data.train, config.data.dev) == (("a.conll", "b.conll"), ("c.conll",))
    assert (config.data.share, config.data.max_bad, config.train.seed, config.train.steps) == (0.5, 0.1, 7, 200)
    assert (config.units, config.phones.g2p, config.phones.lexicon) == (("words", "phones"), "exp/g2p", "lexicon.txt")
    assert (config.text.asr, config.model.scheme) == (True, "bioes")
    assert to_yaml(config) == printed.read_text()
    train(config=printed, print_config=True)
    assert capsys.readouterr().out == printed.read_text()
    train(config=printed, share=0.25, seed=0, print_config=True)  # options come before the file
    again = yaml.safe_load(capsys.readouterr().out)
    assert (again["data"]["share"], again["train"]["seed"], again["text"]["asr"]) == (0.25, 0, True)


def test_a_printed_config_is_all_that_a_run_needs(
    data: Path, straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(train=[data], config=CONF, set_=SETS, print_config=True)
    (tmp_path / "config.yaml").write_text(capsys.readouterr().out)
    train(config=tmp_path / "config.yaml", out=straight)
    assert "nothing to do" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- kept vectors

SENTENCES = small_ner.sentences()


@pytest.fixture(scope="module")
def cold(learnt: Path) -> list[tuple[object, tuple[float, ...]]]:
    """What is found in each sentence by a tagger that has seen no other."""
    found = [Tagger.load(learnt).tag([sentence])[0] for sentence in SENTENCES]
    return [(one.entities, one.confidence) for one in found]


@pytest.fixture(scope="module")
def warm(learnt: Path) -> Tagger:
    """A tagger that goes on from test to test."""
    return Tagger.load(learnt)


@settings(max_examples=40)
@given(
    groups=st.lists(st.lists(st.integers(0, len(SENTENCES) - 1), max_size=6), min_size=1, max_size=4), room=st.data()
)
def test_what_was_tagged_before_changes_nothing(
    learnt: Path,
    cold: list[tuple[object, tuple[float, ...]]],
    warm: Tagger,
    groups: list[list[int]],
    room: st.DataObject,
) -> None:
    """In any order, alone or together, with vectors that are kept, made anew, or forgotten on the way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("voxkit.commands.ner.tagger.REMEMBERED", room.draw(st.sampled_from([0, 3, 20, 100_000])))
        for group in groups:
            for place, found in zip(group, warm.tag([SENTENCES[place] for place in group]), strict=True):
                entities, confidence = cold[place]
                assert found.entities == entities
                np.testing.assert_allclose(found.confidence, confidence, atol=1e-5)


def test_a_sentence_says_the_same_again(warm: Tagger) -> None:
    assert warm.tag(SENTENCES) == warm.tag(SENTENCES)
