"""The CRF against sums and maxima over all tag sequences."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxkit.commands.ner.crf import Crf, Scores, log_partition, negative_log_likelihood, score
from voxkit.commands.ner.decoding import Chain
from voxkit.commands.ner.tables import may_follow
from voxkit.data.tagging import Entity, entities, tags_of, to_bioes

BIO = ("O", "B-a", "I-a", "B-b", "I-b")
BIOES = ("O", "B-a", "I-a", "E-a", "S-a", "B-b", "I-b", "E-b", "S-b")


def is_allowed(tags: tuple[str, ...], bioes: bool) -> bool:
    """Whether tags are those of some entities, told without the tables of transitions."""
    plain = tuple({"E": "I", "S": "B"}.get(tag[0], tag[0]) + tag[1:] for tag in tags) if bioes else tags
    whole = tags_of(entities(plain), len(plain))
    return whole == plain and (not bioes or to_bioes(plain) == tags)


def sequences(names: tuple[str, ...], words: int) -> list[tuple[int, ...]]:
    bioes = "S-a" in names
    return [
        path
        for path in product(range(len(names)), repeat=words)
        if is_allowed(tuple(names[number] for number in path), bioes)
    ]


def weight(path: tuple[int, ...], scores: Scores, row: int = 0) -> float:
    emissions, transitions, start, end = scores
    total = float(start[path[0]] + end[path[-1]])
    total += sum(float(emissions[row, place, tag]) for place, tag in enumerate(path))
    return total + sum(float(transitions[a, b]) for a, b in pairwise(path))


def some_scores(names: tuple[str, ...], words: int, seed: int, spread: float, rows: int = 1) -> Scores:
    random = torch.Generator().manual_seed(seed)
    crf = Crf(names)
    with torch.no_grad():
        for part in (crf.transitions, crf.start, crf.end):
            part.copy_(spread * torch.randn(part.shape, generator=random))
        return Scores(spread * torch.randn(rows, words, len(names), generator=random), *crf())


def chain(names: tuple[str, ...], scores: Scores) -> Chain:
    return Chain(names, *(part.double().numpy() for part in scores[1:]))


cases = given(
    st.sampled_from([(BIO, 1), (BIO, 2), (BIO, 5), (BIOES, 1), (BIOES, 3), (BIOES, 4)]),
    st.integers(0, 10**6),
    st.sampled_from([0.1, 1.0, 5.0]),
)


@pytest.mark.parametrize("names", [BIO, BIOES])
@pytest.mark.parametrize("words", [1, 2, 3, 4])
def test_the_scheme_allows_exactly_what_entities_give(names: tuple[str, ...], words: int) -> None:
    follow, start, end = may_follow(names)
    allowed = {
        path
        for path in product(range(len(names)), repeat=words)
        if start[path[0]] and end[path[-1]] and all(follow[a, b] for a, b in pairwise(path))
    }
    assert allowed == set(sequences(names, words))


@cases
@settings(deadline=None, max_examples=60)
def test_the_partition_sums_over_all_sequences(case: tuple[tuple[str, ...], int], seed: int, spread: float) -> None:
    names, words = case
    scores = some_scores(names, words, seed, spread)
    paths = sequences(names, words)
    expected = torch.logsumexp(torch.tensor([weight(path, scores) for path in paths], dtype=torch.float64), 0)
    found = log_partition(scores, torch.tensor([words]))
    torch.testing.assert_close(found[0], expected, rtol=1e-6, atol=1e-5)
    _, _, total = chain(names, scores).forward_backward(scores.emissions[0].double().numpy())
    assert total == pytest.approx(float(expected), rel=1e-6, abs=1e-5)


@cases
@settings(deadline=None, max_examples=60)
def test_viterbi_finds_the_best_sequence(case: tuple[tuple[str, ...], int], seed: int, spread: float) -> None:
    names, words = case
    scores = some_scores(names, words, seed, spread)
    best = chain(names, scores).best(scores.emissions[0].double().numpy())
    most = max(weight(path, scores) for path in sequences(names, words))
    assert tuple(best) in sequences(names, words)
    assert weight(tuple(best), scores) == pytest.approx(most, rel=1e-6, abs=1e-5)


@cases
@settings(deadline=None, max_examples=60)
def test_marginals_and_entities_have_their_probabilities(
    case: tuple[tuple[str, ...], int], seed: int, spread: float
) -> None:
    names, words = case
    scores = some_scores(names, words, seed, spread)
    paths = sequences(names, words)
    weights = np.array([weight(path, scores) for path in paths])
    share = np.exp(weights - weights.max())
    share /= share.sum()
    model, emissions = chain(names, scores), scores.emissions[0].double().numpy()
    marginals = np.zeros((words, len(names)))
    probability: dict[Entity, float] = {}
    for path, part in zip(paths, share, strict=True):
        for place, tag in enumerate(path):
            marginals[place, tag] += part
        for entity in model.entities(path):
            probability[entity] = probability.get(entity, 0.0) + float(part)
    np.testing.assert_allclose(model.marginals(emissions), marginals, atol=1e-6)
    wanted = list(probability)
    np.testing.assert_allclose(
        model.probabilities(emissions, wanted), [probability[entity] for entity in wanted], atol=1e-6
    )


@given(st.lists(st.sampled_from(range(5)), min_size=1, max_size=8))
def test_entities_of_a_path_are_those_of_its_tags(numbers: list[int]) -> None:
    plain = tags_of(entities([BIO[number] for number in numbers]), len(numbers))
    model = Chain(BIO, np.zeros((5, 5)), np.zeros(5), np.zeros(5))
    assert model.entities([BIO.index(tag) for tag in plain]) == entities(plain)
    ended = Chain(BIOES, np.zeros((9, 9)), np.zeros(9), np.zeros(9))
    assert ended.entities([BIOES.index(tag) for tag in to_bioes(plain)]) == entities(plain)


def test_no_entities_have_no_probabilities() -> None:
    assert Chain(BIO, np.zeros((5, 5)), np.zeros(5), np.zeros(5)).probabilities(np.zeros((2, 5)), []) == []


def test_padding_changes_nothing() -> None:
    scores = some_scores(BIOES, 4, 1, 1.0, rows=3)
    lengths = torch.tensor([4, 2, 1])
    tags = torch.tensor([[0, 4, 0, 8], [1, 3, 0, 0], [0, 0, 0, 0]])
    together = negative_log_likelihood(scores, tags, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = Scores(scores.emissions[row : row + 1, :length], *scores[1:])
        expected = negative_log_likelihood(alone, tags[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], expected)
        assert float(score(alone, tags[row : row + 1, :length], lengths[row : row + 1])) == pytest.approx(
            weight(tuple(tags[row, :length].tolist()), scores, row), rel=1e-5
        )


def test_the_gradient_is_that_of_finite_differences() -> None:
    random = torch.Generator().manual_seed(0)
    emissions = torch.randn(2, 3, len(BIO), generator=random, dtype=torch.float64, requires_grad=True)
    scores = some_scores(BIO, 3, 2, 1.0)
    tags, lengths = torch.tensor([[1, 2, 0], [0, 3, 0]]), torch.tensor([3, 2])
    assert torch.autograd.gradcheck(
        lambda e: negative_log_likelihood(Scores(e, *scores[1:]), tags, lengths), (emissions,), atol=1e-4
    )


def test_scores_of_any_size_stay_finite() -> None:
    scores = some_scores(BIOES, 30, 3, 300.0)
    scores = Scores(scores.emissions.requires_grad_(), *scores[1:])
    loss = negative_log_likelihood(scores, torch.zeros(1, 30, dtype=torch.int64), torch.tensor([30]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert scores.emissions.grad is not None
    assert torch.isfinite(scores.emissions.grad).all()
