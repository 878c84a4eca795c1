"""Corrupted sentences: what changes and what never does, words that sound alike, names that nobody knows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import kaldialign
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from voxkit.data.corruption import (
    FARTHEST,
    SHORT,
    UNHEARD,
    Confusions,
    Heard,
    Neighbours,
    _cased,
    _neighbouring_keys,
    misheard,
    new_names,
    reworded,
    typos,
)
from voxkit.data.lexicon import Lexicon
from voxkit.data.tagging import Sentence, divided, spoken
from voxkit.errors import DataError, UserError

LETTERS = st.text("abcßäéİOZ'7-.", min_size=1, max_size=6)
TAG = st.sampled_from(["O", "B-city", "I-city", "B-day", "I-day"])
ROWS = st.lists(st.tuples(LETTERS, TAG), max_size=8)
SENTENCE = st.builds(
    lambda rows, id, group: Sentence.of(id, [w for w, _ in rows], [t for _, t in rows], f"x:{id}", group),
    ROWS, st.text("abc", min_size=1, max_size=2), st.sampled_from(["", "music"]),
)  # fmt: skip
SENTENCES = st.lists(SENTENCE, max_size=6)
SHARE = st.sampled_from([0.0, 0.3, 1.0])
SEED = st.integers(0, 3)
PHONES = st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map(tuple)


def lexicon(**entries: str) -> Lexicon:
    """Words and their pronunciations, which a slash parts."""
    made = Lexicon()
    for word, several in entries.items():
        for phones in several.split("/"):
            made.add(word.replace("_", "-"), tuple(phones.split()))
    return made


SOUNDS = lexicon(
    to="t u", two="t u", too="t u", tooth="t u θ", do="d u", shoe="ʃ u", rome="r o m", roam="r o m", ohm="o m",
    tomb="t u m",
)  # fmt: skip


def said(given: Sequence[str]) -> list[list[str]]:
    """Made-up pronunciations."""
    return [["t", "u"] if word.startswith("t") else [] for word in given]


def words(sentences: Sequence[Sentence]) -> list[str]:
    return [word for sentence in sentences for word in sentence.words]


def one(text: str, id: str = "1") -> Sentence:
    return Sentence.of(id, text.split(), ["O"] * len(text.split()))


def made(count: int, text: str = "please play some songs") -> list[Sentence]:
    return [one(text, str(number)) for number in range(count)]


def the_words_alone_differ(before: Sequence[Sentence], after: Sequence[Sentence]) -> bool:
    """Whether everything else stays, and texts hold the new words where they say that they do."""
    kept = ("id", "tags", "where", "group")
    return len(before) == len(after) and all(
        [getattr(old, name) for name in kept] == [getattr(new, name) for name in kept]
        and len(old.words) == len(new.words) == len(new.spans)
        and all(word and not any(map(str.isspace, word)) for word in new.words)
        and [new.text[begin:end] for begin, end in new.spans] == list(new.words)
        and new.text == " ".join(new.words)
        for old, new in zip(before, after, strict=True)
    )


CORRUPTIONS: list[Callable[[list[Sentence], float, int], list[Sentence]]] = [
    typos,
    lambda given, share, seed: misheard(given, share, seed, Neighbours(SOUNDS, pronounce=said)),
    lambda given, share, seed: misheard(given, share, seed, None, Confusions({("a", "b"): 2, ("a", "cc"): 1})),
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


def test_seeds_and_ids_and_places_differ() -> None:
    given = made(40)
    assert typos(given, 0.5, 1) != typos(given, 0.5, 2)
    after = typos(given, 1)
    assert len({sentence.words for sentence in after}) > 30
    assert len(set(typos([one("play " * 40)], 1)[0].words)) > 8


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_one(share: float) -> None:
    with pytest.raises(ValueError, match="share of"):
        typos([], share)
    with pytest.raises(ValueError, match="share of"):
        misheard([], share, 0, Neighbours(SOUNDS))
    with pytest.raises(ValueError, match="neighbours, confusions or both"):
        misheard([], 0.5)


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
    assert Counter(words(typos(made(3000, "zah"), 1, 0, "qwertz")))["tah"]
    assert Counter(words(typos(made(3000, "zah"), 1)))["xah"]


@given(LETTERS, LETTERS)
def test_case_is_that_of_the_other_word(word: str, like: str) -> None:
    plain = word.lower()
    cased = _cased(plain, like)
    assert len(cased) == len(plain)
    assert cased.lower() == plain.lower()
    if not any(map(str.isupper, like)):
        assert cased == plain


@pytest.mark.parametrize(
    ("like", "cased"), [("play", "berlin"), ("Play", "Berlin"), ("USA", "BERLIN"), ("I", "Berlin"), ("iPad", "bErlin"),
                        ("'Tis", "Berlin"), ("McX", "BeRlin"), ("1999", "berlin")],
)  # fmt: skip
def test_case(like: str, cased: str) -> None:
    assert _cased("berlin", like) == cased


def test_case_of_letters_that_have_none() -> None:
    assert _cased("straße", "USA") == "STRAßE"
    assert _cased("'tis", "Abc") == "'Tis"


def test_words_change_inside_the_text() -> None:
    sentence = divided("1", " Play  (Hey Jude), now ")
    after = reworded(sentence, {0: "Ply", 3: "Jduee"})
    assert after.text == " Ply  (Hey Jduee), now "
    assert after.words == ("Ply", "(", "Hey", "Jduee", "),", "now")
    assert [after.text[begin:end] for begin, end in after.spans] == list(after.words)
    assert reworded(sentence, {}) is sentence
    heard = reworded(spoken(sentence), {1: "hay"})
    assert (heard.text, heard.words) == (" Play  (hay Jude), now ", ("play", "hay", "jude", "now"))


def heard(neighbours: Neighbours, word: str) -> set[str]:
    return {one.word for one in neighbours.of(word)}


def test_homophones_come_first_then_one_phone_then_two() -> None:
    neighbours = Neighbours(SOUNDS)
    assert heard(neighbours, "To") == {"two", "too"}
    assert heard(neighbours, "tomb") == {"to", "two", "too", "tooth"}
    assert heard(neighbours, "do") == {"to", "two", "too", "shoe"}
    assert heard(neighbours, "ohm") == {"rome", "roam"}
    assert heard(Neighbours(lexicon(abba="a b b a", dada="d a d a", abd="a b d")), "abba") == {"abd"}
    assert heard(neighbours, "unknown") == set()
    assert heard(Neighbours(lexicon(abba="a b b a", other="c d e f")), "abba") == set()
    assert heard(Neighbours(Lexicon()), "to") == set()


def test_any_pronunciation_will_do() -> None:
    neighbours = Neighbours(lexicon(read="r i d/r ɛ d", red="r ɛ d", reed="r i d", rod="r o d"))
    assert heard(neighbours, "read") == {"red", "reed"}
    assert heard(neighbours, "reed") == {"read"}


def test_words_of_letters_alone_are_heard() -> None:
    entries = {"a": "ə", "a.": "ə", "a7": "ə", "'a": "ə", "o'a": "ə", "a-a": "ə", "A": "ə", "aé": "ə", "की": "ə"}
    neighbours = Neighbours(lexicon(**entries, eh="ə"))
    assert heard(neighbours, "a.") == {"a", "o'a", "a-a", "aé", "की", "eh"}


def test_common_words_are_heard_more_often() -> None:
    neighbours = Neighbours(SOUNDS, "two two Two too".split())
    assert neighbours.of("to") == (Heard("too", 1 + UNHEARD), Heard("two", 3 + UNHEARD))
    after = Counter(words(misheard(made(2000, "to"), 1, 0, neighbours)))
    assert set(after) == {"two", "too"}
    assert after["two"] == pytest.approx(2000 * 3.1 / 4.2, abs=100)


def test_words_without_an_entry_are_pronounced_together() -> None:
    asked: list[list[str]] = []

    def pronounce(given: Sequence[str]) -> list[list[str]]:
        asked.append(list(given))
        return said(given)

    neighbours = Neighbours(SOUNDS, pronounce=pronounce)
    given = [one("Tu tu fnord to , 7"), one("tuh")]
    (first, second) = misheard(given, 1, 0, neighbours)
    assert asked == [["fnord", "tu", "tuh"]]
    assert set(first.words[:2]) | set(second.words) <= {"To", "Two", "Too", "to", "two", "too"}
    assert first.words[2:] != given[0].words[2:]
    assert (first.words[2], *first.words[4:]) == ("fnord", ",", "7")
    misheard(given, 1, 1, neighbours)
    assert len(asked) == 1
    assert heard(neighbours, "tea") == {"to", "two", "too"}
    assert len(asked) == 2


@given(st.dictionaries(st.text("xyz", min_size=1, max_size=3), PHONES, min_size=1, max_size=12), PHONES)
def test_near_words_are_those_of_small_edit_distance(
    entries: dict[str, tuple[str, ...]], phones: tuple[str, ...]
) -> None:
    made = Lexicon()
    for word, some in entries.items():
        made.add(word, some)
    neighbours = Neighbours(made, pronounce=lambda given: [phones] * len(given))
    distances = {word: kaldialign.edit_distance(phones, some)["total"] for word, some in entries.items()}
    for distance in range(FARTHEST + 1):
        neighbours.learn(["new"])
        found = [other.word for other in neighbours.within("new", distance)]
        assert found == sorted(word for word, n in distances.items() if n <= distance)
    nearest = min(distances.values())
    expected = {word for word, n in distances.items() if n == nearest} if nearest <= FARTHEST else set()
    assert heard(neighbours, "new") == expected


@pytest.mark.parametrize("distance", [-1, FARTHEST + 1])
def test_farther_words_are_not_looked_up(distance: int) -> None:
    with pytest.raises(ValueError, match="distance"):
        Neighbours(SOUNDS).within("to", distance)


def test_a_recogniser_decides_where_it_has_been_wrong() -> None:
    confusions = Confusions({("TO", "DO"): 3, ("to", "shoe"): 1, ("to", "TO"): 9})
    assert confusions.of("To") == (Heard("do", 3), Heard("shoe", 1))
    after = misheard(made(400, "To tooth"), 1, 0, Neighbours(SOUNDS), confusions)
    assert set(words(after)[::2]) == {"Do", "Shoe"}
    assert set(words(after)[1::2]) == {"to", "two", "too", "tomb"}


HEAD = "count\treference\trecognised\n"


def test_confusions_of_a_recogniser(tmp_path: Path) -> None:
    path = tmp_path / "confusions.tsv"
    path.write_text(f"{HEAD}3\tTO\tTWO\n2\t-\tA\n1\tOH\t-\n1\tto\tToo\n", "utf-8")
    for place in (path, tmp_path):
        assert Confusions.read(place).of("to") == (Heard("too", 1), Heard("two", 3))
        assert Confusions.read(place).of("oh") == Confusions.read(place).of("-") == ()


def test_confusions_of_our_own_report(tmp_path: Path) -> None:
    from voxkit.metrics.report import Report, Scored

    Report([Scored("1", "go to rome now", "go two rome"), Scored("2", "two", "two oh")]).write(tmp_path)
    confusions = Confusions.read(tmp_path)
    assert confusions.of("to") == (Heard("two", 1),)
    assert confusions.of("now") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}3\tTO\tTWO\nx\tTO\tTWO\n", "confusions.tsv:3"),
        (f"{HEAD}3\tTO\n", "confusions.tsv:2"),
        (f"{HEAD}3\tTO\tTWO\tTOO\n", "confusions.tsv:2"),
        (f"{HEAD}1\tTO\t\n\n1\tTO\tDO\n", "2 of"),
        (f"{HEAD}3\tTO\t-\n", "no word was taken"),
        (HEAD, "no word was taken"),
        ("", "not a list of confused words"),
        ("3\tTO\tTWO\n", "not a list of confused words"),
    ],
)
def test_bad_confusions(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "confusions.tsv").write_text(text, "utf-8")
    with pytest.raises(UserError, match=message) as caught:
        Confusions.read(tmp_path)
    assert isinstance(caught.value, DataError) == (":" in message or "of" in message.split()[:2])
    with pytest.raises(UserError, match="cannot be read"):
        Confusions.read(tmp_path / "nowhere.tsv")


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


def test_cmudict() -> None:
    path = Path(os.environ.get("VOXKIT_DATA", "none")) / "cmudict" / "cmudict.dict.gz"
    if not path.exists():
        pytest.skip("no cmudict in $VOXKIT_DATA")
    neighbours = Neighbours(Lexicon.read(path, strip_stress=True), ["whether", "Wales"])
    assert heard(neighbours, "weather") == {"whether"}
    assert {"two", "too"} <= heard(neighbours, "to")
    assert "wails" in heard(neighbours, "Wales")
    phones = ["T", "EH", "M", "P", "R", "AH", "CH", "ER"]
    distances = {
        word: kaldialign.edit_distance(phones, list(some))["total"]
        for word, some in neighbours._entries[::20]
        if abs(len(some) - len(phones)) <= FARTHEST
    }
    near = {word for word, distance in distances.items() if distance <= FARTHEST} - {"temperature"}
    assert {one.word for one in neighbours.within("temperature", FARTHEST)} >= near
