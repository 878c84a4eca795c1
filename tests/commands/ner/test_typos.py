"""Typing errors: which there are, and what they leave as it was."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.commands.ner.small_sentences import made, one, words
from voxkit.commands.ner.typos import _neighbouring_keys, typos
from voxkit.data.tagging import Sentence


def test_seeds_and_ids_and_places_differ() -> None:
    given = made(40)
    assert typos(given, 0.5, 1) != typos(given, 0.5, 2)
    after = typos(given, 1)
    assert len({sentence.words for sentence in after}) > 30
    assert len(set(typos([one("play " * 40)], 1)[0].words)) > 8


def test_every_typing_error() -> None:
    after = Counter(words(typos(made(4000, "Ab"), 1)))
    keys = {f"{key}b" for key in "QWSZ"} | {f"A{key}" for key in "vghn"}
    assert set(after) == {*keys, "B", "A", "Aab", "Abb", "Ba"}
    kinds = [sum(after[word] for word in some) for some in (keys, ("A", "B"), ("Aab", "Abb"), ("Ba",))]
    assert all(900 < number < 1100 for number in kinds)


@pytest.mark.parametrize(
    ("word", "never"),
    [("aaa", 0), ("USA", 0), ("zu", 0), ("x7", 1), ("a", 1), ("'t", 1), ("1999", 1), ("...", 1), ("日本", 0), ("", 1)],
)
def test_words_of_one_letter_have_no_typing_errors(word: str, never: int) -> None:
    given = [Sentence.of(str(number), [word]) for number in range(50)]
    after = words(typos(given, 1))
    assert [new == word for new in after] == [bool(never)] * 50
    assert word != "USA" or all(map(str.isupper, after))


def test_keyboards() -> None:
    qwerty, qwertz = _neighbouring_keys("qwerty"), _neighbouring_keys("qwertz")
    assert [set(qwerty[key]) for key in "sypl"] == [set("adwezx"), set("tugh"), set("ol"), set("kop")]
    assert [set(qwertz[key]) for key in "yzß"] == [set("asx"), set("tugh"), set("pü")]
    for keys in (qwerty, qwertz):
        letters = {key: near for key, near in keys.items() if key.isalpha()}
        assert all(key in keys[other] for key, near in letters.items() for other in near)
    every = Counter(words(typos(made(3000, "zäh"), 1)))
    assert {"täh", "zöh"} <= set(every)
    assert "xäh" not in every
    assert {"xah", "zsh"} <= set(words(typos(made(3000, "zah"), 1)))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_one(share: float) -> None:
    with pytest.raises(ValueError, match="share of"):
        typos([], share)
