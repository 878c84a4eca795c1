"""Scores of hypotheses that share prefixes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commands.lm_nce.small_lm import WORDS, model
from voxkit.commands.lm_nce.scorer import TorchScorer
from voxkit.commands.lm_nce.trie import Trie, TrieScorer
from voxkit.commands.lm_nce.vocabulary import BEGIN, END, MARKS

TOKENS = st.sampled_from([0, *range(len(MARKS), len(MARKS) + 3)])
LISTS = st.lists(st.lists(TOKENS, max_size=6), min_size=1, max_size=12)


@given(LISTS)
def test_each_distinct_prefix_is_there_once(sequences: list[list[int]]) -> None:
    trie = Trie(sequences)
    ended = [[*tokens, END] for tokens in sequences]
    assert trie.prefixes == len({tuple(tokens[:n]) for tokens in ended for n in range(1, len(tokens) + 1)})
    assert trie.words == sum(map(len, ended))


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
@settings(max_examples=10, deadline=None)
@given(sequences=LISTS)
def test_scores_are_those_of_each_alone(kind: str, sequences: list[list[int]]) -> None:
    made = model(kind)
    found = TrieScorer(TorchScorer(made))(Trie(sequences))
    for tokens, score in zip(sequences, found, strict=True):
        inputs, targets = torch.tensor([[BEGIN, *tokens]]), torch.tensor([*tokens, END])
        with torch.no_grad():
            alone = made.scores(made.hidden(inputs)[0], targets).sum()
        assert score == pytest.approx(float(alone), abs=1e-4)


def test_normalised_scores_are_probabilities_of_words() -> None:
    scorer = TrieScorer(TorchScorer(model(), normalised=True))
    size = len(WORDS) + len(MARKS)
    first = [[word] for word in range(size) if word not in (BEGIN, END)]
    ends = scorer(Trie([[]]))[0]
    twice = [scorer(Trie([[word, other] for other in range(size) if other not in (BEGIN, END)])) for [word] in first]
    assert np.exp(ends) < 1
    assert np.exp(scorer(Trie(first))).sum() + np.exp(np.concatenate(twice)).sum() + np.exp(ends) < 1
