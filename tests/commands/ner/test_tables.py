import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.commands.ner.command import Ner
from voxkit.commands.ner.tables import PAD, SPECIAL, UNKNOWN, Tables
from voxkit.config import build
from voxkit.data.tagging import Sentence
from voxkit.errors import UserError

SENTENCES = [
    Sentence.of("1", ["fly", "to", "Köln", "Köln"], ["O", "O", "B-city", "I-city"]),
    Sentence.of("2", ["fly", "in", "May"], ["O", "O", "B-month"]),
]
SAID = {"fly": ("f", "l", "ay"), "to": ("t", "uw"), "in": ("ih", "n"), "May": ("m", "ey")}


def tables(*sets: str) -> Tables:
    return Tables.learn(SENTENCES, build(Ner, None, list(sets)), SAID)


def test_every_unit_has_its_symbols_the_frequent_ones_first() -> None:
    found = tables("units=[words,chars,phones,bytes]")
    assert found.symbols["words"] == (*SPECIAL, "fly", "köln", "in", "may", "to")
    assert found.counts == (0, 0, 2, 2, 1, 1, 1)
    assert found.symbols["phones"][:4] == (*SPECIAL, "ay", "f")
    assert set(found.symbols["bytes"][2:]) == {f"{byte:02x}" for s in SENTENCES for byte in "".join(s.words).encode()}
    assert found.symbols["chars"][2:4] == ("l", "n")
    assert found.subwords == sum(len(found.symbols[unit]) for unit in ("chars", "phones", "bytes"))
    assert found.labels == ("city", "month")
    assert found.tags == ("O", "B-city", "I-city", "B-month", "I-month")
    assert tables("model.scheme=bioes").tags[:5] == ("O", "B-city", "I-city", "E-city", "S-city")


def test_words_may_keep_their_case_and_rare_ones_be_unknown() -> None:
    assert "Köln" in tables("words.lower=false").symbols["words"]
    found = tables("words.least=2")
    assert found.symbols["words"] == (*SPECIAL, "fly", "köln")
    assert found.word_number("MAY") == UNKNOWN
    assert found.word_number("Fly") == 2


def test_symbols_stay_below_the_limit() -> None:
    assert tables("units=[chars]", "subwords.symbols=16").subwords <= 16
    few = tables("units=[chars,phones,bytes]", "subwords.symbols=36")
    assert few.subwords == 36
    assert few.spelt("chars", "x") == [UNKNOWN]
    with pytest.raises(UserError, match="more symbols than 16"):
        tables("units=[chars,bytes]", "subwords.symbols=16")


def test_a_word_is_spelt_in_any_unit() -> None:
    found = tables("units=[chars,phones,bytes]")
    chars, phones, raw = (found.symbols[unit] for unit in ("chars", "phones", "bytes"))
    assert [chars[number] for number in found.spelt("chars", "Köln")] == list("Köln")
    assert [phones[number] for number in found.spelt("phones", "fly", SAID["fly"])] == list(SAID["fly"])
    assert [raw[number] for number in found.spelt("bytes", "ö")] == ["c3", "b6"]
    assert found.spelt("chars", "ó") == found.spelt("chars", "o")  # the accent is unknown, the letter is not
    assert found.spelt("phones", "unsaid", ()) == [UNKNOWN]


def test_words_are_padded_to_the_longest() -> None:
    table, lengths = tables().padded("chars", ["May", "fly", "in"])
    assert table.shape == (3, 3)
    assert lengths.tolist() == [3, 3, 2]
    assert table[2, 2] == PAD


@given(st.text(min_size=1, max_size=200))
def test_long_words_lose_their_middle(word: str) -> None:
    found = tables("subwords.longest=8")
    numbers = found.spelt("chars", word)
    assert 1 <= len(numbers) <= 8
    whole = tables("subwords.longest=256").spelt("chars", word)
    assert numbers[:4] == whole[:4]
    assert numbers[-4:] == whole[-4:]


def test_tables_are_kept(tmp_path: Path) -> None:
    found = tables("units=[words,chars,phones,bytes]")
    found.save(tmp_path / "tables.json")
    again = Tables.load(tmp_path / "tables.json")
    assert (again.symbols, again.tags, again.lower, again.longest) == (
        found.symbols,
        found.tags,
        found.lower,
        found.longest,
    )


GOOD = {"symbols": {"chars": [*SPECIAL, "a"]}, "tags": ["O", "B-x", "I-x"], "lower": True, "longest": 8}


@pytest.mark.parametrize(
    "change",
    [
        {"tags": ["O"]},
        {"tags": ["O", "B-x"]},
        {"tags": ["O", "B-x", "I-x", "B-x", "I-x"]},
        {"tags": ["O", "B-x", "I-x", "E-x"]},
        {"tags": ["O", "B-x", "I-x", "E-x", "S-x", "B-y", "I-y"]},
        {"tags": ["B-x", "I-x", "O"]},
        {"tags": ["O", "B-", "I-"]},
        {"tags": ["O", "", "I-x"]},
        {"tags": "OBI"},
        {"symbols": {}},
        {"symbols": {"chars": ["a", *SPECIAL]}},
        {"symbols": {"chars": [*SPECIAL, "a", "a"]}},
        {"symbols": {"chars": [*SPECIAL, ""]}},
        {"symbols": {"chars": [*SPECIAL, 1]}},
        {"symbols": {"letters": [*SPECIAL, "a"]}},
        {"lower": 1},
        {"longest": 3},
        {"longest": 257},
        {"longest": 1e400},
        {"longest": "8"},
    ],
)
def test_tables_that_are_no_tables_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "tables.json"
    path.write_text(json.dumps(GOOD))
    assert Tables.load(path, ["chars"]).tags == ("O", "B-x", "I-x")
    path.write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(UserError, match=r"tables\.json: the tables cannot be read"):
        Tables.load(path)


def test_tables_of_other_units_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tables.json"
    path.write_text(json.dumps(GOOD))
    with pytest.raises(UserError, match="tables of chars, and the model reads words, chars"):
        Tables.load(path, ["words", "chars"])


def test_words_that_look_like_special_ones_are_kept(tmp_path: Path) -> None:
    found = Tables.learn([Sentence.of("1", ["<unk>", "x"], ["B-a", "O"])], build(Ner, None, []), {})
    found.save(tmp_path / "tables.json")
    assert Tables.load(tmp_path / "tables.json", ("words", "chars")).symbols == found.symbols


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"symbols": {"chars": ["a"]}, "tags": ["O"]})])
def test_damaged_tables_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tables.json").write_text(content)
    with pytest.raises(UserError, match=r"tables\.json: the tables cannot be read"):
        Tables.load(tmp_path / "tables.json")
