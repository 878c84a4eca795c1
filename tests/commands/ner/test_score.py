"""`ner score` with a small model: lines, tables, pictures, and what cannot be scored."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands.ner import small_ner
from voxkit import bundle
from voxkit.commands.ner import score
from voxkit.commands.ner.score import Calibration, Examination
from voxkit.commands.ner.tagger import Tagger
from voxkit.data.tagged_files import read
from voxkit.data.tagging import Sentence
from voxkit.errors import DataError, Problems, UserError

ROOT = Path(__file__).parents[3]
UNSEEN = small_ner.tagged("play", ("Dancing Queen", "track"), "by", ("ABBA", "artist"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_ner.make(tmp_path_factory.mktemp("ner") / "bundle")


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of recognised text."""
    return small_ner.make(tmp_path_factory.mktemp("heard") / "bundle", asr=True)


@pytest.fixture(scope="module")
def training(model: Path) -> Path:
    return model.parent / "bundle_made" / "train.conll"


def scored(capsys: pytest.CaptureFixture[str], examined: Examination, out: Path | None = None) -> dict[str, str]:
    """The lines by their names."""
    capsys.readouterr()
    score.run(examined, out)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.endswith(f" ] {out or examined.model}") for line in lines if line.startswith("%"))
    return {line.split()[0]: line for line in lines}


