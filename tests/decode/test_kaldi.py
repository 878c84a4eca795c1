"""Graph, search and word lattices together, against enumeration of every alignment."""

import itertools
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxkit.data.lang import BACKOFF, EPSILON, Lang
from voxkit.data.lexicon import BLANK, Lexicon
from voxkit.decode import graph
from voxkit.decode.arpa import Arpa
from voxkit.decode.greedy import GreedyDecoder, greedy, spikes
from voxkit.decode.kaldi import KaldiDecoder
from voxkit.decode.settings import SearchConfig
from voxkit.errors import UserError

SAID = {  # homophones, prefixes of each other, two pronunciations, a doubled token
    "to": [("x", 1.0)],
    "too": [("x", 1.0)],
    "toy": [("x y", 1.0)],
    "why": [("y", 0.5), ("y y", 0.25)],
    "ox": [("z x", 1.0)],
}
WIDE = SearchConfig(beam=100, lattice_beam=100, max_states=1000)


def make_lang(folder: Path, said: dict[str, list[tuple[str, float]]]) -> Lang:
    lexicon = Lexicon()
    for word, pronunciations in said.items():
        for phones, probability in pronunciations:
            lexicon.add(word, tuple(phones.split()), probability)
    lang = Lang(folder, "phone", [BLANK, *lexicon.phones], [EPSILON, *sorted(said), BACKOFF], "none")
    lang.save(lexicon)
    return lang


@pytest.fixture(scope="module")
def lang(tmp_path_factory: pytest.TempPathFactory) -> Lang:
    return make_lang(tmp_path_factory.mktemp("lang"), SAID)


@pytest.fixture(scope="module")
def loop(lang: Lang) -> KaldiDecoder:
    return KaldiDecoder(lang, WIDE, graph=graph.build(lang, None))


def noise(seed: int, frames: int, tokens: int, sharpness: float = 2.0) -> NDArray[np.float32]:
    scores = sharpness * np.random.default_rng(seed).normal(size=(frames, tokens))
    return (scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)).astype(np.float32)


def collapse(frames: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(frames) if label)


def enumerate_words(lang: Lang, log_probs: NDArray[np.float32], word_cost: float) -> dict[tuple[int, ...], float]:
    """The summed probability of each word sequence over all alignments and pronunciations."""
    by_tokens: defaultdict[tuple[int, ...], float] = defaultdict(float)
    for frames in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        by_tokens[collapse(frames)] += math.exp(sum(float(log_probs[t, label]) for t, label in enumerate(frames)))
    found: defaultdict[tuple[int, ...], float] = defaultdict(float)

    def segment(tokens: tuple[int, ...], words: tuple[int, ...], probability: float) -> None:
        if not tokens:
            found[words] += probability
        for word in SAID:
            for ids, p in lang.pronunciations(word):
                if tokens[: len(ids)] == tuple(ids):
                    segment(tokens[len(ids) :], (*words, lang.word_ids[word]), probability * p * math.exp(-word_cost))

    for tokens, probability in by_tokens.items():
        segment(tokens, (), probability)
    return dict(found)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_lattice_sums_every_alignment_once(lang: Lang, loop: KaldiDecoder, seed: int, frames: int) -> None:
    log_probs = noise(seed, frames, len(lang.tokens))
    expected = enumerate_words(lang, log_probs, math.log(len(SAID)))
    lattice = loop(log_probs)
    assert lattice.total_score() == pytest.approx(math.log(sum(expected.values())), abs=1e-3)
    found: defaultdict[tuple[int, ...], float] = defaultdict(float)

    def walk(state: int, words: tuple[int, ...], cost: float) -> None:
        if state == lattice.num_states - 1:
            found[words] += math.exp(-cost)
        for arc in np.flatnonzero(lattice.src == state):
            word = int(lattice.word[arc])
            walk(int(lattice.dst[arc]), (*words, word) if word else words, cost + float(lattice.cost[arc]))

    walk(0, (), 0.0)
    assert found.keys() == expected.keys()
    for words, probability in expected.items():
        assert math.log(found[words]) == pytest.approx(math.log(probability), abs=1e-3)


def speak(lang: Lang, text: str, seed: int = 0) -> tuple[NDArray[np.float32], list[tuple[int, int]]]:
    """Peaky scores for a text, and the frames [start, end) of its words."""
    draw = np.random.default_rng(seed)
    frames: list[int] = [0, 0]
    spans = []
    for word in text.split():
        pronunciations = lang.pronunciations(word)
        ids = pronunciations[draw.integers(len(pronunciations))][0]
        start = end = len(frames)
        for token in ids:
            frames += [token] * int(draw.integers(1, 3))
            end = len(frames)
            frames += [0] * int(draw.integers(1, 3))
        spans.append((start, end))
    scores = draw.normal(size=(len(frames), len(lang.tokens))) * 0.5
    scores[np.arange(len(frames)), frames] += 9
    return (scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)).astype(np.float32), spans


