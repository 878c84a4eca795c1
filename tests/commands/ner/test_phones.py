"""Models that hear words: a model of `voxkit g2p`, and a lexicon, inside of a bundle of `ner`."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands.g2p import small_model
from tests.commands.ner import small_ner
from voxkit import bundle
from voxkit.commands.g2p.search import Hypothesis
from voxkit.commands.ner import apply, export
from voxkit.commands.ner.apply import Request
from voxkit.commands.ner.command import Ner, PhoneConfig, train
from voxkit.commands.ner.pronouncing import G2P, LEXICON, Pronouncer, assets
from voxkit.commands.ner.tables import FILE, UNKNOWN, Tables
from voxkit.commands.ner.tagger import Tagged, Tagger
from voxkit.commands.ner.task import NerTask, inputs
from voxkit.commands.quantize import afterwards, eight, training
from voxkit.commands.quantize.command import Quantize
from voxkit.commands.quantize.source import Data, open_source, own_config, require_same_assets
from voxkit.config import build
from voxkit.data.lexicon import Lexicon
from voxkit.data.tagging import Sentence
from voxkit.errors import DataError, UserError
from voxkit.packed import Quantization, parameters

CONF = Path(__file__).parents[3] / "conf" / "ner" / "tiny.yaml"
SETS = ["train.device=cpu", "train.threads=1", "train.steps=40", "train.lr=0.02", "train.score_every=10"]
WORDS = ("bad", "cab", "dab", "man", "decoded")  # of the first language of the small model of g2p
SENTENCES = [
    small_ner.tagged("name", (word, "name"), *(("and", (other, "name")) if other else ()), id=f"{word} {other}")
    for word in WORDS
    for other in ("", *WORDS[:3])
] + [small_ner.tagged("12 ?", id="none")]


@pytest.fixture(scope="module")
def g2p(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model.make(tmp_path_factory.mktemp("g2p") / "bundle")


@pytest.fixture(scope="module")
def other_g2p(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that says other things."""
    return small_model.make(tmp_path_factory.mktemp("other_g2p") / "bundle", steps=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_ner.columns(tmp_path_factory.mktemp("data") / "train.conll", *SENTENCES)


@pytest.fixture(scope="module")
def exp(data: Path, g2p: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model of words and phones, whose g2p was elsewhere and is gone."""
    folder = tmp_path_factory.mktemp("exp")
    shutil.copytree(g2p, folder / "g2p")
    train(train=[data], out=folder / "exp", units="words,phones", g2p=folder / "g2p", config=CONF, set_=SETS)
    shutil.rmtree(folder / "g2p")
    return folder / "exp"


@pytest.fixture
def copy(exp: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exp / "bundle", tmp_path / "copy")


def task(data: Path, g2p: Path | None, folder: Path, *sets: str, lexicon: Path | None = None) -> NerTask:
    folder.mkdir()
    phones = {"g2p": g2p and str(g2p), "lexicon": lexicon and str(lexicon)}
    return NerTask(build(Ner, CONF, [*SETS, *sets], data={"train": (str(data),)}, phones=phones), folder)


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def require_alike(found: Sequence[Tagged], again: Sequence[Tagged], tolerance: float = 1e-4) -> None:
    for one, other in zip(found, again, strict=True):
        assert one.entities == other.entities
        np.testing.assert_allclose(one.confidence, other.confidence, atol=tolerance)


# ---------------------------------------------------------------------------------------------- the task


@pytest.mark.parametrize("units", ["phones", "words,phones", "words,chars,phones,bytes"])
def test_words_are_read_as_the_model_of_g2p_says_them(data: Path, g2p: Path, units: str, tmp_path: Path) -> None:
    made = task(data, g2p, tmp_path / "task", f"units=[{units}]", "phones.language=one")
    assert content(made.assets[G2P]) == content(g2p)
    model = bundle.load(g2p).model
    names = made.tables.symbols["phones"]
    symbols, lengths = made.symbols[[unit for unit in units.split(",") if unit != "words"].index("phones")]
    best = model.pronounce([(word, "one") for word in WORDS], beam=1)
    said = {word: several[0].phones for word, several in zip(WORDS, best, strict=True)}
    for word in WORDS:
        place = made.words.index(word)
        assert tuple(names[number] for number in symbols[place, : lengths[place]]) == said[word]
    assert said["bad"] == small_model.spoken("bad", "one")
    number = made.words.index("12")  # no letter of it is known
    assert symbols[number, : lengths[number]].tolist() == [UNKNOWN]
    batch = made.batches("train", 0)[0]
    assert len(batch.parts) == 2 * len(units.split(",")) - ("words" in units)
    assert made.model()(*inputs(batch)).emissions.shape == (*batch.places.shape, len(made.tables.tags))


def test_the_language_is_told_to_the_model_of_g2p(data: Path, g2p: Path, tmp_path: Path) -> None:
    one, two = (
        task(data, g2p, tmp_path / language, "units=[phones]", f"phones.language={language}")
        for language in ("one", "two")
    )
    assert set("bad") <= set(one.tables.symbols["phones"])
    assert not set("bad") & set(two.tables.symbols["phones"])
    assert {"B", "D"} <= set(two.tables.symbols["phones"])


def test_the_vocabulary_has_phones(data: Path, g2p: Path, tmp_path: Path) -> None:
    made = task(data, g2p, tmp_path / "task", "units=[words,phones]")
    words, phones = (len(made.tables.symbols[unit]) for unit in ("words", "phones"))
    assert made.account().startswith(f"vocabulary: {words} words, {phones} phones ({phones} subword symbols); 1 label")


def test_other_pronunciations_under_the_same_names_are_refused(
    data: Path, g2p: Path, other_g2p: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(g2p, tmp_path / "g2p")
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("bad X Y\n")
    sets = [*SETS, "train.steps=6"]
    given: dict[str, Any] = {"train": [data], "out": tmp_path / "exp", "config": CONF, "set_": sets}
    given |= {"units": "phones", "g2p": tmp_path / "g2p", "lexicon": lexicon}
    train(**given)
    capsys.readouterr()
    train(**given)
    assert "nothing to do" in capsys.readouterr().err
    lexicon.write_text("bad X Z\n")
    with pytest.raises(UserError, match=r"another config\n  phones\.digests\.\S*lexicon\.txt: \w+ -> \w+"):
        train(**given)
    lexicon.write_text("bad X Y\n")
    shutil.copyfile(other_g2p / "model.safetensors", tmp_path / "g2p" / "model.safetensors")
    with pytest.raises(UserError, match=r"another config\n  phones\.digests\.\S*safetensors: \w+ -> \w+"):
        train(**given)


def test_what_pronounces_nothing_is_refused(data: Path, exp: Path, g2p: Path, tmp_path: Path) -> None:
    def run(**given: Any) -> None:
        train(train=[data], out=tmp_path / "exp", units="phones", config=CONF, set_=SETS, **given)

    with pytest.raises(UserError, match=f"^{exp}: a model of ner that pronounces nothing"):
        run(g2p=exp)
    with pytest.raises(UserError, match=r"nowhere: holds no trained model"):
        run(g2p=tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"nothing\.txt: cannot be read"):
        run(g2p=g2p, lexicon=tmp_path / "nothing.txt")
    (tmp_path / "bad.txt").write_text("bad B AE D\nman\ncab\n")
    with pytest.raises(DataError) as caught:
        run(g2p=g2p, lexicon=tmp_path / "bad.txt")
    assert "bad.txt:2" in str(caught.value)
    assert "bad.txt:3" in str(caught.value)
    assert os.listdir(tmp_path) == ["bad.txt"]


# ---------------------------------------------------------------------------------------------- pronunciations


def test_the_lexicon_comes_before_the_model(g2p: Path, tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("Bad X Y\ncab 1 2 3\ncab Z\n")
    (tmp_path / "assets").mkdir()
    config = PhoneConfig(g2p=str(g2p), lexicon=str(tmp_path / "lexicon.txt"), language="one")
    assert set(assets(config, tmp_path / "assets")) == {G2P, LEXICON}
    said = Pronouncer.of_assets(tmp_path / "assets", config)(["bad", "BAD", "cab", "man", "?"])
    assert said == {"bad": ("X", "Y"), "BAD": ("X", "Y"), "cab": ("1", "2", "3"), "man": ("m", "a", "n"), "?": ()}


def test_a_model_with_both_says_what_both_say(
    data: Path, g2p: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lexicon.txt").write_text("bad X Y\n")
    sets = [*SETS, "train.steps=6", "phones.language=one"]
    given: dict[str, Any] = {"units": "phones", "g2p": g2p, "lexicon": tmp_path / "lexicon.txt"}
    train(train=[data], out=tmp_path / "exp", config=CONF, set_=sets, **given)
    loaded = bundle.load(tmp_path / "exp")
    assert sorted(path.name for path in loaded.assets.iterdir()) == [G2P, LEXICON, FILE]
    phones = Tables.load(loaded.assets / FILE).symbols["phones"]
    assert {"X", "Y", "m", "c"} <= set(phones)
    (tmp_path / "lexicon.txt").unlink()
    pronounce = Pronouncer.of_assets(loaded.assets, PhoneConfig(**loaded.config["phones"]))
    assert pronounce(["man", "bad"]) == {"man": ("m", "a", "n"), "bad": ("X", "Y")}
    (one,) = Tagger.load(tmp_path / "exp").tag([Sentence.of("s", ["name", "bad"])])
    without = shutil.copytree(tmp_path / "exp" / "bundle", tmp_path / "without")
    (without / "assets" / LEXICON).write_text("man\tm\n")
    (other,) = Tagger.load(without).tag([Sentence.of("s", ["name", "bad"])])
    assert one != other  # the model hears another word
    (without / "assets" / LEXICON).unlink()
    with pytest.raises(UserError, match=r"lexicon\.txt: missing"):
        Tagger.load(without)


class Counting:
    """Stands for a model of g2p; notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pronounce(self, words: Sequence[tuple[str, str]], beam: int) -> list[list[Any]]:
        self.asked += [word for word, _ in words]
        return [[] for _ in words]


def test_each_word_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxkit.commands.ner.pronouncing.AT_ONCE", 3)
    lexicon = Lexicon()
    lexicon.add("known", ("k",))
    pronounce, model = Pronouncer(lexicon, None), Counting()
    pronounce._model = model
    words = [f"w{number}" for number in range(7)]
    assert list(pronounce([*words, "known", *words])) == [*words, "known"]
    pronounce([*reversed(words), "Known", "new"])
    assert model.asked == [*words, "new"]


def test_a_model_of_g2p_in_fewer_bits_can_be_taken(data: Path, g2p: Path, tmp_path: Path) -> None:
    loaded = bundle.load(g2p)
    kept = {path.name: path for path in loaded.assets.iterdir()}
    state, names = loaded.model.state_dict(), parameters(loaded.model)
    bundle.save(tmp_path / "g2p", "g2p", loaded.config, state, kept, Quantization(bits=8), names)
    made = task(data, tmp_path / "g2p", tmp_path / "task", "units=[phones]", "phones.language=one")
    assert made.said(["man", "bad"]) == {"man": ("m", "a", "n"), "bad": ("b", "a", "d")}


# ---------------------------------------------------------------------------------------------- the bundle


def test_the_model_of_g2p_travels_with_the_bundle(exp: Path, g2p: Path, tmp_path: Path) -> None:
    """The folder that it came from is gone."""
    loaded = bundle.load(exp)
    assert not Path(loaded.config["phones"]["g2p"]).exists()
    assert content(loaded.assets / G2P) == content(g2p)
    moved = shutil.copytree(exp / "bundle", tmp_path / "moved")
    new = [Sentence.of("new", ["name", "sample", "and", "dad"])]  # words that no training had
    require_alike(Tagger.load(exp).tag([*SENTENCES, *new]), Tagger.load(moved).tag([*SENTENCES, *new]), 0)


def test_what_it_learnt_is_found(exp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [set(one.entities) for one in Tagger.load(exp).tag(SENTENCES)]
    assert sum(one == set(of.entities()) for one, of in zip(found, SENTENCES, strict=True)) >= 0.9 * len(SENTENCES)
    (tmp_path / "a.txt").write_text("name cab and man\n12 ?\n")
    capsys.readouterr()
    apply.run(Request(exp, (tmp_path / "a.txt",)))
    assert capsys.readouterr().out == "name [cab](name) and [man](name)\n12 ?\n"


def test_a_bundle_without_its_model_of_g2p_is_refused(copy: Path, data: Path) -> None:
    shutil.rmtree(copy / "assets" / G2P)
    with pytest.raises(UserError, match="g2p: missing, so the model cannot hear words"):
        Tagger.load(copy)
    with pytest.raises(UserError, match="g2p: missing, so the model cannot hear words"):
        own_config(bundle.load(copy), data, data)


def test_another_model_of_g2p_is_another_identity(exp: Path, copy: Path, other_g2p: Path) -> None:
    tagger = Tagger.load(exp)
    assert Tagger.load(copy).identity() == tagger.identity()
    weights = copy / "assets" / G2P / "model.safetensors"
    shutil.copyfile(other_g2p / "model.safetensors", weights)
    assert Tagger.load(copy).identity() != tagger.identity()
    shutil.copyfile(exp / "bundle" / "assets" / G2P / "model.safetensors", weights)
    assert Tagger.load(copy).identity() == tagger.identity()


def test_another_lexicon_is_another_identity(copy: Path) -> None:
    found = {Tagger.load(copy).identity()}
    for line in ("bad X\n", "bad Y\n"):
        (copy / "assets" / LEXICON).write_text(line)
        found.add(Tagger.load(copy).identity())
    assert len(found) == 3


# ---------------------------------------------------------------------------------------------- what becomes of it


def test_an_export_has_the_model_of_g2p_too(exp: Path, tmp_path: Path) -> None:
    export.run(exp, tmp_path / "onnx")
    theirs = bundle.load(tmp_path / "onnx")
    assert content(theirs.assets) == content(exp / "bundle" / "assets")
    ours, graph = Tagger.load(exp), Tagger.load(tmp_path / "onnx")
    new = [Sentence.of("new", ["name", "sample", "and", "dad"])]
    require_alike(ours.tag([*SENTENCES, *new]), graph.tag([*SENTENCES, *new]))
    assert graph.identity() != ours.identity()


def test_fewer_bits_afterwards_keep_the_model_of_g2p(exp: Path, tmp_path: Path) -> None:
    afterwards.run(open_source(exp), build(Quantize), Data(), tmp_path / "out", report=False)
    assert content(bundle.load(tmp_path / "out").assets) == content(exp / "bundle" / "assets")
    assert bundle.size(tmp_path / "out").weights < 0.4 * bundle.size(exp).weights
    require_alike(Tagger.load(exp).tag(SENTENCES), Tagger.load(tmp_path / "out").tag(SENTENCES), 0.05)


def test_integers_keep_the_model_of_g2p(data: Path, g2p: Path, tmp_path: Path) -> None:
    train(train=[data], out=tmp_path / "exp", units="phones", g2p=g2p, config=CONF, set_=SETS)
    given = Data(calibrate=data, dev=data)
    eight.run(open_source(tmp_path / "exp"), build(Quantize), given, tmp_path / "out", report=False)
    assert content(bundle.load(tmp_path / "out").assets) == content(tmp_path / "exp" / "bundle" / "assets")
    found, again = (Tagger.load(tmp_path / name).tag(SENTENCES, confidence=False) for name in ("exp", "out"))
    assert sum(one == other for one, other in zip(found, again, strict=True)) >= 0.9 * len(SENTENCES)


def test_data_for_another_model_of_g2p_are_told(exp: Path, data: Path, g2p: Path, tmp_path: Path) -> None:
    loaded = bundle.load(exp)
    made = task(data, g2p, tmp_path / "task", "units=[words,phones]")
    require_same_assets(loaded, made)

    def change_byte(folder: Path) -> None:
        file = folder / "model.safetensors"
        written = bytearray(file.read_bytes())
        written[-1] ^= 1
        file.write_bytes(written)

    def change_nested(folder: Path) -> None:
        tables = folder / "assets" / "tables.json"
        tables.write_text(json.dumps(json.loads(tables.read_text())) + "\n\n")

    def add(folder: Path) -> None:
        (folder / "more.txt").touch()

    def remove(folder: Path) -> None:
        (folder / "config.yaml").unlink()

    def replace_by_file(folder: Path) -> None:
        shutil.rmtree(folder)
        folder.touch()

    mine = made.assets[G2P]
    for change in (change_byte, change_nested, add, remove, replace_by_file, lambda folder: folder.unlink()):
        change(mine)
        with pytest.raises(UserError, match="they make another g2p"):
            require_same_assets(loaded, made)
        if change is not replace_by_file:
            shutil.rmtree(mine, ignore_errors=True)
            shutil.copytree(g2p, mine)
            require_same_assets(loaded, made)


def test_a_bundle_that_lacks_the_folder_is_told(copy: Path, data: Path, g2p: Path, tmp_path: Path) -> None:
    made = task(data, g2p, tmp_path / "task", "units=[words,phones]")
    require_same_assets(bundle.load(copy), made)
    shutil.rmtree(copy / "assets" / G2P)
    with pytest.raises(UserError, match="they make another g2p"):
        require_same_assets(bundle.load(copy), made)


def test_entries_that_differ_in_case_are_two() -> None:
    lexicon = Lexicon()
    lexicon.add("Polish", ("P", "OW"))
    lexicon.add("polish", ("P", "AA"))
    assert Pronouncer(lexicon, None)(["Polish", "polish", "POLISH"]) == {
        "Polish": ("P", "OW"),
        "polish": ("P", "AA"),
        "POLISH": ("P", "OW"),
    }


def test_phones_that_look_like_probabilities(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("ma\t1.0\t1 m a\nba\t1.0\t1 b a\n")
    (tmp_path / "assets").mkdir()
    config = PhoneConfig(lexicon=str(tmp_path / "lexicon.txt"))
    assets(config, tmp_path / "assets")
    assert Pronouncer.of_assets(tmp_path / "assets", config)(["ma"]) == {"ma": ("1", "m", "a")}


def test_what_is_said_does_not_depend_on_what_was_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    class Spelling:
        """Tells capitals from small letters."""

        def pronounce(self, words: list[tuple[str, str]], beam: int) -> list[list[Hypothesis]]:
            return [[Hypothesis(tuple(word), 1.0)] for word, _ in words]

    one, two = Pronouncer(None, None), Pronouncer(None, None)
    for pronouncer in (one, two):
        monkeypatch.setattr(pronouncer, "_model", Spelling())
    two(["us"])
    assert one(["US"]) == two(["US"]) == {"US": ("U", "S")}


def test_other_tables_or_another_language_are_another_model(exp: Path, copy: Path) -> None:
    tables = copy / "assets" / "g2p" / "assets" / "tables.json"
    before = tables.read_text()
    tables.write_text(before + " ")
    assert Tagger.load(copy).identity() != Tagger.load(exp).identity()
    tables.write_text(before)
    assert Tagger.load(copy).identity() == Tagger.load(exp).identity()
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("language: ''", "language: two"))
    assert Tagger.load(copy).identity() != Tagger.load(exp).identity()


def test_quantizing_takes_the_g2p_of_the_bundle(exp: Path, data: Path, tmp_path: Path) -> None:
    settings = ["quantization.bits=3", "train.epochs=1", "train.warmup=1", "train.tensorboard=false"]
    loaded = open_source(exp)
    assert not Path(loaded.config["phones"]["g2p"]).exists()
    afterwards.run(loaded, build(Quantize), Data(dev=data), tmp_path / "after", report=True)
    aware = build(Quantize, None, settings)
    training.run(exp, loaded, aware, Data(train=data, dev=data), tmp_path / "aware", False, report=False)
    eight.run(loaded, build(Quantize), Data(calibrate=data, dev=data), tmp_path / "eight", report=False)
    for name in ("after", "aware", "eight"):
        assert len(Tagger.load(tmp_path / name).tag(SENTENCES)) == len(SENTENCES)


def test_pronunciations_without_phones_are_refused(data: Path, g2p: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="are for phones"):
        train(train=[data], units="words", g2p=g2p, out=tmp_path / "exp", config=CONF, set_=SETS)


def test_what_cannot_be_said_is_told(data: Path, g2p: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task(data, g2p, tmp_path / "task", "units=[phones]", "phones.language=xx")
    assert "has not learnt 'xx'" in capsys.readouterr().err
    (tmp_path / "lexicon.txt").write_text("zzz Z\n")
    task(data, None, tmp_path / "other", "units=[phones]", lexicon=tmp_path / "lexicon.txt")
    assert "words have no phones" in capsys.readouterr().err
