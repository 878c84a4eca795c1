"""What training needs of its texts."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands.lm_nce.small_lm import model, save
from voxkit.commands.lm_nce import corpora as module
from voxkit.commands.lm_nce.command import LmNce, VocabularyConfig
from voxkit.commands.lm_nce.corpora import Corpora, given_weights
from voxkit.commands.lm_nce.vocabulary import BEGIN, UNKNOWN
from voxkit.config import from_mapping
from voxkit.errors import DataError, UserError

TEXTS = {
    "talk": ["I want a taxi", "I want a room", "Book a taxi please", "a room please"] * 5,
    "book": ["the king was old", "the old king rode", "a king"] * 4,
    "dev": ["I want a taxi please", "book a room zzz"],
}


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, str]:
    for name, lines in TEXTS.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    return {name: str(tmp_path / f"{name}.txt") for name in TEXTS}


def config(texts: dict[str, str], **sections: dict[str, Any]) -> LmNce:
    data = {"corpora": {name: texts[name] for name in ("talk", "book")}, "dev": [texts["dev"]]}
    return from_mapping(LmNce, {**sections, "data": {**data, **sections.get("data", {})}}, "test")


def written(found: Corpora, name: str) -> list[str]:
    file = found.tokens(name)
    return [found.vocabulary.text(file[place].tolist()) for place in range(len(file))]


def test_texts_come_back_as_tokens(texts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = Corpora.make(config(texts), tmp_path)
    assert written(found, "talk") == [line.lower() for line in TEXTS["talk"]]
    assert found.vocabulary.tokens[3] == "a"
    assert "zzz" not in found.vocabulary.index
    assert found.dev is not None
    assert [found.vocabulary.text(found.dev[place].tolist()) for place in range(2)] == [
        "i want a taxi please", "book a room <unk>",
    ]  # fmt: skip
    said = capsys.readouterr().err
    assert "--dev: 9 words in 2 sentences, 11.11% unknown" in said
    assert "weights (em): talk" in said
    assert set(found.assets) == {"vocabulary.json", "weights.json"}


def test_em_prefers_what_is_like_dev(texts: dict[str, str], tmp_path: Path) -> None:
    found = Corpora.make(config(texts), tmp_path)
    assert found.weights["talk"] > 0.9
    assert sum(found.weights.values()) == pytest.approx(1)
    facts = json.loads(found.assets["weights.json"].read_text())
    assert facts["mixture"] <= facts["perplexity"]["talk"] + 1e-6 < facts["perplexity"]["book"]
    assert facts["weights"] == found.weights


@pytest.mark.parametrize(
    ("weights", "talk"),
    [
        ({"kind": "uniform"}, 0.5),
        ({"kind": "size"}, 20 / 32),
        ({"kind": "given", "given": {"talk": 1, "book": 3}}, 0.25),
        ({"kind": "given", "given": {"talk": 2}}, 1.0),
    ],
)
def test_other_weights(texts: dict[str, str], tmp_path: Path, weights: dict[str, Any], talk: float) -> None:
    found = Corpora.make(config(texts, weights=weights, data={"dev": []}), tmp_path)
    assert found.weights == pytest.approx({"talk": talk, "book": 1 - talk})
    assert found.dev is None


def test_the_unigram_is_of_what_is_drawn(texts: dict[str, str], tmp_path: Path) -> None:
    given = {"kind": "given", "given": {"talk": 1, "book": 3}}
    words = tmp_path / "words.txt"
    words.write_text("a\ntaxi\nking\nnever\n")
    found = Corpora.make(config(texts, weights=given, data={"words": str(words)}), tmp_path)
    share = dict(zip(found.vocabulary.tokens, found.unigram, strict=True))
    assert found.unigram.sum() == pytest.approx(1)
    assert np.flatnonzero(found.unigram == 0).tolist() == [BEGIN]
    ends = 1.0  # of a sentence
    assert share["taxi"] / share["</s>"] == pytest.approx(0.25 * 10 / 20 / ends)
    assert share["king"] / share["</s>"] == pytest.approx(0.75 * 12 / 12 / ends)
    assert share["a"] / share["</s>"] == pytest.approx(0.25 + 0.75 * 4 / 12)
    tokens = sum(len(line.split()) + 1 for name in ("talk", "book") for line in TEXTS[name])
    assert share["never"] == pytest.approx(0.5 / tokens, rel=0.02)


def test_what_is_kept_is_made_once(texts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "exp" / ".tokens"
    first = Corpora.make(config(texts), tmp_path, kept)
    with monkeypatch.context() as patch:
        patch.setattr(module, "count_all", lambda *_: pytest.fail("read again"))
        again = Corpora.make(config(texts, data={"dev_words": 500}, train={"epochs": 3}), tmp_path, kept)
    assert again.weights == first.weights
    assert again.unigram.tolist() == first.unigram.tolist()
    other = Corpora.make(config(texts, batch={"longest": 4}), tmp_path, kept)
    assert max(other.tokens("talk").sizes) == 5
    Path(texts["talk"]).write_text("something else")
    assert written(Corpora.make(config(texts), tmp_path, kept), "talk") == ["something else"]
    assert sorted(path.name for path in kept.parent.iterdir()) == [".tokens", ".tokens.lock"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda kept: os.truncate(kept / "corpus0.tokens", 10),
        lambda kept: os.truncate(kept / "corpus0.sizes", 5),
        lambda kept: shutil.copy(kept / "corpus1.tokens", kept / "corpus0.tokens"),
        lambda kept: (kept / "unigram.npy").write_bytes(b""),
        lambda kept: (kept / "vocabulary.json").unlink(),
        lambda kept: (kept / "corpora.json").write_text("[1]"),
        lambda kept: (shutil.rmtree(kept), kept.write_text("a file")),
    ],
)
def test_what_is_damaged_is_made_again(texts: dict[str, str], tmp_path: Path, harm: Callable[[Path], object]) -> None:
    kept = tmp_path / "exp" / ".tokens"
    first = Corpora.make(config(texts), tmp_path, kept)
    whole = {path.name: path.read_bytes() for path in kept.iterdir()}
    harm(kept)
    again = Corpora.make(config(texts), tmp_path, kept)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == whole
    assert written(again, "talk") == written(first, "talk")


def test_a_place_that_cannot_be(texts: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot create the folder: Not a directory"):
        Corpora.make(config(texts), tmp_path, Path(texts["dev"]) / "exp" / ".tokens")
    (tmp_path / ".tokens.lock").mkdir()
    with pytest.raises(UserError, match="a folder where a file should be"):
        Corpora.make(config(texts), tmp_path, tmp_path / ".tokens")

    def refused() -> None:
        raise UserError("of another run", fix="choose")

    with pytest.raises(UserError, match="of another run"):
        Corpora.make(config(texts), tmp_path, tmp_path / "exp" / ".tokens", refused)
    assert not (tmp_path / "exp" / ".tokens").exists()


def test_punctuation_is_noticed(texts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path(texts["talk"]).write_text("I want a taxi, please.\n" * 5)
    Corpora.make(config(texts), tmp_path)
    said = capsys.readouterr().err
    assert "40.0% of the words of talk end in punctuation, such as 'taxi,': the data.normaliser asr_en" in said
    assert "of book end in" not in said


def test_bad_texts_leave_nothing(texts: dict[str, str], tmp_path: Path) -> None:
    Path(texts["book"]).write_bytes("fünf\nalt\nneu\nda".encode("latin-1"))
    kept = tmp_path / "exp" / ".tokens"
    with pytest.raises(DataError, match=r"book\.txt:1 .*not UTF-8"):
        Corpora.make(config(texts), tmp_path, kept)
    assert [path.name for path in kept.parent.iterdir()] == [".tokens.lock"]
    found = Corpora.make(config(texts, data={"max_bad": 0.1}), tmp_path, kept)
    assert written(found, "book") == ["alt", "neu", "da"]
    (line,) = (tmp_path / "rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["where"].endswith("book.txt:1")


def test_errors(texts: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no --dev"):
        Corpora.make(config(texts, data={"dev": []}), tmp_path)
    Path(texts["dev"]).write_text("\n")
    with pytest.raises(UserError, match=r"dev\.txt: no sentence in it"):
        Corpora.make(config(texts), tmp_path)
    for given, message in (
        ({"tal": 1.0}, "no corpus is called 'tal'"),
        ({"talk": -1.0}, "talk has the weight -1"),
        ({"talk": float("nan")}, "talk has the weight nan"),
        ({"talk": 0.0}, "no corpus has a weight above 0"),
    ):
        with pytest.raises(UserError, match=message):
            given_weights(given, ["talk", "book"])


def test_weights_of_which_the_sum_is_infinite(texts: dict[str, str], tmp_path: Path) -> None:
    given = {"kind": "given", "given": {"talk": 1e308, "book": 1e308}}
    assert Corpora.make(config(texts, weights=given), tmp_path).weights == {"talk": 0.5, "book": 0.5}


def test_models_without_words_are_refused(texts: dict[str, str], tmp_path: Path) -> None:
    for settings, message in (
        ({"vocabulary": {"least": 1000}}, r"no word is met vocabulary\.least=1000 times"),
        ({"data": {"words": "zebra\n"}}, "the vocabulary has none of the words of talk, book"),
        ({"data": {"words": "king\n"}}, r"the vocabulary has none of the words of --dev .*dev\.txt"),
        ({"data": {"classes": "".join(f"c{n}\tking\n" for n in range(9))}, "vocabulary": {"size": 12}}, "no room"),
    ):
        data = {}
        for name, text in settings.get("data", {}).items():
            (tmp_path / name).write_text(text)
            data[name] = str(tmp_path / name)
        with pytest.raises(UserError, match=message):
            Corpora.make(config(texts, **{**settings, "data": data, "weights": {"kind": "uniform"}}), tmp_path)


def test_a_vocabulary_that_covers_too_little(
    texts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("taxi\nroom\na\nwant\n")
    found = Corpora.make(config(texts, data={"words": str(words)}), tmp_path)
    assert found.vocabulary.tokens[3:] == ("taxi", "room", "a", "want")
    said = capsys.readouterr().err
    warnings = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert warnings == ["warning: the vocabulary has only 10.0% of the words of book: is the normaliser right?"]
    assert "talk: 75 words in 20 sentences, 33.33% unknown" in said


def test_sizes_and_rare_words(texts: dict[str, str], tmp_path: Path) -> None:
    assert len(Corpora.make(config(texts, vocabulary={"size": 8}), tmp_path).vocabulary) == 8
    Path(texts["book"]).write_text("once upon\n" + "the king\n" * 3)
    found = Corpora.make(config(texts, vocabulary={"least": 2}), tmp_path)
    assert written(found, "book")[:2] == ["<unk> <unk>", "the king"]


def test_pieces(texts: dict[str, str], tmp_path: Path) -> None:
    found = Corpora.make(config(texts, vocabulary={"unit": "piece", "size": 40}), tmp_path)
    assert written(found, "talk") == [line.lower() for line in TEXTS["talk"]]
    assert len(found.vocabulary) <= 40
    assert set(found.assets) == {"vocabulary.json", "weights.json", "pieces.model"}
    assert found.weights["talk"] > 0.8
    assert found.unigram[UNKNOWN] > 0


def test_classes_stand_for_phrases(texts: dict[str, str], tmp_path: Path) -> None:
    classes = tmp_path / "classes.tsv"
    classes.write_text("thing\ttaxi\nthing\tRoom\n")
    found = Corpora.make(config(texts, data={"classes": str(classes)}, classes={"share": 1.0}), tmp_path)
    assert written(found, "talk")[:2] == ["i want a <class:thing>"] * 2
    assert found.vocabulary.tokens[3] == "<class:thing>"
    assert "taxi" in found.vocabulary.index
    assert found.dev is not None
    assert found.vocabulary.text(found.dev[0].tolist()) == "i want a taxi please"


def test_the_vocabulary_of_a_model_to_start_from(
    texts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init = save(model(classes=("contact",)), tmp_path / "init")
    Path(texts["talk"]).write_text("call Bob\nthe cat\n")
    settings = config(texts, data={"init": str(init), "normaliser": "upper"}, weights={"kind": "uniform"})
    found = Corpora.make(settings, tmp_path)
    assert found.vocabulary.tokens == model(classes=("contact",)).vocabulary.tokens
    assert written(found, "talk") == ["call bob", "the cat"]
    told = capsys.readouterr().err
    assert "normalised by 'lower', as those of --init" in told
    assert "vocabulary is that of --init" not in told
    settings = settings.model_copy(update={"vocabulary": VocabularyConfig(unit="piece", size=90)})
    Corpora.make(settings, tmp_path)
    told = capsys.readouterr().err
    assert "the vocabulary is that of --init: vocabulary.unit=piece, vocabulary.size=90 without effect" in told
    classes = tmp_path / "classes.tsv"
    classes.write_text("town\tRome\n")
    settings = config(texts, data={"init": str(init), "classes": str(classes)}, weights={"kind": "uniform"})
    with pytest.raises(UserError, match="knows no class 'town'"):
        Corpora.make(settings, tmp_path)


def test_a_corpus_may_be_called_dev(texts: dict[str, str], tmp_path: Path) -> None:
    settings = config(texts, data={"corpora": {"dev": texts["book"], "--dev": texts["talk"]}})
    with pytest.raises(UserError, match="cannot be the name of a corpus"):
        Corpora.make(settings, tmp_path)
    found = Corpora.make(config(texts, data={"corpora": {"dev": texts["book"]}}), tmp_path)
    assert written(found, "dev")[0] == "the king was old"
    assert found.dev is not None
    assert len(found.dev) == 2


MEMORY = """
import sys
from pathlib import Path
from voxkit.commands.lm_nce.command import LmNce
from voxkit.commands.lm_nce.corpora import Corpora
from voxkit.config import from_mapping
folder = Path(sys.argv[1])
data = {"corpora": {"a": str(folder / "a.txt")}, "dev": [str(folder / "dev.txt")]}
found = Corpora.make(from_mapping(LmNce, {"data": data, "weights": {"kind": "uniform"}}, "test"), folder)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss has the parent's too
print(len(found.tokens("a")), peak.split()[1])
"""


def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc to read the memory from")
    peaks = []
    for count in (10_000, 100_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        line = " ".join(f"word{number}" for number in range(12))
        (folder / "a.txt").write_text("".join(f"{line} {number % 1000}\n" for number in range(count)))
        (folder / "dev.txt").write_text(line)
        done = subprocess.run([sys.executable, "-c", MEMORY, str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        windows, peak = map(int, done.stdout.split())
        assert windows == count
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 10_000  # kB; as lists of words the text has 80 MB
