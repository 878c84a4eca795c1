import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.data.tagging import Entity, Sentence, divided, entities, pieces, spoken, tags_of, to_bioes

HINDI = "\u0939\u093f\u0928\u094d\u0926\u0940"
LABELS = st.sampled_from(["a", "b"])
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8)


@st.composite
def some_entities(draw: st.DrawFn) -> tuple[list[Entity], int]:
    """Entities that do not overlap, in so many words."""
    found, place = [], 0
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=5)):
        found.append(Entity(draw(LABELS), place + gap, place + gap + length))
        place += gap + length
    return found, place + draw(st.integers(0, 2))


@given(some_entities())
def test_entities_and_tags_are_the_same(case: tuple[list[Entity], int]) -> None:
    found, words = case
    tags = tags_of(found, words)
    assert len(tags) == words
    assert list(entities(tags)) == found
    ended = to_bioes(tags)
    assert [tag[2:] for tag in ended] == [tag[2:] for tag in tags]
    assert sum(tag[0] in "ES" for tag in ended) == sum(tag[0] in "BS" for tag in ended) == len(found)


def test_an_inside_tag_without_a_beginning_begins_an_entity() -> None:
    assert entities(["I-a", "I-b", "O", "I-b"]) == (Entity("a", 0, 1), Entity("b", 1, 2), Entity("b", 3, 4))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  play  R&B,  please! ", ["play", "R&B", ",", "please", "!"]),
        ('"Hallo (Welt)?"', ['"', "Hallo", "(", "Welt", ')?"']),
        ("... 5:50 @you #tag _x_", ["...", "5:50", "@", "you", "#", "tag", "_x_"]),
        (HINDI + " \u092e\u0947\u0902.", [HINDI, "\u092e\u0947\u0902", "."]),
        ("cafe\u0301!", ["cafe\u0301", "!"]),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"]),
        ("a\u00a0b\u2003c", ["a", "b", "c"]),
        ("", []),
    ],
)  # fmt: skip
def test_a_text_falls_into_words(text: str, expected: list[str]) -> None:
    assert list(divided("1", text).words) == expected


@given(st.text(max_size=40), st.booleans())
def test_words_hold_every_character_that_is_no_space(text: str, only_spaces: bool) -> None:
    spans = pieces(text, only_spaces)
    assert all(begin < end for begin, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert "".join(text[begin:end] for begin, end in spans) == "".join(text.split())
    if only_spaces:
        assert [text[begin:end] for begin, end in spans] == text.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["Don\u2019t", "STOP", "!"], ["don't", "stop"]),
        (["Baden-Baden", "U.S."], ["baden", "baden", "u", "s"]),
        ([HINDI, "cafe\u0301"], [HINDI, "caf\u00e9"]),
        (["\ufb01x", "x\u00b2"], ["fix", "x2"]),
        (["...", "_"], []),
    ],
)
def test_recognised_text_has_no_capitals_and_no_punctuation(words: list[str], expected: list[str]) -> None:
    assert list(spoken(Sentence.of("1", words)).words) == expected


@given(st.lists(WORDS, min_size=1, max_size=6), st.data())
def test_recognised_text_keeps_entities_and_places(words: list[str], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(begin + 1, len(words)))
    sentence = Sentence.of("1", words, tags_of([Entity("x", begin, end)], len(words)))
    found = spoken(sentence)
    assert found.text == sentence.text
    assert len(found.words) == len(found.spans) == len(found.tags or ())
    for word, (first, last) in zip(found.words, found.spans, strict=True):
        own = unicodedata.normalize("NFKC", found.text[first:last]).replace("\u2019", "'").lower()
        assert word == "".join(own.split())
    first, last = sentence.spans[begin][0], sentence.spans[end - 1][1]
    inside = [first <= span[0] < last for span in found.spans]
    assert [tag != "O" for tag in found.tags or ()] == inside
    assert len(found.entities()) == any(inside)
    assert spoken(Sentence.of("1", found.words)).words == found.words or not found.text.isascii()


def test_surfaces_are_those_of_the_text() -> None:
    sentence = divided("1", "in  New   York!")
    assert sentence.surface(Entity("city", 1, 3)) == "New   York"
    assert sentence.span(Entity("city", 1, 3)) == (4, 14)