SENTENCES = ["to why ox", "toy toy why", "ox too ox ox", "why why"] * 3


@pytest.fixture(scope="module")
def trigram(lang: Lang) -> KaldiDecoder:
    lm = Arpa.estimate([sentence.split() for sentence in SENTENCES], 3).restricted(set(SAID))
    hlg = graph.build(lang, lm)
    assert hlg.write(str(lang.path / "HLG.fst"))
    return KaldiDecoder(lang.path)


@pytest.mark.parametrize("text", ["to why ox", "toy toy why", "ox too ox ox"])
def test_words_and_their_times_are_found(lang: Lang, trigram: KaldiDecoder, text: str) -> None:
    log_probs, spans = speak(lang, text)
    for hypothesis in (trigram(log_probs).best_path(), trigram.best_path(log_probs)):
        assert trigram.words(hypothesis) == text
        assert list(zip(hypothesis.starts, hypothesis.ends, strict=True)) == spans


def test_the_language_model_tells_homophones_apart(lang: Lang, trigram: KaldiDecoder) -> None:
    log_probs, _ = speak(lang, "ox to ox ox")
    assert trigram.words(trigram.best_path(log_probs)) == "ox too ox ox"


def test_scales_reach_the_scores(lang: Lang, trigram: KaldiDecoder) -> None:
    log_probs, _ = speak(lang, "toy toy why")
    plain, scaled = (
        trigram.with_config(SearchConfig(acoustic_scale=scale)).best_path(log_probs) for scale in (1.0, 2.0)
    )
    assert scaled.acoustic == pytest.approx(2 * plain.acoustic, rel=0.02, abs=0.05)
    assert scaled.graph == pytest.approx(plain.graph, abs=1e-3)
    blanks_off = trigram.with_config(SearchConfig(blank_penalty=5.0)).best_path(log_probs)
    assert blanks_off.acoustic > plain.acoustic + 10


def test_no_frames_is_an_empty_hypothesis(trigram: KaldiDecoder) -> None:
    empty = np.zeros((0, len(trigram.lang.tokens)), np.float32)
    assert trigram(empty).best_path().words == ()


def test_silence_is_an_empty_hypothesis(trigram: KaldiDecoder) -> None:
    silence = np.full((20, len(trigram.lang.tokens)), -12.0, np.float32)
    silence[:, 0] = -0.001
    assert trigram(silence).best_path().words == ()


def test_audio_that_ends_inside_a_word_is_no_error(lang: Lang, trigram: KaldiDecoder) -> None:
    log_probs, spans = speak(lang, "toy ox")
    cut = trigram(log_probs[: spans[1][0] + 1])
    assert np.isfinite(cut.total_score())


def test_outputs_that_say_nothing_stay_affordable(trigram: KaldiDecoder) -> None:
    flat = np.full((60, len(trigram.lang.tokens)), -math.log(len(trigram.lang.tokens)), np.float32)
    assert trigram(flat).num_arcs < 50_000


@pytest.mark.parametrize("bad", [np.zeros((4, 3)), np.zeros(4), np.full((4, 4), np.nan)])
def test_scores_that_do_not_fit_are_refused(trigram: KaldiDecoder, bad: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match=r"fit|NaN"):
        trigram(bad)


def test_a_damaged_graph_is_the_users_to_mend(lang: Lang, tmp_path: Path) -> None:
    for name, source in lang.assets().items():
        (tmp_path / name).write_bytes(source.read_bytes())
    (tmp_path / "HLG.fst").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="damaged"):
        KaldiDecoder(tmp_path)


def test_greedy_collapses() -> None:
    frames = np.log(np.eye(3)[[0, 1, 1, 0, 1, 2, 2, 0]] + 1e-3)
    assert greedy(frames) == [1, 1, 2]
    assert spikes(frames) == ([1, 1, 2], [1, 4, 5], [3, 5, 7])
    assert greedy(np.zeros((0, 3))) == []


def test_phones_become_words_without_a_language_model(lang: Lang) -> None:
    log_probs, spans = speak(lang, "ox why toy", seed=3)
    best = GreedyDecoder(lang)(log_probs).best_path()
    assert [lang.words[word] for word in best.words] == ["ox", "why", "toy"]
    assert list(zip(best.starts, best.ends, strict=True)) == spans