def test_what_was_learnt_is_found(model: Path, training: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = scored(capsys, Examination(model, (training,)))
    assert float(lines["%F1"].split()[1]) > 95
    assert "%F1-unseen" not in lines
    words = sum(len(sentence.words) for sentence in small_ner.sentences())
    for name in ("%TPS", "%TPS-one"):
        speed, told, seconds = re.match(
            rf"{name} (\d+) \[ (\d+) words / ([\d.]+) s of CPU time, {len(small_ner.sentences())} sentences",
            lines[name],
        ).groups()  # type: ignore[union-attr]
        assert int(told) == words
        assert float(seconds) - 0.006 <= words / int(speed) <= float(seconds) + 0.006
    weights = (model / "model.safetensors").stat().st_size
    assert (
        lines["%BYTES"]
        == f"%BYTES {weights} [ bytes of weights, {bundle.size(model).total} of the whole bundle ] {model}"
    )
    assert float(lines["%ECE"].split()[1]) < 10


def test_a_folder_has_tables_pictures_and_predictions(
    model: Path, training: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = small_ner.columns(tmp_path / "test.conll", *small_ner.sentences()[::3], UNSEEN)
    out = tmp_path / "out"
    lines = scored(capsys, Examination(model, (test,), (training,)), out)
    assert {"%F1", "%F1-unseen", "%F1-seen", "%SENTENCES", "%ECE", "%TPS", "%TPS-one", "%BYTES"} <= set(lines)
    names = {"scores.txt", "score.json", "by_type.tsv", "confusions.tsv", "errors.txt", "predictions.conll"}
    assert names | {"by_type.png", "confusions.png", "config.yaml"} <= set(os.listdir(out))
    assert (out / "scores.txt").read_text().splitlines() == list(lines.values())
    numbers = json.loads((out / "score.json").read_text())
    assert numbers["size"]["weights"] == (model / "model.safetensors").stat().st_size
    assert numbers["speed"]["words"] == numbers["speed_alone"]["words"]
    assert numbers["confidence"]["right"] == numbers["all"]["micro"]["right"]
    problems = Problems()
    predicted, _ = read([out / "predictions.conll"], problems, tagged=True)
    tagger = Tagger.load(model)
    given, _ = read([test], problems, tagged=True)
    assert [one.words for one in predicted] == [one.words for one in given]
    assert [one.entities() for one in predicted] == [found.entities for found in tagger.tag(given)]
    score.run(Examination(model, (test,), (training,)), out)
    told = capsys.readouterr()
    assert "nothing to do" in told.err
    assert told.out.splitlines() == list(lines.values())  # the times too: nothing was measured again
    with pytest.raises(UserError, match="made with other settings"):
        score.run(Examination(model, (test,)), out)


def test_sentences_are_scored_in_the_form_that_the_model_reads(
    model: Path, heard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = small_ner.tagged("Will it rain in", ("BADEN-BADEN", "city"), ",", "Tomorrow ?")
    noise = Sentence.of("n", ["?", "..."], ["O", "B-city"])
    test = small_ner.columns(tmp_path / "test.conll", written, noise)
    lines = scored(capsys, Examination(heard, (test,)), tmp_path / "out")
    assert "100.00 [ P 100.00, R 100.00, 1 right, 1 found, 1 entities" in lines["%F1"]
    assert "7 words" in lines["%TPS"]  # will it rain in baden baden tomorrow
    (found,), _ = read([tmp_path / "out" / "predictions.conll"], Problems(), tagged=True)
    assert found.words[-3:] == ("baden", "baden", "tomorrow")
    again = scored(capsys, Examination(model, (test,), asr_text=True))
    assert "7 words" in again["%TPS"]
    with pytest.raises(UserError, match="nothing but punctuation"):
        score.run(Examination(heard, (small_ner.columns(tmp_path / "noise.conll", noise),)), None)


def test_labels_that_the_model_has_not_learnt_are_told(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = small_ner.tagged("play", ("Waterloo", "song"), "by", ("Queen", "artist"))
    score.run(Examination(model, (small_ner.columns(tmp_path / "test.conll", strange),)), None)
    assert "note: the model has not learnt song;" in capsys.readouterr().err


def test_nothing_to_find_and_nothing_found(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = replace(small_ner.tagged("thank you !"), id="a")
    lines = scored(capsys, Examination(model, (small_ner.columns(tmp_path / "test.conll", plain),)), tmp_path / "out")
    assert "%F1" not in lines
    assert "%ECE" not in lines
    assert "100.00 [ 1 / 1 ]" in lines["%SENTENCES"]


def test_right_and_wrong_entities_are_told_apart() -> None:
    assert Calibration(5.0, 3, 1, 90.0, 40.0, 100.0).line("exp") == (
        "%ECE 5.00 [ mean confidence 90.0 of 3 right, 40.0 of 1 wrong, AUC-PR of errors 100.0 ] exp"
    )
    assert Calibration(5.0, 3, 0, 90.0, None, None).line("exp") == "%ECE 5.00 [ mean confidence 90.0 of 3 right ] exp"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "holds no sentences"),
        (b"play\tO\n\xff\tO\n", "not UTF-8"),
        (b'{"text": "play", "entities": 5}\n', "entities"),
    ],
)
def test_bad_files_are_told(content: bytes, why: str, model: Path, tmp_path: Path) -> None:
    test = tmp_path / "test"
    test.write_bytes(content)
    for out in (None, tmp_path / "out"):
        with pytest.raises(UserError, match=why):
            score.run(Examination(model, (test,)), out)
    with pytest.raises(UserError, match=why):
        score.run(Examination(model, (small_ner.columns(tmp_path / "good.conll", UNSEEN),), (test,)), tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["good.conll", "test"]


def test_few_bad_sentences_can_be_left_out(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = small_ner.columns(tmp_path / "test.conll", *small_ner.sentences())
    test.write_text(test.read_text() + "\nplay\tO\tO\n")
    with pytest.raises(DataError, match="1 of "):
        score.run(Examination(model, (test,)), None)
    scored(capsys, Examination(model, (test,), max_bad=0.1), tmp_path / "out")
    (line,) = (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["where"].startswith(str(test))


def test_the_command(model: Path, training: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "voxkit", "ner", "score"]
    done = subprocess.run([*line, model, training], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("%F1 ")
    done = subprocess.run([*line, tmp_path, training], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "holds no trained model" in done.stderr
