"""What only the k2 backend has: a graph without epsilons, and the way back from it. Only the last test needs k2."""

import math
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decode.small_lang import SAID, enumerate_words, make_lang, noise
from voxkit.data.lang import Lang
from voxkit.decode import graph
from voxkit.decode.arpa import Arpa
from voxkit.decode.frame_graph import FrameGraph, Hlg
from voxkit.decode.k2 import K2Decoder
from voxkit.decode.kaldi import KaldiDecoder
from voxkit.decode.raw import word_lattice
from voxkit.decode.scores import scaled
from voxkit.decode.settings import SearchConfig
from voxkit.errors import UserError

WIDE = SearchConfig(beam=100, lattice_beam=100, max_states=1000)


@pytest.fixture(scope="module")
def lang(tmp_path_factory: pytest.TempPathFactory) -> Lang:
    lang = make_lang(tmp_path_factory.mktemp("lang"), SAID)
    assert graph.build(lang, None).write(str(lang.path / "HLG.fst"))
    return lang


@pytest.fixture(scope="module")
def frame_graph(lang: Lang) -> FrameGraph:
    return FrameGraph(Hlg.from_openfst(lang.graph.read_bytes()))


def every_way(searched: FrameGraph, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All ways that can be taken from the start in so many frames, as a search without beams would leave them."""
    alive, found = {0}, []
    for frame in range(frames + 1):
        speaks = searched.label >= 0
        ways = np.flatnonzero(np.isin(searched.src, list(alive)) & (speaks if frame < frames else ~speaks))
        first, then = frame * searched.num_states, (frame + 1) * searched.num_states
        found.append((searched.src[ways] + first, searched.dst[ways] + then, ways, np.full(len(ways), frame)))
        alive = set(searched.dst[ways].tolist())
    src, dst, way, frame_of = (np.concatenate(column) for column in zip(*found, strict=True))
    return src, dst, way, frame_of


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_without_epsilons_every_alignment_still_counts_once(
    lang: Lang, frame_graph: FrameGraph, seed: int, frames: int
) -> None:
    log_probs = noise(seed, frames, len(lang.tokens))
    expected = math.log(sum(enumerate_words(lang, log_probs, math.log(len(SAID))).values()))
    scores = scaled(log_probs, len(lang.tokens), WIDE)
    raw = frame_graph.expand(*every_way(frame_graph, frames), scores)
    assert word_lattice(raw, len(lang.tokens), frames).total_score() == pytest.approx(expected, abs=1e-3)
    # and the sum over the graph's own arcs, without the way back
    total = np.full(frame_graph.num_states, -np.inf)
    total[0] = 0.0
    for frame in range(frames + 1):
        speaks = frame_graph.label >= 0
        ways = np.flatnonzero(speaks if frame < frames else ~speaks)
        heard = scores[frame, frame_graph.label[ways]] if frame < frames else 0.0
        after = np.full(frame_graph.num_states, -np.inf)
        np.logaddexp.at(after, frame_graph.dst[ways], total[frame_graph.src[ways]] + frame_graph.score[ways] + heard)
        total = after
    assert total[-1] == pytest.approx(expected, abs=1e-3)


def test_every_arc_spends_a_frame_and_is_in_order(frame_graph: FrameGraph) -> None:
    ends = frame_graph.label == -1
    assert (frame_graph.dst[ends] == frame_graph.num_states - 1).all()
    assert (frame_graph.dst[~ends] < frame_graph.num_states - 1).all()
    keys = list(zip(frame_graph.src.tolist(), frame_graph.label.astype(np.uint32).tolist(), strict=True))
    assert keys == sorted(keys)


def test_epsilons_in_a_circle_are_refused() -> None:
    one = np.array([1.0, 1.0], dtype=np.float32)
    circle = np.array([0, 1]), np.array([1, 0]), np.array([0, 0]), np.array([0, 0])
    with pytest.raises(ValueError, match="cycle"):
        FrameGraph(Hlg(0, *circle, one, one))


@pytest.mark.parametrize("size", [0, 30, 70, 200])
def test_a_graph_that_is_cut_short_is_refused(lang: Lang, size: int) -> None:
    data = lang.graph.read_bytes()
    assert size < len(data)
    with pytest.raises(ValueError, match="cut short"):
        Hlg.from_openfst(data[:size])


def test_without_k2_the_decoder_says_what_to_install(lang: Lang, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "k2", None)
    with pytest.raises(UserError, match="not installed") as error:
        K2Decoder(lang)
    assert "voxkit doctor" in error.value.fix


def test_beams_that_prune_still_find_the_best(tmp_path: Path) -> None:
    """Both backends with their usual beams, over many draws; not always the same, but nearly."""
    lang = make_lang(tmp_path, SAID)
    lm = Arpa.estimate([list(words) for words in product(SAID, repeat=2)], 3).restricted(set(SAID))
    hlg = graph.build(lang, lm)
    try:
        ours = K2Decoder(lang, SearchConfig(), graph=hlg)
    except UserError as error:
        pytest.skip(error.message)
    reference = KaldiDecoder(lang, SearchConfig(), graph=hlg)
    utterances = [noise(seed, 25, len(lang.tokens), sharpness=5.0) for seed in range(20)]
    found = zip(ours.batch(utterances), reference.batch(utterances), strict=True)
    assert sum(one.best_path().words == other.best_path().words for one, other in found) >= 19
