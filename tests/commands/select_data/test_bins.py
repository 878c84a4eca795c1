import math

import numpy as np
import pytest

from tests.commands.select_data.made_pools import WORDS, network, said
from voxkit.commands.select_data.bins import NO_PACE, Gatherer
from voxkit.commands.select_data.sounds import Sounds

BEE, DEE, TEN = WORDS.index("bee"), WORDS.index("dee"), WORDS.index("ten")


def test_a_bin_keeps_the_label_and_its_likeliest_rival() -> None:
    gatherer = Gatherer(Sounds(WORDS), ceiling=0.98)
    bins = [{0: 1.0}, {BEE: 0.6, DEE: 0.3, TEN: 0.1}, {0: 0.75, BEE: 0.25}, {TEN: 1.0}, {0: 0.99, DEE: 0.01}]
    gatherer.add(4, network(bins, [BEE, TEN]))
    found = gatherer.bins()
    assert found.utterance.tolist() == [4, 4, 4]  # certain gaps are not kept
    assert found.label.tolist() == [BEE, 0, TEN]
    assert found.rival.tolist() == [DEE, BEE, 0]
    np.testing.assert_allclose(found.share, [0.6 / 0.9, 0.75, 1.0], rtol=1e-6)
    np.testing.assert_allclose(found.mass, [0.9, 1.0, 1.0], rtol=1e-6)
    assert list(zip(found.left.tolist(), found.right.tolist(), strict=True)) == [(0, TEN), (BEE, TEN), (BEE, 0)]
    assert found.pace[0] == round(2 * math.log2(8 / 3)) + 4
    assert found.pace[1] == NO_PACE


def test_a_label_that_is_not_the_likeliest_word_has_less_than_half() -> None:
    gatherer = Gatherer(Sounds(WORDS), ceiling=0.98)
    gatherer.add(0, network([{0: 1.0}, {DEE: 0.7, BEE: 0.3}, {0: 1.0}], [BEE]))
    found = gatherer.bins()
    assert (found.label.tolist(), found.rival.tolist()) == ([BEE], [DEE])
    assert found.share[0] == pytest.approx(0.3)


def test_true_words_and_better_confidence_replace_those_of_the_network() -> None:
    gatherer = Gatherer(Sounds(WORDS), ceiling=0.98)
    bins = [{0: 0.999, DEE: 0.001}, {BEE: 0.6, DEE: 0.4}, {0: 1.0}]
    gatherer.add(0, network(bins, [BEE]), labels=np.array([TEN, DEE, 0], np.int32))
    gatherer.add(1, network(bins, [BEE]), confidence=np.array([0.2], np.float32))
    found = gatherer.bins()
    assert found.label.tolist() == [TEN, DEE, BEE]
    assert found.rival.tolist() == [0, BEE, DEE]
    np.testing.assert_allclose(found.share, [0, 0.4, 0.2], atol=1e-6)


def test_many_networks_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    sounds = Sounds(WORDS)
    networks = [
        said(*({int(w): 0.7, int(w) % 8 + 1: 0.3} for w in draw.integers(1, 9, draw.integers(0, 5)))) for _ in range(25)
    ]
    together, alone = Gatherer(sounds, 0.98), []
    for number, one in enumerate(networks):
        together.add(number, one)
        single = Gatherer(sounds, 0.98)
        single.add(number, one)
        alone.append(single.bins())
    monkeypatch.setattr("voxkit.commands.select_data.bins.FLUSH", 3)
    few = Gatherer(sounds, 0.98)
    for number, one in enumerate(networks):
        few.add(number, one)
    for name in ("utterance", "label", "rival", "share", "mass", "left", "right", "pace"):
        expected = np.concatenate([getattr(one, name) for one in alone])
        np.testing.assert_array_equal(getattr(together.bins(), name), expected)
        np.testing.assert_array_equal(getattr(few.bins(), name), expected)


def test_a_transcript_is_certain_words() -> None:
    gatherer = Gatherer(Sounds(WORDS), ceiling=0.98)
    gatherer.say(-1, np.array([BEE, TEN], np.int32))
    gatherer.say(-2, np.array([], np.int32))
    found = gatherer.bins()
    assert found.label.tolist() == [BEE, TEN]
    assert found.left.tolist() == [0, BEE]
    assert found.right.tolist() == [TEN, 0]
    assert set(found.share.tolist()) == {1.0}
