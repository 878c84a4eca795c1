"""Greedy decoding: the best output of every frame."""

from pathlib import Path

import numpy as np

from tests.decode.small_lang import SAID, make_lang, speak
from voxkit.decode.greedy import GreedyDecoder, greedy, spikes


def test_greedy_collapses() -> None:
    frames = np.log(np.eye(3)[[0, 1, 1, 0, 1, 2, 2, 0]] + 1e-3)
    assert greedy(frames) == [1, 1, 2]
    assert spikes(frames) == ([1, 1, 2], [1, 4, 5], [3, 5, 7])
    assert greedy(np.zeros((0, 3))) == []


def test_phones_become_words_without_a_language_model(tmp_path: Path) -> None:
    lang = make_lang(tmp_path, SAID)
    log_probs, spans = speak(lang, "ox why toy", seed=3)
    best = GreedyDecoder(lang)(log_probs).best_path()
    assert [lang.words[word] for word in best.words] == ["ox", "why", "toy"]
    assert list(zip(best.starts, best.ends, strict=True)) == spans
