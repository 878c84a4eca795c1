import math
import random
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxkit.decode.arpa import END, UNKNOWN, Arpa
from voxkit.errors import DataError, UserError

TEXT = [line.split() for line in ("a b c", "a b", "b c a", "c", "a b c b", "a a b", "d a b") * 4]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_after_any_history_sum_to_at_most_one(order: int) -> None:
    lm = Arpa.estimate(TEXT, order)
    words = [*sorted(lm.words), END]
    for history in [(), ("<s>",), ("a",), ("a", "b"), ("c", "a"), ("d", "d"), ("b", "c", "a")]:
        total = sum(10 ** lm.log10(history, word) for word in words)
        assert 0.6 < total < 1.0 + 1e-4  # the discount is lost where every word was seen


def test_what_was_seen_is_likelier() -> None:
    lm = Arpa.estimate(TEXT, 3)
    assert lm.log10(("<s>", "a"), "b") > lm.log10(("<s>", "a"), "d")
    assert lm.perplexity(TEXT).value < lm.perplexity([["d", "d", "c"]] * 3).value


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "é", "日本"]), min_size=1, max_size=5), min_size=1, max_size=8),
    st.integers(1, 4),
)
def test_any_text_gives_a_model_that_scores_it(sentences: list[list[str]], order: int) -> None:
    perplexity = Arpa.estimate(sentences, order).perplexity(sentences)
    assert 1 <= perplexity.value < 1e9
    assert (perplexity.words, perplexity.oov) == (sum(map(len, sentences)), 0)


def test_a_model_comes_back_from_its_file(tmp_path: Path) -> None:
    lm = Arpa.estimate([["à", "ß"], ["ß", "à", "à"]] * 3, 3)
    lm.write(tmp_path / "lm.arpa")
    again = Arpa.read(tmp_path / "lm.arpa")
    assert [table.keys() for table in again.orders] == [table.keys() for table in lm.orders]
    assert again.log10(("<s>", "à"), "ß") == pytest.approx(lm.log10(("<s>", "à"), "ß"), abs=1e-6)


def test_the_unknown_is_shared_by_the_unseen() -> None:
    lm = Arpa.estimate([[UNKNOWN if word == "d" else word for word in line] for line in TEXT], 2)
    mass = 10 ** lm.orders[0][(UNKNOWN,)][0]
    shared = lm.restricted({"a", "b", "c", "x", "y"}, unseen=["x", "y"])
    assert 10 ** shared.log10((), "x") == pytest.approx(mass / 2)
    assert shared.words == {"a", "b", "c", "x", "y"}
    assert not any(UNKNOWN in ngram for table in shared.orders for ngram in table)


def test_mass_for_the_unknown_is_taken_from_all() -> None:
    lm = Arpa.estimate(TEXT, 2)
    total = sum(10**p for p, _ in lm.orders[0].values())
    assert sum(10**p for p, _ in lm.with_unknown(0.1).orders[0].values()) == pytest.approx(0.9 * total + 0.1)


def test_oov_words_are_counted_and_left_out() -> None:
    found = Arpa.estimate(TEXT, 2).perplexity([["a", "zebra", "b"]])
    assert (found.words, found.sentences, found.oov) == (2, 1, 1)
    assert math.isfinite(found.value)
    assert str(found).startswith("%PPL ")


def test_broken_lines_are_all_reported(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text("\\data\\\nngram 1=3\n\n\\1-grams:\n-1 a\nx b\n-1 c d e f\n-0.5 </s>\n\n\\end\\\n")
    with pytest.raises(DataError) as caught:
        Arpa.read(path)
    assert [problem.where.rpartition(":")[2] for problem in caught.value.problems] == ["6", "7"]


def test_a_preamble_that_explains_the_format_is_not_read(tmp_path: Path) -> None:
    """As the CMU-Cambridge toolkit writes it: with section marks, and the data mark within a line."""
    path = tmp_path / "lm.arpa"
    preamble = "This is a 2-gram model\nBeginning of data mark: \\data\\\nngram 1=nr\n\n\\1-grams:\np_1  wd_1 bo_wt_1\n"
    preamble += "\\2-grams:\np_2  wd_1 wd_2\n\nend of data mark: \\end\\\n\n"
    path.write_text(f"{preamble}\\data\\\nngram 1=2\n\n\\1-grams:\n-0.3 a 0.0\n-0.3 </s>\n\n\\end\\\n")
    assert Arpa.read(path).orders == [{("a",): (-0.3, 0.0), (END,): (-0.3, 0.0)}]


def test_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        Arpa.read(tmp_path / "absent")
    (tmp_path / "text").write_text("hello\n")
    with pytest.raises(UserError, match="no n-grams"):
        Arpa.read(tmp_path / "text")


def models(seed: int, orders: tuple[int, ...] = (3, 2, 4)) -> list[Arpa]:
    """Models of corpora with different words, each over the words of all."""
    draw = random.Random(seed)
    texts = [
        [[draw.choice(letters) for _ in range(draw.randint(1, 5))] for _ in range(draw.randint(1, 12))]
        for letters in ("abc", "bcde", "aef")
    ]
    some = [Arpa.estimate(text, order) for text, order in zip(texts, orders, strict=True)]
    words = sorted(set().union(*(model.words for model in some)))
    return [model.with_words(words, 0.1) for model in some]


def histories(words: set[str], longest: int) -> list[tuple[str, ...]]:
    return [given for size in range(longest + 1) for given in product([*sorted(words), "<s>", "?"], repeat=size)]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([(3, 2, 3), (1, 1, 1), (2, 3, 1)]))
