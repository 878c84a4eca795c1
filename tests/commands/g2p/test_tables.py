"""Letters and phones as numbers."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.commands.g2p.command import LetterConfig, PhoneConfig
from voxkit.commands.g2p.tables import ANY, END, START, UNKNOWN, WORD_END, Tables, sounds, spell
from voxkit.data.pronunciations import Pronunciation
from voxkit.errors import UserError

WORDS = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Cf", "Zs", "Zl", "Zp"]), min_size=1, max_size=8)


def learnt(*items: tuple[str, str, str], **phones: object) -> Tables:
    """Tables of (word, phones, language)."""
    made = [Pronunciation(word, tuple(said.split()), language, "") for word, said, language in items]
    return Tables.learn(made, LetterConfig(), PhoneConfig(**phones))


def test_letters_of_many_scripts() -> None:
    plain = LetterConfig()
    assert spell("Été", "fre", plain) == ["e", "\u0301", "t", "e", "\u0301"]
    assert spell("ÉTÉ", "fre", LetterConfig(form="nfc")) == ["é", "t", "é"]
    assert spell("한국", "kor", plain) == list(unicodedata.normalize("NFD", "한국"))
    assert spell("한é", "kor", LetterConfig(form="nfd", hangul="syllables")) == ["한", "e", "\u0301"]
    assert spell("가", "kor", LetterConfig(form="nfc")) == ["\u1100", "\u1161"]
    assert spell("カメラ", "jpn", plain) == spell("かめら", "jpn", plain)
    assert spell("ｶﾞ", "jpn", plain) == spell("が", "jpn", plain) == ["か", "\u3099"]
    assert spell("カ", "jpn", LetterConfig(kana=False)) == ["カ"]
    assert spell("ᲐᲑ", "geo", plain) == ["ა", "ბ"]  # capitals of Georgian
    assert spell("ԵՐԵՎԱՆ", "arm", plain) == list("երեվան")
    assert spell("don\u2019t\u00ad", "eng", plain) == list("don't")
    assert spell("Été", "fre", LetterConfig(lower=False, form="nfc")) == ["É", "t", "é"]


@pytest.mark.parametrize("language", ["tur", "tr", "aze"])
def test_turkish_has_two_kinds_of_i(language: str) -> None:
    assert spell("IİIi", language, LetterConfig()) == ["ı", "i", "ı", "i"]
    assert spell("II", "eng", LetterConfig()) == ["i", "i"]


@given(WORDS)
def test_spelling_does_not_depend_on_the_unicode_form(word: str) -> None:
    for config in (LetterConfig(), LetterConfig(form="nfc"), LetterConfig(hangul="syllables")):
        forms = {tuple(spell(unicodedata.normalize(form, word), "xx", config)) for form in ("NFC", "NFD")}
        assert len(forms) == 1


def test_phones_in_the_notation_that_is_asked_for() -> None:
    said = ["t͡ʃ", "ˈaː", "ˌ", "AH0", "e\u0301"]
    assert sounds(said, PhoneConfig()) == ("t͡ʃ", "ˈaː", "ˌ", "AH0", "é")
    bare = PhoneConfig(tie_bars="drop", length="drop", stress="drop", form="none")
    assert sounds(said, bare) == ("tʃ", "a", "AH", "e\u0301")


def test_numbers_and_back(tmp_path: Path) -> None:
    tables = learnt(("ab", "a b", "x"), ("Abc", "A b k", "y"))
    assert tables.languages == ("", "x", "y")
    assert tables.languages[ANY] == ""
    numbers = tables.letter_ids("CAB", "y")
    assert [tables.letters[n] for n in numbers] == ["c", "a", "b", "<end>"]
    assert tables.phone_names([START, *tables.phone_ids(("k", "A"), "y"), END]) == ("k", "A")
    assert tables.phone_ids(("q",), "x") == [-1]
    assert tables.allowed[1, tables.phone_ids(("a", "b", "k"), "x")].tolist() == [True, True, False]
    assert tables.allowed[:, END].all()
    assert not tables.allowed[:, START].any()
    assert tables.allowed[ANY, END:].all()
    tables.save(tmp_path / "tables.json")
    assert Tables.load(tmp_path / "tables.json") == tables


def test_unknown_letters() -> None:
    tables = learnt(("ab", "a b", "x"))
    assert tables.letter_ids("á") == tables.letter_ids("a")  # an accent that was never seen is left out
    assert tables.letter_ids("aж") == [tables.letter_id("a"), UNKNOWN, WORD_END]
    assert tables.can_spell("aж")
    assert not tables.can_spell("жж")
    assert not tables.can_spell("\u200b")
    composed = Tables.learn([Pronunciation("e", ("e",), "x", "")], LetterConfig(form="nfc"), PhoneConfig())
    assert composed.letter_ids("é") == composed.letter_ids("e")


def test_a_table_for_each_language() -> None:
    tables = learnt(("ab", "a b", "x"), ("ab", "a b", "y"), table="language")
    assert len(tables.phones) == 6
    assert tables.phone_ids(("a",), "x") != tables.phone_ids(("a",), "y")
    assert tables.phone_names(tables.phone_ids(("a", "b"), "y")) == ("a", "b")
    assert not (tables.allowed[1] & tables.allowed[2])[END + 1 :].any()
    free = learnt(("ab", "a b", "x"), ("c", "k", "y"), restrict=False)
    assert free.allowed[1, END:].all()


def test_damaged_tables_are_told(tmp_path: Path) -> None:
    (tmp_path / "tables.json").write_text('{"letters": 3}')
    with pytest.raises(UserError, match="cannot be read"):
        Tables.load(tmp_path / "tables.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("languages", []),
        ("languages", ["", "x", "x"]),
        ("phones", ["<start>", "<end>", "a"]),
        ("letters", ["a", "b"]),
        ("inventories", [[2], [999]]),
        ("inventories", [[2], []]),
        ("inventories", [[2]]),
    ],
)
def test_tables_that_were_changed_are_told(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "tables.json"
    learnt(("ab", "a b", "x")).save(path)
    Tables.load(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(UserError, match="cannot be read"):
        Tables.load(path)
