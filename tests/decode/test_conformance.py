"""Graph, search and word lattices together: every backend against enumeration, and against the others."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.decode.small_lang import SAID, enumerate_words, make_lang, noise, speak
from voxkit.data.lang import Lang
from voxkit.decode import graph
from voxkit.decode.arpa import Arpa
from voxkit.decode.k2 import K2Decoder
from voxkit.decode.kaldi import KaldiDecoder
from voxkit.decode.lattice import Lattice
from voxkit.decode.settings import SearchConfig
from voxkit.errors import UserError
from voxkit.nn.k2_package import load_k2

ROOT = Path(__file__).parents[2]
SCORE, POSTERIOR = 1e-3, 1e-4  # what backends may differ by, in -log and in probability
WIDE = SearchConfig(beam=100, lattice_beam=100, max_states=1000)
NEAR = SearchConfig(beam=60, lattice_beam=6, max_states=10_000)
SENTENCES = ["to why ox", "toy toy why", "ox too ox ox", "why why"] * 3

Decoder = KaldiDecoder | K2Decoder
Backend = Callable[..., Decoder]


@pytest.fixture(scope="module", params=["kaldi", "k2"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return KaldiDecoder if request.param == "kaldi" else request.getfixturevalue("k2_backend")


@pytest.fixture(scope="module")
def k2_backend() -> Backend:
    """What is held against the default backend."""
    try:
        load_k2()
    except UserError as error:
        pytest.skip(error.message)
    return K2Decoder


@pytest.fixture(scope="module")
def lang(tmp_path_factory: pytest.TempPathFactory) -> Lang:
    return make_lang(tmp_path_factory.mktemp("lang"), SAID)


@pytest.fixture(scope="module")
def loop_graph(lang: Lang) -> Any:
    return graph.build(lang, None)


@pytest.fixture(scope="module")
def loop(backend: Backend, lang: Lang, loop_graph: Any) -> Decoder:
    return backend(lang, WIDE, graph=loop_graph)


@pytest.fixture(scope="module")
def trigram_lang(lang: Lang) -> Lang:
    lm = Arpa.estimate([sentence.split() for sentence in SENTENCES], 3).restricted(set(SAID))
    assert graph.build(lang, lm).write(str(lang.path / "HLG.fst"))
    return lang


@pytest.fixture(scope="module")
def trigram(backend: Backend, trigram_lang: Lang) -> Decoder:
    return backend(trigram_lang.path)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_lattice_sums_every_alignment_once(lang: Lang, loop: Decoder, seed: int, frames: int) -> None:
    log_probs = noise(seed, frames, len(lang.tokens))
    expected = enumerate_words(lang, log_probs, math.log(len(SAID)))
    lattice = loop(log_probs)
    assert lattice.total_score() == pytest.approx(math.log(sum(expected.values())), abs=SCORE)
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
        assert math.log(found[words]) == pytest.approx(math.log(probability), abs=SCORE)


def assert_alike(one: Lattice, other: Lattice) -> None:
    """The same words at the same times with the same scores and posteriors."""
    first, second = one.best_path(), other.best_path()
    assert first.words == second.words
    assert (first.starts, first.ends) == (second.starts, second.ends)
    assert first.acoustic == pytest.approx(second.acoustic, abs=SCORE)
    assert first.graph == pytest.approx(second.graph, abs=SCORE)
    assert one.total_score() == pytest.approx(other.total_score(), abs=SCORE)
    posteriors = [timed_words(lattice) for lattice in (one, other)]
    for key in posteriors[0] | posteriors[1]:
        assert posteriors[0][key] == pytest.approx(posteriors[1][key], abs=POSTERIOR)


def timed_words(lattice: Lattice) -> Counter[tuple[int, int, int]]:
    """The posterior of each word at each time."""
    found: Counter[tuple[int, int, int]] = Counter()
    columns = zip(lattice.word, lattice.start, lattice.end, lattice.posteriors(), strict=True)
    for word, start, end, posterior in columns:
        found[int(word), int(start), int(end)] += float(posterior)
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20), st.floats(1.0, 4.0))
def test_backends_agree_on_noise(
    k2_backend: Backend, lang: Lang, loop_graph: Any, seed: int, frames: int, sharpness: float
) -> None:
    log_probs = noise(seed, frames, len(lang.tokens), sharpness)
    one, other = (kind(lang, NEAR, graph=loop_graph)(log_probs) for kind in (k2_backend, KaldiDecoder))
    assert_alike(one, other)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20), st.floats(0.5, 3.0), st.floats(-1, 3))
def test_backends_agree_with_a_language_model(
    k2_backend: Backend, trigram_lang: Lang, seed: int, frames: int, scale: float, penalty: float
) -> None:
    """Back-off, homophones and prefixes put epsilons everywhere."""
    log_probs = noise(seed, frames, len(trigram_lang.tokens), sharpness=4.0)
    config = NEAR.model_copy(update={"acoustic_scale": scale, "blank_penalty": penalty})
    one, other = (kind(trigram_lang, config)(log_probs) for kind in (k2_backend, KaldiDecoder))
    assert_alike(one, other)


@pytest.mark.parametrize("corpus", ["an4", "mini"])
def test_backends_agree_on_a_real_graph(k2_backend: Backend, corpus: str) -> None:
    path = ROOT / "egs" / corpus / "asr" / "exp" / "lang"
    if not (path / "HLG.fst").exists():
        pytest.skip(f"{path}: made by its recipe")
    ours, reference = (kind(path, SearchConfig(beam=20)) for kind in (k2_backend, KaldiDecoder))
    lang = ours.lang
    vocabulary = sorted(lang.lexicon.entries.keys() & set(lang.words))
    draw = np.random.default_rng(1)
    texts = [" ".join(draw.choice(vocabulary, size=size)) for size in (1, 3, 6, 9)]
    utterances = [speak(lang, text, seed=len(text), contrast=8.0)[0] for text in texts]
    for lattice, log_probs in zip(ours.batch(utterances), utterances, strict=True):
        assert lattice.num_arcs > 0
        assert_alike(lattice, reference(log_probs))


@pytest.mark.parametrize("text", ["to why ox", "toy toy why", "ox too ox ox"])
def test_words_and_their_times_are_found(lang: Lang, trigram: Decoder, text: str) -> None:
    log_probs, spans = speak(lang, text)
    for hypothesis in (trigram(log_probs).best_path(), trigram.best_path(log_probs)):
        assert trigram.words(hypothesis) == text
        assert list(zip(hypothesis.starts, hypothesis.ends, strict=True)) == spans


def test_the_language_model_tells_homophones_apart(lang: Lang, trigram: Decoder) -> None:
    log_probs, _ = speak(lang, "ox to ox ox")
    assert trigram.words(trigram.best_path(log_probs)) == "ox too ox ox"


def test_scales_reach_the_scores(lang: Lang, trigram: Decoder) -> None:
    log_probs, _ = speak(lang, "toy toy why")
    plain, scaled = (
        trigram.with_config(SearchConfig(acoustic_scale=scale)).best_path(log_probs) for scale in (1.0, 2.0)
    )
    assert scaled.acoustic == pytest.approx(2 * plain.acoustic, rel=0.02, abs=0.05)
    assert scaled.graph == pytest.approx(plain.graph, abs=1e-3)
    blanks_off = trigram.with_config(SearchConfig(blank_penalty=5.0)).best_path(log_probs)
    assert blanks_off.acoustic > plain.acoustic + 10


def test_many_utterances_are_what_each_is_alone(lang: Lang, trigram: Decoder) -> None:
    texts = ["to why ox", "toy", "ox too ox ox"]
    utterances = [*(speak(lang, text)[0] for text in texts), noise(1, 7, len(lang.tokens))]
    utterances.insert(1, np.zeros((0, len(lang.tokens)), np.float32))
    together = trigram.batch(utterances)
    assert [lattice.num_frames for lattice in together] == [len(log_probs) for log_probs in utterances]
    for lattice, log_probs in zip(together, utterances, strict=True):
        assert_alike(lattice, trigram(log_probs))
    assert trigram.batch([]) == []


def test_no_frames_is_an_empty_hypothesis(trigram: Decoder) -> None:
    empty = np.zeros((0, len(trigram.lang.tokens)), np.float32)
    assert trigram(empty).best_path().words == ()


def test_silence_is_an_empty_hypothesis(trigram: Decoder) -> None:
    silence = np.full((20, len(trigram.lang.tokens)), -12.0, np.float32)
    silence[:, 0] = -0.001
    assert trigram(silence).best_path().words == ()


@pytest.mark.parametrize("frames_of_ox", [1, 2])
def test_audio_that_ends_inside_a_word_is_no_error(
    lang: Lang, trigram_lang: Lang, trigram: Decoder, frames_of_ox: int
) -> None:
    log_probs, spans = speak(lang, "toy ox")
    cut = log_probs[: spans[1][0] + frames_of_ox]
    best = trigram(cut).best_path()
    assert best.words == KaldiDecoder(trigram_lang)(cut).best_path().words
    assert np.isfinite(trigram(cut).total_score())


def test_a_sentence_that_cannot_end_still_has_words(backend: Backend, lang: Lang, tmp_path: Path) -> None:
    """The audio ends when all paths are in the middle of `ox`, so that none is complete."""
    only_ox = make_lang(tmp_path, {"ox": SAID["ox"]})
    begun = np.log(np.array([[1e-30, 1e-30, 1.0]], dtype=np.float32))
    begun = begun[:, [0, *(1 + "xz".index(token) for token in only_ox.tokens[1:])]]
    hlg = graph.build(only_ox, None)
    one, other = (kind(only_ox, WIDE, graph=hlg)(begun) for kind in (backend, KaldiDecoder))
    assert np.isfinite(one.total_score())
    assert one.best_path().words == other.best_path().words


def test_outputs_that_say_nothing_stay_affordable(trigram: Decoder) -> None:
    flat = np.full((60, len(trigram.lang.tokens)), -math.log(len(trigram.lang.tokens)), np.float32)
    assert trigram(flat).num_arcs < 50_000


@pytest.mark.parametrize("bad", [np.zeros((4, 3)), np.zeros(4), np.full((4, 4), np.nan)])
def test_scores_that_do_not_fit_are_refused(trigram: Decoder, bad: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match=r"fit|NaN"):
        trigram(bad)


def test_a_damaged_graph_is_the_users_to_mend(backend: Backend, lang: Lang, tmp_path: Path) -> None:
    for name, source in lang.assets().items():
        (tmp_path / name).write_bytes(source.read_bytes())
    (tmp_path / "HLG.fst").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="damaged"):
        backend(tmp_path)
