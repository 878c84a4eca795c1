"""Words that sound alike, and such as a recogniser took for others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import kaldialign
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.ner.small_sentences import SOUNDS, lexicon, made, one, said, words
from voxkit.commands.ner.misheard import FARTHEST, UNHEARD, Confusions, Heard, Neighbours, misheard
from voxkit.data.lexicon import Lexicon
from voxkit.errors import DataError, UserError

PHONES = st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map(tuple)
HEAD = "count\treference\trecognised\n"


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
    after = Counter(words(misheard(made(2000, "to"), 1, 0, neighbours).sentences))
    assert set(after) == {"two", "too"}
    assert after["two"] == pytest.approx(2000 * 3.1 / 4.2, abs=100)
    assert Neighbours(SOUNDS).of("to") == (Heard("too", UNHEARD), Heard("two", UNHEARD))


def test_words_without_an_entry_are_pronounced_together() -> None:
    asked: list[list[str]] = []

    def pronounce(given: Sequence[str]) -> list[list[str]]:
        asked.append(list(given))
        return said(given)

    neighbours = Neighbours(SOUNDS, pronounce=pronounce)
    given = [one("Tu tu fnord to , 7"), one("tuh")]
    (first, second), stayed = misheard(given, 1, 0, neighbours)
    assert asked == [["fnord", "tu", "tuh"]]
    assert set(first.words[:2]) | set(second.words) <= {"To", "Two", "Too", "to", "two", "too"}
    assert first.words[2:] != given[0].words[2:]
    assert (first.words[2], *first.words[4:]) == ("fnord", ",", "7")
    assert stayed == 1  # only fnord has letters and no other
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
    after = misheard(made(400, "To tooth"), 1, 0, Neighbours(SOUNDS), confusions).sentences
    assert set(words(after)[::2]) == {"Do", "Shoe"}
    assert set(words(after)[1::2]) == {"to", "two", "too", "tomb"}


def test_confusions_of_a_recogniser(tmp_path: Path) -> None:
    path = tmp_path / "confusions.tsv"
    path.write_text(f"{HEAD}3\tTO\tTWO\n2\t-\tA\n1\tOH\t-\n1\tto\tToo\n", "utf-8")
    confusions = Confusions.read(path)
    assert confusions.of("to") == (Heard("too", 1), Heard("two", 3))
    assert confusions.of("oh") == confusions.of("-") == ()


def test_confusions_of_our_own_report(tmp_path: Path) -> None:
    from voxkit.metrics.report import Report, Scored

    Report([Scored("1", "go to rome now", "go two rome"), Scored("2", "two", "two oh")]).write(tmp_path)
    confusions = Confusions.read(tmp_path / "confusions.tsv")
    assert confusions.of("to") == (Heard("two", 1),)
    assert confusions.of("now") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}3\tTO\tTWO\nx\tTO\tTWO\n", "confusions.tsv:3"),
        (f"{HEAD}3\tTO\n", "confusions.tsv:2"),
        (f"{HEAD}0\tTO\tTWO\n1\tTO\tDO\n", "confusions.tsv:2"),
        (f"{HEAD}{'9' * 400}\tTO\tTWO\n", "confusions.tsv:2"),
        (f"{HEAD}{'9' * 5000}\tTO\tTWO\n", "confusions.tsv:2"),
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
        Confusions.read(tmp_path / "confusions.tsv")
    assert isinstance(caught.value, DataError) == (":" in message or "of" in message.split()[:2])
    with pytest.raises(UserError, match="cannot be read"):
        Confusions.read(tmp_path / "nowhere.tsv")


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


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_one(share: float) -> None:
    with pytest.raises(ValueError, match="share of"):
        misheard([], share, 0, Neighbours(SOUNDS))


def test_there_must_be_something_to_hear() -> None:
    with pytest.raises(ValueError, match="neighbours, confusions or both"):
        misheard([], 0.5)
