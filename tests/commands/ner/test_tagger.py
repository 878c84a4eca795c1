"""A trained model: in torch, in onnxruntime, quantized."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.commands.ner.small_ner import make, sentences
from voxkit import bundle
from voxkit.commands.ner import export
from voxkit.commands.ner.command import PhoneConfig
from voxkit.commands.ner.pronouncing import Pronouncer, assets
from voxkit.commands.ner.tagger import Tagger
from voxkit.data.lexicon import Lexicon
from voxkit.data.tagging import Sentence, entities
from voxkit.errors import UserError
from voxkit.packed import Quantization, parameters


@pytest.fixture(scope="module")
def exp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("ner") / "exp")


def test_it_finds_what_it_has_learnt(exp: Path) -> None:
    tagger, some = Tagger.load(exp), sentences()
    found = tagger.tag(some)
    right = sum(
        set(one.entities) == set(entities(sentence.tags or ())) for one, sentence in zip(found, some, strict=True)
    )
    assert right >= 0.9 * len(some)
    assert all(0 < value <= 1 for one in found for value in one.confidence)
    assert all(len(one.entities) == len(one.confidence) for one in found)


def test_what_is_found_depends_on_the_sentence_alone(exp: Path) -> None:
    some = [*sentences(), Sentence.of("empty", []), Sentence.of("long", ["play", "Queen"] * 60)]
    together = Tagger.load(exp).tag(some)
    tagger = Tagger.load(exp)
    for sentence, found in zip(some, together, strict=True):
        (alone,) = tagger.tag([sentence])
        assert alone.entities == found.entities
        np.testing.assert_allclose(alone.confidence, found.confidence, atol=1e-5)
    assert together[-2].entities == ()
    assert [one.confidence for one in tagger.tag(some[:3], confidence=False)] == [(), (), ()]


def test_vectors_of_words_are_kept_and_forgotten(exp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxkit.commands.ner.tagger.REMEMBERED", 5)
    some = sentences()
    tagger = Tagger.load(exp)
    found = [tagger.tag([sentence])[0].entities for sentence in some]
    assert found == [Tagger.load(exp).tag([sentence])[0].entities for sentence in some]


def test_an_export_says_the_same(exp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export.run(exp, tmp_path / "onnx")
    assert "onnxruntime says what torch says" in capsys.readouterr().err
    ours, theirs = Tagger.load(exp), Tagger.load(tmp_path / "onnx")
    some = sentences()
    for one, other in zip(ours.tag(some), theirs.tag(some), strict=True):
        assert one.entities == other.entities
        np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-4)
    assert ours.identity() != theirs.identity()
    with pytest.raises(UserError, match="an ONNX graph already"):
        export.run(tmp_path / "onnx", tmp_path / "again")


def test_a_quantized_bundle_finds_the_same(exp: Path, tmp_path: Path) -> None:
    loaded = bundle.load(exp)
    kept = {path.name: path for path in loaded.assets.iterdir()}
    state, names = loaded.model.state_dict(), parameters(loaded.model)
    bundle.save(tmp_path / "q", "ner", loaded.config, state, kept, Quantization(bits=8), names)
    some = sentences()
    found = [one.entities for one in Tagger.load(exp).tag(some)]
    quantized = [one.entities for one in Tagger.load(tmp_path / "q").tag(some)]
    assert sum(one == other for one, other in zip(found, quantized, strict=True)) >= len(some) - 2


def test_another_model_is_another_identity(exp: Path, tmp_path: Path) -> None:
    shutil.copytree(exp, tmp_path / "copy")
    assert Tagger.load(tmp_path / "copy").identity() == Tagger.load(exp).identity()
    tables = tmp_path / "copy" / "assets" / "tables.json"
    tables.write_text(json.dumps(json.loads(tables.read_text())))
    assert Tagger.load(tmp_path / "copy").identity() != Tagger.load(exp).identity()


def test_text_as_recognised_is_prepared(tmp_path: Path) -> None:
    tagger = Tagger.load(make(tmp_path / "asr", epochs=1, asr=True))
    assert tagger.prepared(Sentence.of("1", ["Baden-Baden", "!"])).words == ("baden", "baden")


def test_pronunciations_come_from_the_lexicon_in_any_case() -> None:
    lexicon = Lexicon()
    lexicon.add("Rome", ("r", "oh", "m"), 0.9)
    lexicon.add("Rome", ("r", "o"), 0.1)
    pronounce = Pronouncer(lexicon, None)
    assert pronounce(["rome", "Rome", "ROME", "Oslo"]) == {
        "rome": ("r", "oh", "m"),
        "Rome": ("r", "oh", "m"),
        "ROME": ("r", "oh", "m"),
        "Oslo": (),
    }


def test_a_lexicon_travels_with_the_model(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("rome R OW M\n")
    (tmp_path / "assets").mkdir()
    config = PhoneConfig(lexicon=str(tmp_path / "lexicon.txt"))
    assert set(assets(config, tmp_path / "assets")) == {"lexicon.txt"}
    (tmp_path / "lexicon.txt").unlink()
    assert Pronouncer.of_assets(tmp_path / "assets", config)(["rome"]) == {"rome": ("R", "OW", "M")}


def test_a_model_that_pronounces_nothing_is_refused(exp: Path) -> None:
    with pytest.raises(UserError, match="pronounces nothing"):
        Pronouncer(None, exp)


def test_a_model_of_another_system_is_refused(tmp_path: Path) -> None:
    made = make(tmp_path / "exp", epochs=0)
    config = made / "config.yaml"
    loaded = bundle.load(made)
    bundle.save(
        tmp_path / "other",
        "ner",
        loaded.config,
        loaded.model.state_dict(),
        {path.name: path for path in loaded.assets.iterdir()},
    )
    other = tmp_path / "other" / "config.yaml"
    other.write_text(config.read_text().replace("system: ner", "system: nothing"))
    with pytest.raises(UserError, match="nothing"):
        Tagger.load(tmp_path / "other")


def test_it_runs_where_the_model_is(exp: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU, and VOXKIT_TEST_GPU=1")
    loaded = bundle.load(exp, "cuda")
    on_cpu = Tagger.load(exp)
    tagger = Tagger(loaded.model, on_cpu.tables, on_cpu.config)
    assert [one.entities for one in tagger.tag(sentences())] == [one.entities for one in on_cpu.tag(sentences())]
