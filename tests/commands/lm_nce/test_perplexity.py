"""Perplexities: their definition, whatever way a model reads, and words of several pieces."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commands.lm_nce.small_lm import WORDS, model
from voxkit.commands.lm_nce import perplexity
from voxkit.commands.lm_nce.perplexity import Stepwise, counted, evaluate, foresee, some_windows
from voxkit.commands.lm_nce.scorer import TorchScorer
from voxkit.commands.lm_nce.vocabulary import BEGIN, END, UNKNOWN, Vocabulary

KINDS = ("lstm", "transformer")
SIZE = len(WORDS) + 3


def windows(count: int = 9, seed: int = 0) -> list[np.ndarray]:
    """Sentences of different lengths, some with unknown words, and one that was cut in two."""
    draw = np.random.default_rng(seed)
    found = []
    for place in range(count):
        words = draw.integers(3, SIZE, draw.integers(0, 7))
        words[draw.random(len(words)) < 0.2] = UNKNOWN
        found.append(np.array([BEGIN, *words, END], dtype=np.int32))
        if place == 4:
            found += [np.array([BEGIN, 5, 6, 7], dtype=np.int32), np.array([7, 8, END], dtype=np.int32)]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_perplexity_is_its_definition(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, some = model(kind), windows()
    monkeypatch.setattr(perplexity, "_WORDS", 12)  # several batches
    monkeypatch.setattr(perplexity, "_CELLS", 40)  # and few places at a time
    found = evaluate(made, some, made.vocabulary)
    log_normalised, log_self, all_z, known, unknown, ends = 0.0, 0.0, [], 0, 0, 0
    for window in some:
        with torch.inference_mode():
            inputs = torch.from_numpy(window[None, :-1].astype(np.int64))
            scores = made.all_scores(made.hidden(inputs))[0].double().numpy()
        for place, word in enumerate(window[1:]):
            log_z = math.log(np.exp(scores[place]).sum())
            all_z.append(log_z)
            if word == UNKNOWN:
                unknown += 1
                continue
            known, ends = known + (word != END), ends + (word == END)
            log_normalised += scores[place, word] - log_z
            log_self += scores[place, word]
    assert (found.words, found.unknown, found.sentences) == (known, unknown, ends)
    assert unknown > 0
    assert found.log_normalised == pytest.approx(log_normalised, rel=1e-5)
    assert found.log_self == pytest.approx(log_self, rel=1e-5)
    assert (found.mean_ln_z, found.var_ln_z) == pytest.approx((np.mean(all_z), np.var(all_z)), rel=1e-4)
    assert found.perplexity == pytest.approx(math.exp(-log_normalised / (known + ends)), rel=1e-4)
    counts = f"{known} words, {ends} sentences, {unknown} unknown"
    assert found.lines("dev") == [
        f"%PPL {found.perplexity:.2f} [ normalised, {counts} ] dev",
        f"%PPL {found.self_perplexity:.2f} [ self-normalised, {counts} ] dev",
        f"ln Z mean {found.mean_ln_z:.4f} variance {found.var_ln_z:.4f} dev",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_word_by_word_it_is_the_same(kind: str) -> None:
    made, some = model(kind), windows()
    whole, steps = foresee(made, some), foresee(Stepwise(TorchScorer(made)), some)
    for one, other, window in zip(whole, steps, some, strict=True):
        assert len(one.score) == len(window) - 1
        np.testing.assert_allclose(one.score, other.score, atol=1e-4)
        np.testing.assert_allclose(one.log_z, other.log_z, atol=1e-4)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary() -> None:
    made = model()
    for part in (made.output.weight, made.output.bias):
        torch.nn.init.zeros_(part)
    found = evaluate(made, windows(), made.vocabulary)
    assert found.perplexity == pytest.approx(SIZE, rel=1e-5)
    assert found.mean_ln_z == pytest.approx(math.log(SIZE), rel=1e-5)
    assert found.var_ln_z == pytest.approx(0, abs=1e-8)
    assert found.self_perplexity == pytest.approx(1, rel=1e-5)  # what self-normalised models must not be taken by
    torch.nn.init.constant_(made.output.bias, 1000.0)
    assert evaluate(made, windows(), made.vocabulary).self_perplexity == 0
    torch.nn.init.constant_(made.output.bias, -1000.0)
    assert evaluate(made, windows(), made.vocabulary).self_perplexity == math.inf


def test_of_nothing_there_is_nothing() -> None:
    made = model()
    assert foresee(made, []) == []
    found = evaluate(made, [], made.vocabulary)
    assert (found.words, found.sentences, found.log_self) == (0, 0, 0.0)


# ---------------------------------------------------------------------------------------------- pieces


PIECES = ("\u2581a", "\u2581b", "c", "d", "\u2581")
NAMES = {token: number for number, token in enumerate(Vocabulary.of(PIECES, ["contact"]).tokens)}


@pytest.mark.parametrize(
    ("tokens", "kept", "words", "lost"),
    [
        ("\u2581a c \u2581b </s>", "1111", 3, 0),
        ("\u2581a c <unk> d \u2581b c </s>", "0000111", 2, 1),  # the word goes, all of it
        ("\u2581 <unk> </s>", "001", 1, 1),
        ("<class:contact> \u2581a d </s>", "1111", 3, 0),
        ("c \u2581b", "11", 2, 0),  # the rest of a word that was cut
        ("<unk>", "0", 0, 1),
    ],
)
def test_words_of_pieces(tokens: str, kept: str, words: int, lost: int) -> None:
    vocabulary = Vocabulary.of(PIECES, ["contact"], pieces=__file__)  # type: ignore[arg-type]
    ids = np.array([NAMES[token] for token in tokens.split()])
    found = counted(ids, perplexity._starts(vocabulary))
    assert "".join(map(str, found[0].astype(int))) == kept
    assert found[1:] == (words, lost)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_of_words_the_unknown_are_left_out(tokens: list[int]) -> None:
    kept, words, lost = counted(np.array(tokens), np.ones(10, dtype=np.bool_))
    assert kept.tolist() == [token != UNKNOWN for token in tokens]
    assert (words, lost) == (sum(kept), len(tokens) - sum(kept))


# ---------------------------------------------------------------------------------------------- some of it


def test_the_first_windows_with_so_many_words() -> None:
    some = windows(20)
    for words in (1, 10, 10_000):
        found = list(some_windows(some, words))
        assert all(np.array_equal(one, other) for one, other in zip(found, some, strict=False))
        counts = np.cumsum([len(window) - 1 for window in found])
        assert counts[-1] >= words or len(found) == len(some)
        assert len(found) == 1 or counts[-2] < words
