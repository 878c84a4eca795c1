"""Pronunciations scored: counted by hand, and what must hold whatever the words are."""
# ruff: noqa: RUF001 (IPA has letters that look like others)

import csv
import json
import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from voxkit.errors import UserError
from voxkit.metrics.edit import Errors, errors
from voxkit.metrics.learning_curve import _apart, learning_curve
from voxkit.metrics.pronunciation import Confusion, Judged, PronunciationReport, Rates, Tally, paired
from voxkit.metrics.pronunciation_plots import by_language_plot, confusion_plot

PHONES = st.lists(st.sampled_from(["a", "b", "t͡ʃ", "aː"]), max_size=5).map(tuple)
REFERENCES = st.lists(PHONES.filter(bool), min_size=1, max_size=3).map(tuple)
ITEM = st.builds(Judged, st.text("xyz", max_size=3), st.sampled_from(["fre", "geo", "kor"]), REFERENCES, PHONES)
ITEMS = st.lists(ITEM, min_size=1, max_size=20)
UNIQUE = st.lists(ITEM, min_size=1, max_size=12, unique_by=lambda item: (item.language, item.word))


def judged(word: str, language: str, references: str, hypothesis: str) -> Judged:
    return Judged(word, language, tuple(tuple(one.split()) for one in references.split("/")), tuple(hypothesis.split()))


def words() -> list[Judged]:
    """Five words and eighteen phones of one language, two words and five phones of another."""
    return [
        judged("chat", "fre", "ʃ a", "ʃ a"),
        judged("chatte", "fre", "ʃ a t", "ʃ a d"),
        judged("os", "fre", "ɔ s / o", "o"),  # right by its second reference
        judged("tchèque", "fre", "t͡ʃ ɛ k / t͡ʃ e k / t ʃ ɛ k", "t͡ʃ ɛ t"),
        judged("abdiquèrent", "fre", "a b d i k ɛ ʁ", "a b t i t ɛ ʁ ə"),
        judged("და", "geo", "d ɑ", "d"),
        judged("არა", "geo", "ɑ r ɑ", "ɑ r ɑ"),
    ]


def made(count: int, wrong: float, seed: int, language: str = "fre") -> list[Judged]:
    """Words of three phones, of which about `wrong` have one error."""
    draws = np.random.default_rng(seed).random(count)
    return [judged(f"w{i}", language, "a b c", "a b d" if draw < wrong else "a b c") for i, draw in enumerate(draws)]


def test_a_word_is_judged_by_the_nearest_reference() -> None:
    one = judged("w", "fre", "a b c d / a x", "a b c")
    assert (one.nearest, one.errors, one.right) == (("a", "b", "c", "d"), Errors(4, 0, 1, 0), False)
    assert [pair.op for pair in one.pairs] == ["cor", "cor", "cor", "del"]
    assert judged("w", "fre", "a x / b", "b").right


def test_of_equally_near_references_the_longest_counts() -> None:
    assert judged("w", "fre", "a / a b c", "a b").errors == Errors(3, 0, 1, 0)
    assert judged("w", "fre", "a b c / a", "a b").errors == Errors(3, 0, 1, 0)


def test_every_phone_missing_at_the_beginning_counts() -> None:
    assert judged("w", "fre", "a b c d", "d").errors.count == 3
    assert judged("w", "fre", "a b c", "").errors == Errors(3, 0, 3, 0)


def test_a_word_has_a_reference() -> None:
    for references in ((), ((),), (("a",), ())):
        with pytest.raises(ValueError, match="fre w: no reference"):
            Judged("w", "fre", references, ("a",))
    with pytest.raises(UserError, match="no words to score"):
        PronunciationReport([])


def test_rates_by_hand() -> None:
    report = PronunciationReport(words())
    assert report.by_language == {
        "fre": Tally(5, 3, Errors(16, 1, 0, 4)),
        "geo": Tally(2, 1, Errors(5, 0, 1, 0)),
    }
    assert report.macro == pytest.approx(Rates((60 + 50) / 2, (100 * 5 / 16 + 20) / 2))
    assert report.total == Tally(7, 4, Errors(21, 1, 1, 4))


