"""Models of ner in fewer bits, and as integers."""

import json
import shutil
from itertools import islice
from pathlib import Path

import pytest

from tests.commands.ner.small_ner import columns, make, sentences, tagged
from voxkit import bundle
from voxkit.commands.ner.tables import FILE, UNKNOWN
from voxkit.commands.ner.tagger import Tagger
from voxkit.commands.ner.task import InUse
from voxkit.commands.quantize import afterwards, eight, training
from voxkit.commands.quantize.command import Quantize
from voxkit.commands.quantize.source import Data, open_source
from voxkit.config import build
from voxkit.errors import UserError

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


STRANGE = (
    tagged("zebras like", ("Żółć", "place"), "very much", id="a"),
    tagged("thank", ("Xq", "person"), id="b"),
)  # other words, letters and labels than the model has learnt


def test_the_model_is_calibrated_by_its_own_numbers(exp: Path, tmp_path: Path) -> None:
    loaded = open_source(exp)
    used = InUse(loaded, columns(tmp_path / "other.conll", *STRANGE), tmp_path)
    tables = used.tagger.tables
    told = {}
    for lengths, places, words, letters, counts in used.calibration():
        for row, length in zip(places.tolist(), lengths.tolist(), strict=True):
            told[length] = words[row[:length]].tolist()
            assert letters[row[0], : counts[row[0]]].tolist() in [
                tables.spelt("chars", one.words[0]) for one in STRANGE
            ]
    assert told == {5: [UNKNOWN] * 5, 2: [tables.word_number("thank"), UNKNOWN]}
    assert tables.word_number("thank") != UNKNOWN


def test_any_sentences_are_good_for_calibration_and_scores(exp: Path, tmp_path: Path) -> None:
    """Fewer labels, and more words than the model has."""
    more = [tagged(*(f"{letter}word{number}" for letter in "αβγδ"), ("Rome", "city")) for number in range(60)]
    other = columns(tmp_path / "other.conll", *more, *STRANGE)
    eight.run(open_source(exp), build(Quantize), Data(calibrate=other, dev=other), tmp_path / "out", report=True)
    facts = bundle.load(tmp_path / "out").model.facts
    tables = Tagger.load(exp).tables
    assert json.loads(facts["tags"]) == list(tables.tags)
    assert json.loads(facts["symbols"]) == {unit: list(names) for unit, names in tables.symbols.items()}
    assert same(exp, tmp_path / "out") >= 0.9 * len(ROWS)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert set(report["scores"]) == {"float", "int8"}
    afterwards.run(open_source(exp), build(Quantize), Data(dev=other), tmp_path / "after", report=True)


def test_calibration_looks_at_sentences_of_all_lengths(exp: Path, dev: Path, tmp_path: Path) -> None:
    used = InUse(open_source(exp), dev, tmp_path)
    used.tagger.config = used.tagger.config.model_copy(
        update={"batch": used.tagger.config.batch.model_copy(update={"words": 20})}
    )
    lengths = [int(call[0].max()) for call in islice(used.calibration(), 8)]
    assert len(set(lengths)) > 1


def test_the_tables_of_another_model_are_refused(exp: Path, dev: Path, tmp_path: Path) -> None:
    eight.run(open_source(exp), build(Quantize), Data(calibrate=dev), tmp_path / "out", report=False)
    copy = shutil.copytree(tmp_path / "out" / "bundle", tmp_path / "copy")
    content = json.loads((copy / "assets" / FILE).read_text())
    for key, change in (
        ("tags", lambda tags: ["O", *tags[3:], *tags[1:3]]),
        ("symbols", lambda symbols: {**symbols, "words": symbols["words"][:-1]}),
    ):
        (copy / "assets" / FILE).write_text(json.dumps({**content, key: change(content[key])}))
        with pytest.raises(UserError, match=f"tables of another model: its graph has other {key}"):
            Tagger.load(copy)
    (copy / "assets" / FILE).write_text(json.dumps(content))
    Tagger.load(copy)
