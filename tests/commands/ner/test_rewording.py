"""What corruptions leave as it was, and other words in the place of a sentence's words: their case, and the text."""

from __future__ import annotations

import doctest
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.ner.small_sentences import (
    LETTERS,
    SEED,
    SENTENCES,
    SHARE,
    SOUNDS,
    made,
    said,
    the_words_alone_differ,
    words,
)
from voxkit.commands.ner import rewording
from voxkit.commands.ner.misheard import Confusions, Neighbours, misheard
from voxkit.commands.ner.rewording import cased, reworded
from voxkit.commands.ner.typos import typos
from voxkit.data.tagging import Sentence, divided, spoken

HEARD = Confusions({("a", "b"): 2, ("a", "cc"): 1})
CORRUPTIONS: list[Callable[[list[Sentence], float, int], list[Sentence]]] = [
    typos,
    lambda given, share, seed: misheard(given, share, seed, Neighbours(SOUNDS, pronounce=said)).sentences,
    lambda given, share, seed: misheard(given, share, seed, None, HEARD).sentences,
]


@given(st.sampled_from(CORRUPTIONS), SENTENCES, SHARE, SEED)
def test_only_words_change_and_each_by_itself(
    corrupt: Callable[[list[Sentence], float, int], list[Sentence]], given: list[Sentence], share: float, seed: int
) -> None:
    after = corrupt(given, share, seed)
    assert the_words_alone_differ(given, after)
    assert corrupt(given, share, seed) == after
    assert [corrupt([sentence], share, seed)[0] for sentence in given] == after
    assert corrupt(given[::-1], share, seed) == after[::-1]
    if share == 0:
        assert after == given
    everything = corrupt(given, 1, seed)
    for old, some, every in zip(words(given), words(after), words(everything), strict=True):
        assert some in (old, every)


@given(st.sampled_from(CORRUPTIONS), st.sampled_from([0.1, 0.3, 0.8]), SEED)
def test_about_the_share_changes(
    corrupt: Callable[[list[Sentence], float, int], list[Sentence]], share: float, seed: int
) -> None:
    given = made(500, "a to")
    changed = [a != b for a, b in zip(words(given), words(corrupt(given, share, seed)), strict=True)]
    able = [a != b for a, b in zip(words(given), words(corrupt(given, 1, seed)), strict=True)]
    assert sum(able) in (500, 1000)
    assert sum(changed) / sum(able) == pytest.approx(share, abs=4.5 * (share * (1 - share) / sum(able)) ** 0.5)


def test_examples_in_docstrings() -> None:
    result = doctest.testmod(rewording)
    assert result.attempted
    assert not result.failed


@given(LETTERS, LETTERS)
def test_case_is_that_of_the_other_word(word: str, like: str) -> None:
    plain = word.lower()
    found = cased(plain, like)
    assert len(found) == len(plain)
    assert found.lower() == plain.lower()
    if not any(map(str.isupper, like)):
        assert found == plain


@pytest.mark.parametrize(
    ("like", "expected"),
    [("play", "berlin"), ("Play", "Berlin"), ("USA", "BERLIN"), ("I", "Berlin"), ("iPad", "bErlin"),
     ("'Tis", "Berlin"), ("McX", "BeRlin"), ("1999", "berlin")],
)  # fmt: skip
def test_case(like: str, expected: str) -> None:
    assert cased("berlin", like) == expected


def test_case_of_letters_that_have_none() -> None:
    assert cased("straße", "USA") == "STRAßE"
    assert cased("'tis", "Abc") == "'Tis"


def test_words_change_inside_the_text() -> None:
    sentence = divided("1", " Play  (Hey Jude), now ")
    after = reworded(sentence, {0: "Ply", 3: "Jduee"})
    assert after.text == " Ply  (Hey Jduee), now "
    assert after.words == ("Ply", "(", "Hey", "Jduee", "),", "now")
    assert [after.text[begin:end] for begin, end in after.spans] == list(after.words)
    assert reworded(sentence, {}) is sentence
    heard = reworded(spoken(sentence), {1: "hay"})
    assert (heard.text, heard.words) == (" Play  (hay Jude), now ", ("play", "hay", "jude", "now"))
