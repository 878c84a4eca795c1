"""Entities scored: counted by hand, against seqeval's own reports, and what must hold whatever the tags are."""

import gzip
import json
import math
import os
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from voxkit.data.tagging import Sentence
from voxkit.errors import UserError
from voxkit.metrics.calibration import Interval
from voxkit.metrics.entities import (
    Confusion,
    EntityReport,
    Means,
    Scores,
    known_entities,
)
from voxkit.metrics.entity_bootstrap import over_seeds, paired_difference
from voxkit.metrics.entity_plots import MOST, by_type_plot, confusion_plot
from voxkit.metrics.resampling import resampled

LABELS = ("city", "creative-work", "day")
TAG = st.sampled_from(["O", *(f"{kind}-{label}" for kind in "BI" for label in LABELS)])
WORD = st.sampled_from(["Rome", "rome", "new", "monday"])
TAGGED = st.lists(st.tuples(WORD, TAG, TAG), max_size=7)
CORPUS = st.lists(TAGGED, min_size=1, max_size=8)


def sentence(text: str, id: str = "1", group: str = "", where: str = "") -> Sentence:
    """Words with their tags: `to/O New/B-city York/I-city`; without a tag it is O."""
    pairs = [(word, tag or "O") for word, _, tag in (one.partition("/") for one in text.split())]
    return Sentence.of(id, [word for word, _ in pairs], [tag for _, tag in pairs], where, group)


def report(*both: tuple[str, str], known: set[tuple[str, str]] | None = None, **options: Any) -> EntityReport:
    """Of sentences (words with their tags) and of what was found (tags)."""
    sentences = [sentence(text, str(number)) for number, (text, _) in enumerate(both)]
    return EntityReport(sentences, [tags.split() for _, tags in both], known, **options)


def of(corpus: list[list[tuple[str, str, str]]], **options: Any) -> EntityReport:
    sentences = [
        Sentence.of(str(number), [word for word, *_ in some], [tag for _, tag, _ in some])
        for number, some in enumerate(corpus)
    ]
    return EntityReport(sentences, [[tag for *_, tag in some] for some in corpus], **options)


def three(**options: Any) -> EntityReport:
    """Three entities, one right, one with other words, one with another label; and one that was made up."""
    return report(
        ("fly to New/B-city York/I-city", "O O B-city I-city"),
        ("to San/B-city Jose/I-city on Monday/B-day", "O O B-city O B-city"),
        ("never mind", "B-day O"),
        **options,
    )


def without_nan(value: Any) -> Any:
    """NaN is not equal to itself; -1 is, and is no score."""
    return [-1 if math.isnan(one) else pytest.approx(one) for one in value]


def test_by_hand() -> None:
    found = three()
    assert found.micro == pytest.approx(Scores.of(1, 4, 3))
    assert Scores.of(1, 4, 3) == pytest.approx((25, 100 / 3, 200 / 7, 1, 4, 3))
    assert found.by_type == {"city": Scores.of(1, 3, 2), "day": Scores.of(0, 1, 1)}
    assert found.macro == pytest.approx(Means(100 / 6, 25, 20, 2))
    assert found.spans == Scores.of(2, 4, 3)
    assert found.counts().tolist() == [[1, 1, 1], [0, 2, 2], [0, 1, 0]]
    assert found.right_sentences == 1
    assert found.seen is found.unseen is None
    assert found.by_group == {}


def test_lines() -> None:
    known = {("city", "new york"), ("day", "monday")}
    assert three(known=known, replications=0).lines("exp/ner") == [
        "%F1 28.57 [ P 25.00, R 33.33, 1 right, 4 found, 3 entities ] exp/ner",
        "%F1-unseen 0.00 [ P 0.00, R 0.00, 0 right, 3 found, 1 entities ] exp/ner",
        "%F1-seen 66.67 [ P 100.00, R 50.00, 1 right, 1 found, 2 entities ] exp/ner",
        "%F1-surface 28.57 [ P 25.00, R 33.33, 1 right, 4 found, 3 entities ] exp/ner",
        "%F1-span 57.14 [ P 50.00, R 66.67, 2 right, 4 found, 3 entities ] exp/ner",
        "%F1-macro 20.00 [ P 16.67, R 25.00, mean over 2 types ] exp/ner",
        "%SENTENCES 33.33 [ 1 / 3 ] exp/ner",
    ]
    first = three(replications=200).lines("exp/ner")[0]
    assert first.startswith("%F1 28.57 [ P 25.00, R 33.33, 1 right, 4 found, 3 entities, 95 %: 0.00 to 1")