def test_a_mixture_is_the_weighted_sum_and_sums_to_one(seed: int, orders: tuple[int, ...]) -> None:
    some, weights = models(seed, orders), [5.0, 3.0, 2.0]
    mixed = Arpa.mixed(some, weights)
    words = [*sorted(mixed.words), END]
    for history in histories(mixed.words, max(orders) - 1):
        for model in (mixed, *some):
            assert sum(10 ** model.log10(history, word) for word in words) == pytest.approx(1, abs=1e-9)
    for table in mixed.orders:
        for (*history, word), (probability, _) in table.items():
            parts = [10 ** model.log10(tuple(history), word) for model in some]
            expected = sum(weight / 10 * part for weight, part in zip(weights, parts, strict=True))
            assert 10**probability == pytest.approx(expected, abs=1e-12)


def test_a_mixture_has_the_ngrams_of_all_models_with_weight(tmp_path: Path) -> None:
    some = models(7)
    mixed = Arpa.mixed(some, [0.5, 0.0, 0.5])
    for size, table in enumerate(mixed.orders):
        union = [set(model.orders[size]) for model in (some[0], some[2]) if size < len(model.orders)]
        assert set(table) == set().union(*union)
    alone = Arpa.mixed(some, [0, 3, 0])
    assert alone.perplexity(TEXT).value == pytest.approx(some[1].perplexity(TEXT).value)
    mixed.write(tmp_path / "lm.arpa")
    assert Arpa.read(tmp_path / "lm.arpa").perplexity(TEXT).value == pytest.approx(
        mixed.perplexity(TEXT).value, rel=1e-4
    )


def test_words_without_a_model_share_a_mass() -> None:
    lm = Arpa.estimate(TEXT, 3)
    more = lm.with_words(["a", "x", "y"], 0.2)
    assert more.words == lm.words | {"x", "y"}
    assert 10 ** more.log10((), "x") == pytest.approx(0.1)
    assert 10 ** more.log10((), "a") == pytest.approx(0.8 * 10 ** lm.log10((), "a"))
    assert more.log10(("a",), "b") == pytest.approx(lm.log10(("a",), "b"))
    assert lm.with_words(["a", "b"], 0.2) is lm


def test_scores_of_a_sentence() -> None:
    lm = Arpa.estimate(TEXT, 3)
    scores = lm.scores(["a", "?", "b"])
    assert scores == [lm.log10(("<s>",), "a"), None, lm.log10((), "b"), lm.log10(("b",), END)]
    found = lm.perplexity([["a", "?", "b"]])
    assert (found.words, found.oov) == (2, 1)
    assert found.value == pytest.approx(10 ** -(sum(score for score in scores if score is not None) / 3))


def test_marks_are_not_normalised(tmp_path: Path) -> None:
    Arpa.estimate([["one", "<unk>"], ["two"]], 2).write(tmp_path / "lm.arpa")
    found = Arpa.read(tmp_path / "lm.arpa", lambda word: word.upper().strip("<>"))
    assert ("ONE", "<unk>") in found.orders[1]
    assert ("<s>", "TWO") in found.orders[1]


def test_an_unknown_word_is_part_of_the_history_where_it_was_learnt() -> None:
    model = Arpa.estimate([["one", "<unk>", "two"], ["two", "one"], ["<unk>", "two"]], 2)
    assert model.scores(["one", "strange", "two"])[1:3] == [None, model.log10(("<unk>",), "two")]
    plain = Arpa.estimate([["one", "two"], ["two", "one"]], 2)
    assert plain.scores(["one", "strange", "two"])[1:3] == [None, plain.log10((), "two")]


def test_an_order_that_no_sentence_is_as_long_as() -> None:
    model = Arpa.estimate([["yes"]] * 3, 9)
    assert len(model.orders) == 3
    assert Arpa.mixed([model, model], [0.5, 0.5]).log10(("<s>",), "yes") == pytest.approx(model.log10(("<s>",), "yes"))


def test_long_sentences_take_as_long_as_they_are_long() -> None:
    model = Arpa.estimate([["a", "b", "c"]] * 3, 3)
    words = ["a", "b", "c"] * 100_000  # minutes, where each word is added to all that came before it
    scores = model.scores(words)
    assert len(scores) == 300_001
    assert scores[4:7] == scores[-6:-3]