def test_lines() -> None:
    *found, note = PronunciationReport(words()).lines("exp/test")
    assert found == [
        "%WER 60.00 [ 3 / 5 ] exp/test fre",
        "%WER 50.00 [ 1 / 2 ] exp/test geo",
        "%PER 31.25 [ 5 / 16, 1 ins, 0 del, 4 sub ] exp/test fre",
        "%PER 20.00 [ 1 / 5, 0 ins, 1 del, 0 sub ] exp/test geo",
        "%WER 55.00 [ macro over 2 languages, 4 / 7 ] exp/test",
        "%PER 25.62 [ macro over 2 languages, 6 / 21, 1 ins, 1 del, 4 sub ] exp/test",
    ]
    assert note.startswith("macro WER lies in ")
    assert ", macro PER lies in " in note


def test_one_language_has_no_mean() -> None:
    wer, per, note = PronunciationReport(words()[:5]).lines("x")
    assert (wer[:11], per[:11]) == ("%WER 60.00 ", "%PER 31.25 ")
    assert note.startswith("WER lies in ")


def test_confusions() -> None:
    often = judged("x", "geo", "b", "r r r")  # three confusions of two kinds, neither of which is wrong alone
    report = PronunciationReport([*words(), judged("ad", "fre", "a t", "a d"), often])
    assert report.confusions(1) == [Confusion(2, 2, "fre", "t", "d")]
    assert report.confusions() == [
        Confusion(2, 2, "fre", "t", "d"),
        Confusion(2, 1, "fre", "k", "t"),  # one of them beside two other errors
        Confusion(1, 1, "geo", "ɑ", ""),
        Confusion(2, 0, "geo", "", "r"),  # more often than the one before, but mending it makes no word right
        Confusion(1, 0, "fre", "", "ə"),
        Confusion(1, 0, "fre", "d", "t"),
        Confusion(1, 0, "geo", "b", "r"),
    ]


def test_a_confusion_made_twice_in_a_word_makes_one_word_wrong() -> None:
    assert PronunciationReport([judged("w", "fre", "e b e", "ɛ b ɛ")]).confusions() == [
        Confusion(2, 1, "fre", "e", "ɛ")
    ]


def test_files(tmp_path: Path) -> None:
    report = PronunciationReport(words())
    report.write(tmp_path)
    score = json.loads((tmp_path / "score.json").read_text("utf-8"))
    assert score == json.loads(json.dumps(report.as_dict()))
    assert score["macro"]["wer"]["value"] == pytest.approx(55)
    assert score["by_language"]["fre"]["per"]["substitutions"] == 4
    assert score["by_language"]["geo"]["wer"]["errors"] == 1
    tables = {}
    for name in ("by_language", "confusions", "errors"):
        with open(tmp_path / f"{name}.tsv", encoding="utf-8", newline="") as file:
            tables[name] = list(csv.reader(file, delimiter="\t"))
    assert tables["by_language"] == [
        "language wer wrong words per errors phones ins del sub".split(),
        "fre 60.00 3 5 31.25 5 16 1 0 4".split(),
        "geo 50.00 1 2 20.00 1 5 0 1 0".split(),
        "(macro) 55.00 4 7 25.62 6 21 1 1 4".split(),
    ]
    assert tables["confusions"][0] == ["count", "words", "language", "reference", "hypothesis"]
    assert ["1", "1", "geo", "ɑ", "-"] in tables["confusions"]
    assert tables["errors"][1:] == [
        ["fre", "chatte", "ʃ a t", "ʃ a d", "t>d"],
        ["fre", "tchèque", "t͡ʃ ɛ k / t͡ʃ e k / t ʃ ɛ k", "t͡ʃ ɛ t", "k>t"],
        ["fre", "abdiquèrent", "a b d i k ɛ ʁ", "a b t i t ɛ ʁ ə", "d>t k>t ->ə"],
        ["geo", "და", "d ɑ", "d", "ɑ>-"],
    ]


