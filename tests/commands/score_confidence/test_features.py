"""Decoder features against what can be counted by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.score_confidence.made_decodes import FRAME_SHIFT, FRAMES, WORDS, sausage
from voxkit.commands.score_confidence.features import LEAST, NAMES, OWN, UTTERANCE, assemble, measure
from voxkit.commands.score_confidence.material import INSERTED, RIGHT, SUBSTITUTED, UNKNOWN, judge
from voxkit.commands.score_confidence.vocabulary import FILE, NOTHING, Vocabulary
from voxkit.commands.score_confidence.vocabulary import UNKNOWN as UNSEEN
from voxkit.data.text import normaliser
from voxkit.decode.confusion import confusion_network
from voxkit.decode.lattice import Lattice
from voxkit.errors import UserError

PLAIN = normaliser("none")
VOCABULARY = Vocabulary({"one": 5, "two": 3, "three": 1}, {"one": 3, "two": 2})


def measured(lattice: Lattice):
    network = confusion_network(lattice, mbr=False)
    words = [WORDS[word] for word in network.hypothesis]
    count = len(words)
    spans = np.array([(FRAMES * i * FRAME_SHIFT, FRAMES * (i + 1) * FRAME_SHIFT) for i in range(count)]).reshape(-1, 2)
    found = measure(lattice, network, words, spans, lattice.num_frames * FRAME_SHIFT, FRAME_SHIFT, VOCABULARY)
    return found, words


def test_what_is_measured() -> None:
    lattice = sausage([[(1, 0.75), (2, 0.25)], [(3, 0.9), (4, 0.1)]])
    found, words = measured(lattice)
    assert words == ["one", "three"]
    own = dict(zip(OWN, found.own.T.tolist(), strict=True))
    assert own["posterior"] == pytest.approx([0.75, 0.9], abs=1e-3)
    assert own["lattice_posterior"] == pytest.approx([0.75, 0.9], abs=1e-6)
    assert own["logit"][0] == pytest.approx(np.log(3), abs=1e-2)
    assert own["entropy"] == pytest.approx([0.8113, 0.4690], abs=1e-3)
    assert own["entropy_before"] == pytest.approx([0, 0], abs=1e-3)
    assert own["gap"] == pytest.approx([0.5, 0.8], abs=1e-3)
    assert own["nothing"] == pytest.approx([np.log(LEAST / (1 - LEAST))] * 2, abs=1e-2)
    assert own["rivals"][0] >= np.log(2)
    assert own["depth"] == pytest.approx([np.log(3), np.log(3)])  # two arcs, one added
    assert own["acoustic"] == pytest.approx([(-np.log(0.75) - 0.25) / FRAMES, (-np.log(0.9) - 0.25) / FRAMES], abs=1e-5)
    assert own["graph"] == pytest.approx([0.25, 0.25])
    assert own["characters"] == pytest.approx([np.log(3), np.log(5)])
    assert own["phones"] == [3, 0]
    assert own["duration"] == pytest.approx([np.log(FRAMES * FRAME_SHIFT)] * 2)
    assert own["pace"] == pytest.approx([np.log(FRAMES * FRAME_SHIFT / letters) for letters in (3, 5)])
    assert own["unigram"] == pytest.approx([np.log10(6 / 13), np.log10(2 / 13)])
    assert [WORDS[word] if word else None for word in found.rival] == ["two", "four"]
    shared = dict(zip(UTTERANCE, found.utterance.tolist(), strict=True))
    assert shared["mean_posterior"] == pytest.approx(0.825, abs=1e-3)
    assert shared["least_posterior"] == pytest.approx(0.75, abs=1e-3)
    assert shared["speech_rate"] == pytest.approx(1 / (FRAMES * FRAME_SHIFT))
    assert shared["between"] == pytest.approx(0, abs=1e-3)


def test_a_word_that_may_be_none() -> None:
    found, words = measured(sausage([[(1, 0.8), (0, 0.2)]]))
    assert words == ["one"]
    own = dict(zip(OWN, found.own[0].tolist(), strict=True))
    assert own["nothing"] == pytest.approx(np.log(1 / 4), abs=1e-2)
    assert own["depth"] == pytest.approx(np.log(2))  # only arcs with a word count
    assert found.rival.tolist() == [0]


def test_an_utterance_without_words_has_features_of_its_own() -> None:
    for lattice in (Lattice.empty(12), sausage([[(0, 0.6), (1, 0.4)]])):
        found, words = measured(lattice)
        assert words == []
        assert found.own.shape == (0, len(OWN))
        assert np.isfinite(found.utterance).all()
    assert dict(zip(UTTERANCE, found.utterance, strict=True))["between"] == pytest.approx(0.4, abs=1e-2)


def test_a_word_that_no_arc_has_at_its_middle() -> None:
    lattice = sausage([[(1, 0.75), (2, 0.25)]])
    network = confusion_network(lattice, mbr=False)
    late = np.array([[0.2, 0.6]])
    found = measure(lattice, network, ["one"], late, 0.24, FRAME_SHIFT, VOCABULARY)
    own = dict(zip(OWN, found.own[0].tolist(), strict=True))
    assert own["lattice_posterior"] == 0
    assert own["graph"] == pytest.approx(0.25)  # of the arc that is near


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_neighbours_are_those_of_the_same_utterance(sizes: list[int], seed: int) -> None:
    draw = np.random.default_rng(seed)
    bounds = np.r_[0, np.cumsum(sizes)]
    own = draw.normal(size=(bounds[-1], len(OWN))).astype(np.float32)
    shared = draw.normal(size=(len(sizes), len(UTTERANCE))).astype(np.float32)
    found = assemble(own, shared, bounds)
    assert found.shape == (bounds[-1], len(NAMES))
    column, logit = NAMES.index, list(OWN).index("logit")
    for number, size in enumerate(sizes):
        for place in range(size):
            row = found[bounds[number] + place]
            before = own[bounds[number] + place - 1, logit] if place else 0
            after = own[bounds[number] + place + 1, logit] if place + 1 < size else 0
            assert row[column("previous_logit")] == before
            assert row[column("next_logit")] == after
            assert row[column("first")] == (place == 0)
            assert row[column("last")] == (place == size - 1)
            assert (row[-len(UTTERANCE) :] == shared[number]).all()


def test_words_are_judged_by_alignment() -> None:
    rivals = ["x", "b", None, "q"]
    kinds, rival_right, whole = judge("a b c", ["a", "x", "c", "d"], rivals, PLAIN)
    assert kinds.tolist() == [RIGHT, SUBSTITUTED, RIGHT, INSERTED]
    assert rival_right.tolist() == [0, 1, 0, 0]
    assert not whole


def test_no_word_is_the_right_rival_of_an_insertion() -> None:
    kinds, rival_right, _ = judge("a", ["a", "b"], [None, None], PLAIN)
    assert kinds.tolist() == [RIGHT, INSERTED]
    assert rival_right.tolist() == [0, 1]


def test_what_the_normaliser_leaves_nothing_of_is_not_judged() -> None:
    kinds, rival_right, whole = judge("It's done", ["[noise]", "it's", "done."], [None] * 3, normaliser("asr_en"))
    assert kinds.tolist() == [UNKNOWN, RIGHT, RIGHT]
    assert rival_right[0] == UNKNOWN
    assert whole


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_judged_words_and_whole_utterance_agree(reference: list[str], words: list[str]) -> None:
    kinds, _, whole = judge(" ".join(reference), words, [None] * len(words), PLAIN)
    assert len(kinds) == len(words)
    assert whole == (reference == words)
    assert not whole or (kinds == RIGHT).all()
    assert (kinds == RIGHT).sum() <= len(reference)


def test_vocabulary(tmp_path: Path) -> None:
    VOCABULARY.save(tmp_path / FILE)
    found = Vocabulary.load(tmp_path / FILE)
    assert found.counts == VOCABULARY.counts
    assert [found.word(word) for word in ("one", "three", None)] == [2, UNSEEN, NOTHING]  # "three" was seen once
    assert found.letters(None) == [NOTHING]
    assert found.letters("ox")[1] == UNSEEN
    assert 10 ** found.log_unigram("one") == pytest.approx(6 / 13)
    total = sum(10 ** found.log_unigram(word) for word in ("one", "two", "three", "unseen"))
    assert total == pytest.approx(1)
    (tmp_path / FILE).write_text("[1]")
    with pytest.raises(UserError, match="cannot be read"):
        Vocabulary.load(tmp_path / FILE)
