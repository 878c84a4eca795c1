"""Counting words, and vocabularies."""

import doctest
from collections import Counter
from pathlib import Path

import pytest

from voxkit.commands.lm_nce import counting
from voxkit.commands.lm_nce.counting import (
    Counted,
    count,
    count_all,
    encoded,
    frequent,
    learn_pieces,
    marked,
    read_words,
)
from voxkit.commands.lm_nce.vocabulary import UNKNOWN, Vocabulary
from voxkit.data.text import normaliser
from voxkit.errors import DataError, Problems, UserError


def test_examples_in_docstrings() -> None:
    result = doctest.testmod(counting)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize("name", ["lower", "upper", "asr_en", "none"])
def test_marks_outlive_the_normaliser(name: str) -> None:
    normalise = marked(normaliser(name))
    written = normalise("<s> call <class:Town>, <UNK>! </s>").split()
    assert [word for word in written if word.startswith("<")] == ["<class:Town>", "<unk>"]
    assert normalise("no marks") == normaliser(name)("no marks")


def test_counts_and_samples() -> None:
    some = [["a", "b"], ["a"], ["<unk>", "c"]] * 50
    found = count("text", iter(some), sampled=20)
    assert (found.words, found.total, found.sentences, found.floor) == (
        Counter({"a": 100, "b": 50, "c": 50, "<unk>": 50}), 250, 150, 0,
    )  # fmt: skip
    assert len(found.sample) == 20
    assert set(found.sample) == {"a b", "a", "c"}
    assert count("text", iter(some), sampled=20).sample == found.sample
    assert len(count("text", iter(some[:5]), sampled=20).sample) == 5


def test_memory_of_counts_is_bounded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(counting, "MOST_WORDS", 100)
    found = Counted()
    for number in range(500):
        found.update(["often", "often", f"rare{number}", "twice" if number % 10 else f"pair{number}", f"pair{number}"])
        assert len(found.words) <= 103
    assert found.words["often"] == 1000
    assert found.floor >= 1
    assert found.total == 2500
    count("big", ([f"{number}"] for number in range(300)))
    assert "big has very many different words" in capsys.readouterr().err


def test_words_of_small_corpora_count_as_much() -> None:
    large = Counted(Counter({"the": 900, "of": 90, "x": 10}), 1000)
    small = Counted(Counter({"hi": 6, "the": 3, "<unk>": 5, "<class:a>": 3, "once": 1}), 10)
    assert frequent([large, small], 10, 1) == ["the", "hi", "once", "of", "x"]
    assert frequent([large, small], 2, 1) == ["the", "hi"]
    assert frequent([large, small], 10, 2) == ["the", "hi", "of", "x"]


def test_lists_of_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "words.txt"
    path.write_text("<eps> 0\n<UNK> 1\nTHE 2\nCAT'S 3\nthe 4\n-- 5\n#0 6\n</s> 7\n")
    assert read_words(path, normaliser("asr_en")) == ["THE", "CAT'S"]
    assert "1 words are not one word when normalised, and are left out: --" in capsys.readouterr().err
    path.write_text("one\n\ntwo\n")
    assert read_words(path, str) == ["one", "two"]
    path.write_text("one\ntwo words here\none x\n")
    with pytest.raises(DataError, match=r"words\.txt:2") as told:
        read_words(path, str)
    assert told.value.fix == "mend the lines above"  # --max-bad is for corpora
    path.write_text("<eps> 0\n")
    with pytest.raises(UserError, match="no words in it"):
        read_words(path, str)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "good").write_text("a\n")
    texts = {name: str(tmp_path / name) for name in ("empty", "good", "absent")}
    with pytest.raises(UserError, match=r"(?s)empty: no sentence in it.*absent: cannot be read"):
        count_all(texts, str, Problems())


def test_pieces(tmp_path: Path) -> None:
    text = ["the cat sat", "the cats sit", "a cat sits", "that hat", "<unk> the"] * 20
    pieces = learn_pieces(text, 18, tmp_path)
    assert 8 <= len(pieces) <= 18
    vocabulary = Vocabulary.of(pieces, ("town",), pieces=tmp_path / "pieces.model")
    words, ids = next(encoded([["the", "cats", "<unk>", "<class:town>", "zé"]], vocabulary))
    assert len(words) == 5
    known = [vocabulary.word_ids(word) for word in ("the", "cats")]
    assert ids[: len(known[0] + known[1])] == [*known[0], *known[1]]
    assert vocabulary.text(ids[: len(known[0] + known[1])]) == "the cats"
    rest = ids[len(known[0] + known[1]) :]
    assert rest[:2] == [UNKNOWN, vocabulary.class_id("town")]
    assert UNKNOWN in rest[2:]
    with pytest.raises(UserError, match="sentencepiece cannot make 2 pieces"):
        learn_pieces(text, 2, tmp_path)