@given(ITEM, PHONES.filter(bool))
def test_the_nearest_is_the_nearest_and_one_more_reference_does_no_harm(item: Judged, another: tuple[str, ...]) -> None:
    assert item.errors.count == min(errors(one, item.hypothesis).count for one in item.references)
    assert item.right == (item.errors.count == 0)
    more = Judged(item.word, item.language, (*item.references, another), item.hypothesis)
    assert more.errors.count <= item.errors.count
    assert more.right >= item.right


@given(ITEMS, ITEMS)
def test_reports_add_up(first: list[Judged], second: list[Judged]) -> None:
    one, other, both = (PronunciationReport(items) for items in (first, second, first + second))
    assert both.total == one.total + other.total
    for language, tally in both.by_language.items():
        parts = [report.by_language.get(language, Tally()) for report in (one, other)]
        assert tally == parts[0] + parts[1]
    assert sum(confusion.times for confusion in both.confusions()) == both.total.phones.count
    assert sum(confusion.words for confusion in both.confusions()) <= both.total.wrong


@given(ITEMS)
@settings(max_examples=25)
def test_intervals_lie_around_the_rates_of_draws(items: list[Judged]) -> None:
    report = PronunciationReport(items, replications=50)
    for language in (None, *report.by_language):
        for interval in report.intervals(language):
            assert 0 <= interval.low <= interval.high
    assert report.intervals() == PronunciationReport(items, replications=50).intervals()


def test_an_interval_is_that_of_a_binomial() -> None:
    """WER of one language is a share of words, whose spread is known; a mean over four varies half as much."""
    report = PronunciationReport(made(2000, 0.2, 0))
    wer, per = report.intervals()
    share = wer.value / 100
    assert wer.low < wer.value < wer.high
    assert wer.high - wer.low == pytest.approx(100 * 2 * 1.96 * math.sqrt(share * (1 - share) / 2000), rel=0.1)
    assert (per.low, per.high) == pytest.approx((wer.low / 3, wer.high / 3))
    four = PronunciationReport([item for name in "abcd" for item in made(2000, 0.2, 0, name)]).intervals().wer
    assert four.high - four.low == pytest.approx((wer.high - wer.low) / 2, rel=0.1)


def test_intervals_cover_the_truth() -> None:
    covered = 0
    for seed in range(200):
        wer = PronunciationReport(made(200, 0.3, seed), replications=200, seed=seed).intervals().wer
        covered += wer.low <= 30 <= wer.high
    assert 180 <= covered <= 200


def test_draws_in_parts_are_as_good_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = PronunciationReport(words()).intervals()
    monkeypatch.setattr("voxkit.metrics.pronunciation._AT_ONCE", 7)
    assert PronunciationReport(words(), seed=1).intervals().per.high == pytest.approx(whole.per.high, rel=0.2)


@given(UNIQUE, st.randoms())
@settings(max_examples=50)
def test_a_system_does_not_differ_from_itself(items: list[Judged], random: Random) -> None:
    shuffled = random.sample(items, len(items))
    for a, b in ((items, shuffled), ([items, items], shuffled)):
        for change in paired(a, b, replications=20):
            assert (change.relative, change.low, change.high, change.against) == (0, 0, 0, 1)
            assert change.before == change.after