def test_where_nothing_is_to_be_found() -> None:
    found = report(("never mind", "O O"), ("", ""), known=set())
    assert without_nan(found.micro) == [-1, -1, -1, 0, 0, 0]
    assert without_nan(found.macro) == [-1, -1, -1, 0]
    assert found.by_type == {}
    assert without_nan(found.intervals["all"]) == [-1, -1, -1]
    assert found.lines("x") == [
        *(f"no %{name}: no such entities, tagged or found" for name in ("F1", "F1-unseen", "F1-seen")),
        *(f"no %{name}: no such entities, tagged or found" for name in ("F1-surface", "F1-span")),
        "%SENTENCES 100.00 [ 2 / 2 ] x",
    ]


def test_where_one_side_is_empty() -> None:
    """As seqeval has it, what cannot be divided is 0."""
    assert report(("Rome/B-city", "O")).micro == (0, 0, 0, 0, 0, 1)
    invented = report(("Rome", "B-city"), known={("city", "rome")})
    assert invented.micro == (0, 0, 0, 0, 1, 0)
    assert invented.unseen is not None
    assert "no %F1-unseen: no such entities, tagged or found" in invented.lines("x")


def test_an_inside_that_goes_on_with_nothing_is_no_entity() -> None:
    assert report(("Rome/B-city", "I-city")).micro.found == 0
    assert report(("in Rome/B-city", "B-day I-city")).micro == Scores.of(0, 1, 1)


