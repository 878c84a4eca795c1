"""Speaking through espeak-ng: alignments, pronunciations, words said in one."""

# ruff: noqa: RUF001
from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.data.corpora import espeak
from voxkit.errors import UserError

PHONES = st.lists(st.sampled_from("abcde"), max_size=7)


@pytest.fixture
def speaker() -> espeak.Speaker:
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")
    return espeak.Speaker.get()


def test_clean() -> None:
    assert espeak.clean("ˈɜː") == "ɜː"
    assert espeak.clean("ˈɜː", stress=True) == "ˈɜː"
    assert espeak.clean("(en)") == ""
    assert espeak.clean("ʲ") == espeak.clean("") == espeak.clean("ˈ", stress=True) == ""
    assert espeak.clean("a::") == "aː"
    assert espeak.clean("iːʲ") == "iː"
    assert espeak.clean("ˈʲ") == ""
    assert espeak.clean("tʲ") == "tʲ"  # palatalised, not a glide


@given(st.lists(PHONES, min_size=1, max_size=4), PHONES)
def test_cuts_partition_the_phones(words: list[list[str]], phones: list[str]) -> None:
    cuts = espeak.cut_points(phones, words)
    assert len(cuts) == len(words)
    assert [phone for begin, end in cuts for phone in phones[begin:end]] == phones


@given(st.lists(PHONES.filter(bool), min_size=1, max_size=4))
def test_cuts_cost_nothing_where_words_are_said_as_alone(words: list[list[str]]) -> None:
    phones = [phone for word in words for phone in word]
    cuts = espeak.cut_points(phones, words)
    assert sum(espeak.distance(phones[b:e], w) for (b, e), w in zip(cuts, words, strict=True)) == 0


@given(PHONES, PHONES)
def test_distance_is_a_metric(a: list[str], b: list[str]) -> None:
    assert espeak.distance(a, b) == espeak.distance(b, a)
    assert (espeak.distance(a, b) == 0) == (a == b)


def test_alignment(speaker: espeak.Speaker) -> None:
    words = "turn on the light in the living room".split()
    speaker.set_voice("en-us", "f3")
    speech = speaker.speak(words, rate=170, pitch=50)
    assert [span.symbol for span in speech.words] == words
    assert ["".join(phone.symbol for phone in of_word) for of_word in speech.phones] == [
        "tɜːn", "ɔn", "ðə", "laɪt", "ɪn", "ðə", "lɪvɪŋ", "ɹuːm",
    ]  # fmt: skip
    flat = [phone for of_word in speech.phones for phone in of_word]
    assert all(a.start < a.end <= b.start for a, b in pairwise(flat))
    assert flat[-1].end <= len(speech.samples)
    assert 1.0 < len(speech.samples) / speech.sampling_rate < 3.0


def test_letters_and_phonemes(speaker: espeak.Speaker) -> None:
    speaker.set_voice("en-gb-scotland", "m1")
    speech = speaker.speak(["spell", "[['eI]]", "b"], rate=170, pitch=50)
    assert ["".join(phone.symbol for phone in of_word) for of_word in speech.phones] == ["spɛl", "eː", "biː"]


def test_many_changes_of_voice_without_speech(speaker: espeak.Speaker) -> None:
    for _ in range(30):
        speaker.set_voice("de")
        speaker.set_voice("en-us")
    assert [phone.symbol for phone in speaker.speak(["go"], rate=170, pitch=50).phones[0]] == ["ɡ", "oʊ"]


def test_dialects_differ(speaker: espeak.Speaker) -> None:
    said = {}
    for dialect in ("en-us", "en-gb", "en-gb-scotland", "en-029"):
        speaker.set_voice(dialect)
        said[dialect] = speaker.pronounce("nurse"), speaker.pronounce("water"), speaker.pronounce("the")
    assert len(set(said.values())) == 4


def test_unknown_dialect(speaker: espeak.Speaker) -> None:
    with pytest.raises(UserError, match="no dialect 'en-zz'"):
        speaker.set_voice("en-zz")
    speaker.set_voice("en-us")
    assert speaker.pronounce("go") == ("ɡ", "oʊ")


def test_languages_with_other_letters(speaker: espeak.Speaker) -> None:
    said = {"ru": ("мать", "m ɑ tʲ"), "el": ("νερό", "n e r o"), "hi": ("नमक", "n ʌ m ə k"), "fr-fr": ("été", "e t e")}
    for language, (word, phones) in said.items():
        speaker.set_voice(language)
        assert " ".join(speaker.pronounce(word)) == phones
        assert speaker.is_native(word)


def test_foreign_and_several_words(speaker: espeak.Speaker) -> None:
    speaker.set_voice("ru")
    assert not speaker.is_native("google")
    speaker.set_voice("en-us")
    assert speaker.is_native("google")
    assert not speaker.is_native("iv")
    assert not speaker.is_native("two words")
