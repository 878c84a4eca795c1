"""Sentences of the embedded corpus."""

from __future__ import annotations

import random
import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.data.corpora.division import part_of
from voxkit.data.corpora.mini_grammar import Grammar, choose_names, parse
from voxkit.data.corpora.mini_words import SLOTS, TEMPLATES


def test_parse() -> None:
    assert parse("a (b|c d) [{e:f}]") == (
        ("word", "a"),
        ("choice", ((("word", "b"),), (("word", "c"), ("word", "d")))),
        ("choice", ((), (("slot", "e:f"),))),
    )
    for broken in ("(a", "a)", "[a|b"):
        with pytest.raises(ValueError, match="unbalanced"):
            parse(broken)


def test_sentences_are_annotated() -> None:
    grammar = Grammar(450, seed=3)
    words = set(grammar.words())
    domains = set()
    for _ in range(3000):
        sentence = grammar.draw()
        domains.add(sentence.domain)
        assert set(sentence.words) <= words
        assert all(word and set(word) <= set(string.ascii_lowercase + "'") for word in sentence.words)
        for slot in sentence.custom()["slots"]:
            assert slot["value"] == " ".join(sentence.words[slot["start"] : slot["end"]]) != ""
        assert all(a.end <= b.start for a, b in pairwise(sentence.slots))
        assert all(len(sentence.words[at]) == 1 for at in sentence.spelled)
    assert domains == set(TEMPLATES)


def test_all_values_come_up() -> None:
    grammar = Grammar(450, seed=1)
    said = {word for _ in range(4000) for word in grammar.draw().words}
    assert {value for name in ("room", "food", "month") for value in SLOTS[name]} <= said | {
        "living room", "dining room", "olive oil",
    }  # fmt: skip
    assert len(said) > 0.97 * len(grammar.words())


@pytest.mark.parametrize("wanted", [400, 450, 600, 3000])
def test_vocabulary(wanted: int) -> None:
    found = Grammar(wanted, seed=1).words()
    assert abs(len(found) - wanted) <= 12
    assert len(set(found)) == len(found)


def test_larger_vocabularies_keep_the_names() -> None:
    small, large = (choose_names(size, random.Random(1)) for size in (450, 2000))
    assert all(large[slot][: len(names)] == names for slot, names in small.items())


def test_same_seed_same_sentences() -> None:
    first, second, other = (Grammar(450, seed) for seed in (5, 5, 6))
    drawn = [[grammar.draw() for _ in range(50)] for grammar in (first, second, other)]
    assert drawn[0] == drawn[1] != drawn[2]


@given(st.text(), st.floats(0, 0.4), st.floats(0, 0.4))
def test_larger_shares_keep_what_they_had(text: str, dev: float, test: float) -> None:
    assert part_of(text, 0, 0) == "train"
    if part_of(text, dev, test) == "test":
        assert part_of(text, dev, test + 0.1) == "test"


def test_shares() -> None:
    parts = [part_of(str(number), 0.1, 0.2) for number in range(5000)]
    assert abs(parts.count("dev") / 5000 - 0.1) < 0.02
    assert abs(parts.count("test") / 5000 - 0.2) < 0.02
