"""Names that nobody knows: how they look, and that nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given, reject

from tests.commands.ner.small_sentences import SEED, SENTENCES, the_words_alone_differ
from voxkit.commands.ner.made_names import SHORT, new_names
from voxkit.data.tagging import Sentence
from voxkit.errors import UserError

CITIES = (
    "Barcelona Lisbon Hamburg Istanbul Marrakesh Florence Helsinki Budapest Valencia Montreal Santiago Brasilia "
    "Copenhagen Edinburgh Strasbourg Innsbruck Salamanca Cordoba Palermo Catania Verona Ravenna"
).split()


def cities() -> list[Sentence]:
    """One city each, and a day."""
    tags = "O O B-city I-city I-city B-day".split()
    return [Sentence.of(str(n), f"fly to the {city} AREA monday".split(), tags) for n, city in enumerate(CITIES)]


def test_names_are_new() -> None:
    before = cities()
    after = new_names(before, ["city"], 0, known_words={"Area"})
    assert the_words_alone_differ(before, after)
    for old, new in zip(before, after, strict=True):
        assert (*new.words[:3], new.words[5]) == (*old.words[:3], old.words[5])
        assert new.words[3].istitle()
        assert new.words[4].isupper()
    names = [word.lower() for sentence in after for word in sentence.words[3:5]]
    assert len(set(names)) == len(names) == 2 * len(CITIES)
    assert not set(names) & {"area", "monday", *map(str.lower, CITIES)}
    assert {letter for name in names for letter in name} <= set("".join(CITIES).lower() + "area")
    assert max(map(len, names)) <= max(map(len, CITIES))
    assert min(map(len, names)) > SHORT
    assert new_names(before, ["city"], 0, {"area"}) == after
    assert new_names(before, ["city"], 1, {"area"}) != after


def test_known_words_are_not_made_up() -> None:
    first = new_names(cities(), ["city"])
    made = {word.lower() for sentence in first for word in sentence.words[3:5]}
    second = new_names(cities(), ["city"], 0, made)
    assert not made & {word.lower() for sentence in second for word in sentence.words[3:5]}


def test_labels_of_many_surfaces_are_names() -> None:
    before = cities()
    assert new_names(before) == new_names(before, []) == new_names(before, ["city"])
    few = before[:5]
    assert new_names(few) == few
    both = new_names(before, ["city", "day"])
    assert all(new.words[5] not in ("monday", old.words[5]) for old, new in zip(before, both, strict=True))


def test_short_words_and_numbers_stay_in_names() -> None:
    tokens = "Bank of the U.S.A 24h Café&Bar Route66 - New-York's @Mesut".split()
    before = [Sentence.of("1", tokens, ["B-x", *["I-x"] * 9]), Sentence.of("2", ["Restaurant"] * 5, ["B-x"] * 5)]
    after = new_names(before, ["x"])[0].words
    assert [new == old for new, old in zip(after, tokens, strict=True)] == [
        False, True, True, True, True, False, True, True, False, False,
    ]  # fmt: skip
    assert all(word.strip("'-") == word for word in after if word != "-")


def test_names_that_cannot_be_made() -> None:
    with pytest.raises(UserError, match=r"no entities with the label river(.|\n)*choose among city day"):
        new_names(cities(), ["city", "river"])
    with pytest.raises(UserError, match="no more names can be made up from the x entities"):
        new_names([Sentence.of("1", ["aaaa"] * 2, ["B-x"] * 2)], ["x"])
    with pytest.raises(UserError, match="choose among none"):
        new_names([], ["x"])
    assert new_names([]) == []
    short = [Sentence.of("1", ["New"], ["B-x"])]
    assert new_names(short, ["x"]) == short


@given(SENTENCES, SEED)
def test_names_alone_change(given: list[Sentence], seed: int) -> None:
    before = [*given, *cities()]
    labels = {"city", "day"} & {entity.label for sentence in before for entity in sentence.entities()}
    try:
        after = new_names(before, labels, seed)
    except UserError:  # words such as `aaaa` give no names
        reject()
    assert the_words_alone_differ(before, after)
    for old, new in zip(before, after, strict=True):
        inside = {place for entity in old.entities() for place in range(entity.begin, entity.end)}
        changed = {place for place, word in enumerate(old.words) if word != new.words[place]}
        assert changed <= inside
        for place in inside:
            word = old.words[place]
            long = sum(map(str.isalpha, word)) > SHORT and not any(map(str.isdigit, word))
            assert (place in changed) == long