def test_seen_and_unseen() -> None:
    train = [sentence("New/B-city  York/I-city rome/B-city Rome/B-day", "a"), sentence("Rome", "b")]
    known = known_entities(train)
    assert known == {("city", "new york"), ("city", "rome"), ("day", "rome")}
    found = report(
        ("ROME/B-city in Paris/B-city", "B-city O O"),
        ("New/B-city York/I-city", "B-city O"),  # `New` is not in the training data
        ("York", "O"),
        known=known,
    )
    assert (found.seen.micro, found.unseen.micro) == (Scores.of(1, 1, 2), Scores.of(0, 1, 1))  # type: ignore[union-attr]
    assert found.counts("seen").tolist() == [[1, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert found.counts("unseen").tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]
    with pytest.raises(ValueError, match="not known"):
        three().counts("seen")


def test_the_text_between_words_of_an_entity_does_not_matter_but_single_spaces_do() -> None:
    words, tags = ("New", "York", "Co"), ("B-city", "I-city", "I-city")
    apart = Sentence("1", words, tags, "", "New   York-Co", ((0, 3), (6, 10), (11, 13)))
    assert known_entities([apart]) == {("city", "new york-co")}


def test_surfaces_count_once() -> None:
    """WNUT-17: right anywhere is right, found anywhere is found."""
    found = report(
        ("Rome/B-city", "B-city"),
        ("Rome/B-city", "O"),
        ("rome/B-city", "O"),
        ("Rome", "B-city"),
        ("Rome/B-day", "B-day"),
        ("Oslo", "B-city"),
    )
    assert found.surfaces == Scores.of(2, 3, 3)
    assert found.micro == Scores.of(2, 4, 4)


def test_by_group() -> None:
    sentences = [sentence("Rome/B-city", "1", "weather"), sentence("Rome/B-city", "2", "music"), sentence("hi", "3")]
    found = EntityReport(sentences, [["B-city"], ["B-day"], ["B-day"]])
    assert found.by_group == {"music": Scores.of(0, 1, 1), "weather": Scores.of(1, 1, 1)}


def test_confusions() -> None:
    found = three()
    assert found.confusions() == [
        Confusion(1, "", "day", False),
        Confusion(1, "city", "city", False),
        Confusion(1, "day", "city", True),
    ]
    assert found.pairs["city", "city", True] == 1


def test_what_shares_most_words_is_paired() -> None:
    text = "a/B-city b/I-city c/I-city d/B-day e"
    assert report((text, "B-day B-city I-city I-city O")).pairs == {
        ("city", "city", False): 1, ("", "day", False): 1, ("day", "", False): 1,
    }  # fmt: skip
    one = report(("a/B-city b/I-city", "B-day B-city"))  # as many words, but one has the right label
    assert one.pairs == {("city", "city", False): 1, ("", "day", False): 1}


@given(CORPUS)
def test_scores_are_those_of_seqeval(corpus: list[list[tuple[str, str, str]]]) -> None:
    found = of(corpus)
    tags = [[[row[side] for row in some] for some in corpus] for side in (1, 2)]
    if not found.by_type:
        return  # of which seqeval makes no report
    wanted = classification_report(*tags, output_dict=True, mode="strict", scheme=IOB2, zero_division=0)
    measures = {"micro avg": found.micro, "macro avg": found.macro, **found.by_type}
    assert set(wanted) == {"weighted avg", *measures}
    for name, scores in measures.items():
        one = wanted[name]
        assert scores[:3] == pytest.approx([100 * one[key] for key in ("precision", "recall", "f1-score")])
    assert [scores.entities for scores in found.by_type.values()] == [wanted[name]["support"] for name in found.by_type]


@given(CORPUS, st.sets(st.tuples(st.sampled_from(LABELS), st.sampled_from(["rome", "new", "rome rome"]))))
def test_parts_make_the_whole(corpus: list[list[tuple[str, str, str]]], known: set[tuple[str, str]]) -> None:
    found = of(corpus, known=known, replications=3)
    counts = found.counts()
    assert (found.counts("seen") + found.counts("unseen") == counts).all()
    assert without_nan(Scores.of(*map(int, counts.sum(axis=0)))) == without_nan(found.micro)
    for name, part in found.parts.items():
        assert without_nan(part.micro) == without_nan(Scores.of(*map(int, found.counts(name).sum(axis=0))))
        assert sum(scores.entities for scores in part.by_type.values()) == part.micro.entities
    lengths = Counter[str]()
    for (gold, guess, exact), number in found.pairs.items():
        lengths.update({"gold": number * bool(gold), "found": number * bool(guess)})
        lengths["right"] += number * (exact and gold == guess)
    assert (lengths["right"], lengths["found"], lengths["gold"]) == found.micro[3:]
    assert sum(one.times for one in found.confusions()) == found.pairs.total() - found.micro.right
    assert found.micro.right <= found.spans.right
    json.dumps(found.as_dict(), allow_nan=False)


@given(CORPUS)
def test_what_is_tagged_found_again_is_right(corpus: list[list[tuple[str, str, str]]]) -> None:
    found = of([[(word, tag, tag) for word, tag, _ in some] for some in corpus])
    assert found.right_sentences == len(corpus)
    assert found.confusions() == []
    assert not found.by_type or found.micro.f1 == found.macro.f1 == found.surfaces.f1 == found.spans.f1 == 100


def random_counts(sentences: int, seed: int, right: float = 0.7) -> np.ndarray[Any, np.dtype[np.int64]]:
    rng = np.random.default_rng(seed)
    gold = rng.integers(4, size=sentences)
    hit = rng.binomial(gold, right)
    return np.stack([hit, hit + rng.integers(2, size=sentences), gold], axis=1)


def f1(counts: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(200 * counts[..., 0] / (counts[..., 1] + counts[..., 2]))


def test_the_bootstrap_draws_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = random_counts(60, 0)
    draws = f1(resampled([counts[None]], 3000, 1)[:, 0])
    rng, slow = np.random.default_rng(2), []
    for _ in range(3000):
        right, found, gold = counts[rng.integers(60, size=60)].sum(axis=0)
        slow.append(200 * right / (found + gold))
    assert np.quantile(draws, [0.025, 0.5, 0.975]) == pytest.approx(np.quantile(slow, [0.025, 0.5, 0.975]), abs=0.5)
    monkeypatch.setattr("voxkit.metrics.resampling._AT_ONCE", 70)  # the same in many goes
    assert (f1(resampled([counts[None]], 300, 1)[:, 0]) == draws[:300]).all()


def test_the_bootstrap_draws_seeds_too() -> None:
    seeds = np.stack([random_counts(60, 0, right) for right in (0.5, 0.6, 0.9)])
    draws = f1(resampled([seeds], 3000, 1)[:, 0])
    rng, slow = np.random.default_rng(2), []
    for _ in range(3000):
        times = 1 + (np.bincount(rng.integers(3, size=3), minlength=3) - 1) * math.sqrt(3 / 2)
        right, found, gold = times @ seeds[:, rng.integers(60, size=60)].sum(axis=1)
        slow.append(200 * right / (found + gold))
    assert np.quantile(draws, [0.025, 0.5, 0.975]) == pytest.approx(np.quantile(slow, [0.025, 0.5, 0.975]), abs=1.5)
    fixed = f1(resampled([seeds.sum(axis=0)[None]], 3000, 1)[:, 0])
    assert np.ptp(np.quantile(draws, [0.025, 0.975])) > 1.5 * np.ptp(np.quantile(fixed, [0.025, 0.975]))


def test_a_system_of_several_seeds() -> None:
    texts = ["a/B-city b/B-day"] * 100
    rng = np.random.default_rng(6)
    reports = [
        report(*((text, f"B-city {'B-day' if draw < share else 'O'}") for text, draw in zip(texts, draws, strict=True)))
        for share, draws in ((0.5, rng.random(100)), (0.8, rng.random(100)))
    ]
    right = sum(one.micro.right for one in reports)
    found = sum(one.micro.found for one in reports)
    value, low, high = over_seeds(reports)
    assert value == pytest.approx(200 * right / (found + 400))
    assert low < value < high
    assert over_seeds(reports, measure="recall").value == pytest.approx(100 * right / 400)
    assert over_seeds(reports[:1]).value == pytest.approx(reports[0].micro.f1)
    change = paired_difference(reports[:1], reports, measure="recall")
    assert change.value == pytest.approx(100 * right / 400 - 100 * reports[0].micro.right / 200)


def test_intervals_hold_the_value_and_repeat() -> None:
    rng = np.random.default_rng(3)
    both = [("a/B-city b", "B-city O" if draw < 0.8 else "O B-day") for draw in rng.random(80)]
    found = report(*both, known={("city", "b")}).intervals
    value, low, high = found["all"]
    assert low < value < high
    assert found["unseen"] == found["all"]
    assert without_nan(found["seen"]) == [-1, -1, -1]
    assert report(*both).intervals == {"all": found["all"]}
    assert report(*both, seed=1).intervals != {"all": found["all"]}
    assert without_nan(report(*both, replications=0).intervals["all"])[1:] == [-1, -1]


def test_two_systems_on_the_same_sentences() -> None:
    rng = np.random.default_rng(4)
    texts = ["a/B-city b/B-day"] * 200
    worse, better = (
        report(*((text, f"B-city {'B-day' if draw < share else 'O'}") for text, draw in zip(texts, draws, strict=True)))
        for share, draws in ((0.5, rng.random(200)), (0.8, rng.random(200)))
    )
    value, low, high = paired_difference([worse], [better])
    assert value == pytest.approx(better.micro.f1 - worse.micro.f1)
    assert 0 < low < value < high
    assert paired_difference([better], [worse]).value == -value
    assert paired_difference([better], [better]) == Interval(0, 0, 0)


def test_pairing_makes_the_interval_narrow() -> None:
    """Two systems that err together differ more surely than two that do not."""
    draws = np.random.default_rng(5).random((2, 300))
    text = "a/B-city"

    def system(share: float, draws: Any) -> EntityReport:
        return report(*((text, "B-city" if draw < share else "O") for draw in draws))

    together = paired_difference([system(0.6, draws[0])], [system(0.7, draws[0])])
    apart = paired_difference([system(0.6, draws[0])], [system(0.7, draws[1])])
    assert together.high - together.low < 0.7 * (apart.high - apart.low)


def test_hyphens_belong_to_labels() -> None:
    found = report(("a/B--city b/I--city c/B-city- d/O", "B-city I-city B-city- I-city-"), ("a/B--", "B--"))
    assert {label: scores[3:] for label, scores in found.by_type.items()} == {
        "-": (1, 1, 1), "-city": (0, 0, 1), "city": (0, 1, 0), "city-": (0, 1, 1),
    }  # fmt: skip
    assert found.micro[3:] == (1, 3, 3)
    assert found.micro.f1 == pytest.approx(100 / 3)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(UserError, match="no sentences to score"):
        EntityReport([], [])
    with pytest.raises(ValueError, match="1: 1 tags, and 2 were found"):
        EntityReport([sentence("a")], [["O", "O"]])
    with pytest.raises(ValueError, match="1: no tags"):
        EntityReport([Sentence.of("1", ["a"])], [["O"]])
    for tag in ("city", "B-", "S-city", ""):
        with pytest.raises(ValueError, match="no BIO tag"):
            EntityReport([sentence("a")], [[tag]])
    with pytest.raises(ValueError, match="zip"):
        EntityReport([sentence("a")], [])
    with pytest.raises(UserError, match="not the same"):
        paired_difference([report(("a/B-city", "O"))], [report(("a", "O"))])


def test_files(tmp_path: Path) -> None:
    sentences = [
        sentence("fly to New/B-city York/I-city", "s1", "travel", "test.conll:1"),
        sentence("to San/B-city Jose/I-city on Monday/B-day", "s2", "", "test.conll:6"),
    ]
    found = EntityReport(sentences, [["O", "O", "B-city", "I-city"], "O O B-city O B-day".split()], {("day", "monday")})
    found.write(tmp_path, {"size": 3})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "by_group.tsv", "by_type.tsv", "confusions.tsv", "errors.txt", "score.json",
    ]  # fmt: skip
    assert (tmp_path / "errors.txt").read_text() == (
        "s2  test.conll:6\n  gold   to <<San Jose>>city on [Monday]day\n  found  to San <<Jose>>city on [Monday]day\n"
    )
    assert (tmp_path / "confusions.tsv").read_text() == "count\tgold\tfound\twords\n1\tcity\tcity\tother\n"
    rows = [line.split("\t") for line in (tmp_path / "by_type.tsv").read_text().splitlines()]
    head = "type precision recall f1 right found entities seen_f1 seen_entities unseen_f1 unseen_entities"
    assert rows == [
        head.split(),
        "city 50.00 50.00 50.00 1 2 2 - 0 50.00 2".split(),
        "day 100.00 100.00 100.00 1 1 1 100.00 1 - 0".split(),
        "(all) 66.67 66.67 66.67 2 3 3 100.00 1 50.00 2".split(),
    ]
    assert (tmp_path / "by_group.tsv").read_text().splitlines() == [
        "group\tprecision\trecall\tf1\tright\tfound\tentities",
        "travel\t100.00\t100.00\t100.00\t1\t1\t1",
        "(all)\t66.67\t66.67\t66.67\t2\t3\t3",
    ]
    scores = json.loads((tmp_path / "score.json").read_text())
    assert scores["size"] == 3
    assert scores["all"]["micro"]["f1"] == pytest.approx(200 / 3)
    assert scores["seen"]["by_type"] == {"day": {**scores["seen"]["by_type"]["day"], "f1": 100, "right": 1}}
    assert scores["sentences"] == {"rate": 50, "right": 1, "total": 2}


def test_files_without_groups_or_errors(tmp_path: Path) -> None:
    report(("Rome/B-city", "B-city")).write(tmp_path)
    assert not (tmp_path / "by_group.tsv").exists()
    assert (tmp_path / "errors.txt").read_text() == ""
    assert (tmp_path / "by_type.tsv").read_text().splitlines()[0].split("\t")[-1] == "entities"


def height(path: Path) -> int:
    return len(imread(path))


def test_pictures(tmp_path: Path) -> None:
    small, large = three(), three(known={("city", "new york")})
    many = report(*((f"a/B-t{number}", f"B-t{number % 7}") for number in range(MOST + 5)))
    for name, found in (("small", small), ("large", large), ("many", many)):
        by_type_plot(found, tmp_path / f"{name}_types.png")
        confusion_plot(found, tmp_path / f"{name}_confusions.png")
    assert height(tmp_path / "large_types.png") > height(tmp_path / "small_types.png")  # two bars a type
    assert height(tmp_path / "many_types.png") > 3 * height(tmp_path / "small_types.png")
    assert height(tmp_path / "many_confusions.png") > 2 * height(tmp_path / "small_confusions.png")


def test_pictures_of_nothing(tmp_path: Path) -> None:
    empty = report(("never mind", "O O"), known=set())
    by_type_plot(empty, tmp_path / "types.png")
    confusion_plot(empty, tmp_path / "confusions.png")
    assert imread(tmp_path / "confusions.png").std() > 0.01


def wnut(part: str) -> list[Sentence]:
    path = Path(os.environ.get("VOXKIT_DATA", "none")) / "wnut17" / f"{part}.conll.gz"
    if not path.exists():
        pytest.skip("no wnut17 in $VOXKIT_DATA")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        runs = [list(run) for is_row, run in groupby(file, key=lambda line: bool(line.strip())) if is_row]
    rows = [[line.split() for line in run] for run in runs]
    return [Sentence.of(str(n), [row[0] for row in some], [row[1] for row in some]) for n, some in enumerate(rows)]


def test_wnut_17_has_new_entities() -> None:
    """1079 entities, 955 of them distinct, as the official evaluation counts; nearly all are unseen."""
    test = wnut("test")
    found = EntityReport(test, [one.tags or () for one in test], known_entities(wnut("train")), replications=0)
    assert (found.micro.entities, found.surfaces.entities) == (1079, 955)
    assert found.unseen is not None
    assert found.unseen.micro.entities == 1059