def test_a_change_by_hand() -> None:
    old = [judged("a", "fre", "x y", "x z"), judged("b", "fre", "x y", "z z"), judged("c", "geo", "x", "x z")]
    new = [judged("c", "geo", "x", "x z"), judged("b", "fre", "x y", "x y"), judged("a", "fre", "x y", "x z")]
    wer, per = paired(old, new)
    assert (wer.before, wer.after, wer.relative) == (100, 75, -25)
    assert (per.before, per.after) == (87.5, 62.5)
    assert per.relative == pytest.approx(100 * (62.5 - 87.5) / 87.5)
    assert wer.against == pytest.approx(0.25, abs=0.05)  # both draws of the language took the word that did not change
    assert str(wer).startswith("100.00 to 75.00: -25.0 % relative (-50.0 to +0.0; ")
    back = paired(new, old).per
    assert (back.before, back.after, back.against) == (per.after, per.before, per.against)


def test_runs_are_averaged() -> None:
    wrong, right = [judged("a", "fre", "x y", "x z")], [judged("a", "fre", "x y", "x y")]
    wer, per = paired([wrong, right], [right])
    assert (wer.before, wer.after, wer.relative) == (50, 0, -100)
    assert (per.before, per.after) == (25, 0)
    assert paired([wrong, right, right, right], [wrong, right]).wer.relative == 100


def test_pairing_sees_more_than_two_intervals_do() -> None:
    """Two systems that share most of their errors: their intervals overlap, the change is certain all the same."""
    old = made(1000, 0.3, 0)
    new = [
        Judged(i.word, i.language, i.references, i.references[0] if n % 8 == 0 else i.hypothesis)
        for n, i in enumerate(old)
    ]
    wer = paired(old, new).wer
    assert PronunciationReport(new).intervals().wer.high > PronunciationReport(old).intervals().wer.low
    assert wer.low < wer.relative < wer.high < 0
    assert wer.against == 0


def test_no_change_of_nothing() -> None:
    right, wrong = [judged("a", "fre", "x", "x")], [judged("a", "fre", "x", "y")]
    assert math.isnan(paired(right, wrong).per.relative)
    assert paired(right, wrong).per.against == 0


def test_other_words_cannot_be_compared() -> None:
    one = words()
    with pytest.raises(UserError, match="1 of the words to compare are not in both: fre chat\n"):
        paired(one, one[1:])
    with pytest.raises(UserError, match="1 of the words to compare have other references: fre chat\n"):
        paired([one, one], [one, [judged("chat", "fre", "ʃ a t", "ʃ a"), *one[1:]]])
    with pytest.raises(UserError, match="geo და: there 2 times"):
        paired(one, [*one, one[5]])
    for nothing in ([], [[]], [one, []]):
        with pytest.raises(UserError, match="no words to compare"):
            paired(one, nothing)


def test_pictures_are_drawn(tmp_path: Path) -> None:
    """Any glyph that the font lacks would be a warning, and so an error here."""
    both, one = PronunciationReport(words()), PronunciationReport(words()[:5])
    by_language_plot({"one each": both, "French only": one}, tmp_path / "wer.png")
    by_language_plot({"French only": one}, tmp_path / "per.png", "per", "One language")
    confusion_plot(both, tmp_path / "confusions.png")
    marks = judged("w", "kor", "t͡sʰ k̚ p͈ i͜a ʌ̹", "t͡ɕ͈ ŋ ũːʱ d̪ʱ ɕ͈ ˧˥")
    confusion_plot(PronunciationReport([marks]), tmp_path / "marks.png", worst=3)
    confusion_plot(PronunciationReport([judged("w", "kor", "a", "a")]), tmp_path / "none.png")
    points = [(3600.0, 4.0, 3.8, 4.2), (100.0, 12.0, 11.0, 13.5), (110.0, 11.5, 11.0, 13.0)]
    learning_curve({"one": points, "two": points[:1]}, tmp_path / "curve.png", "words", "PER [%]")
    for name in ("wer", "per", "confusions", "marks", "none", "curve"):
        assert (tmp_path / f"{name}.png").stat().st_size > 3000
    assert len(imread(tmp_path / "wer.png")) > len(imread(tmp_path / "per.png"))


def test_ticks_have_room() -> None:
    assert _apart([100, 110, 1000, 3600]) == [100, 1000, 3600]
    assert _apart([5]) == [5]
