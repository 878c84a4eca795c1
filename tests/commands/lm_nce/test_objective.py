"""The objectives: their formulas, their gradients, and what they lead to."""

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from voxkit.commands.lm_nce.objective import cross_entropy, log_expected, nce, sampled

WORDS = 12


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


# ---------------------------------------------------------------------------------------------- formulas


def test_nce_is_its_formula() -> None:
    target, noise, log_target, log_noise = random(4), random(4, 5, seed=1), random(4, seed=2), random(5, seed=3)
    right, wrong = nce(target, noise, log_target, log_noise)
    said = sum(math.log(1 + math.exp(-(s - q))) for s, q in zip(target.tolist(), log_target.tolist(), strict=True))
    assert right.item() == pytest.approx(said)
    probability = torch.sigmoid(noise - log_noise)
    assert wrong.item() == pytest.approx(-(1 - probability).log().sum().item())
    inputs = [part.requires_grad_() for part in (target, noise)]
    assert torch.autograd.gradcheck(lambda *both: sum(nce(*both, log_target, log_noise)), inputs)


def test_scores_far_off_are_finite() -> None:
    far = torch.tensor([300.0, -300.0], requires_grad=True)
    right, wrong = nce(far, far.unsqueeze(0), torch.zeros(2), torch.zeros(2))
    (right + wrong).backward()
    assert right.item() == pytest.approx(300)
    assert wrong.item() == pytest.approx(300)
    assert far.grad is not None
    assert far.grad.isfinite().all()


def test_half_precision_is_summed_in_full() -> None:
    target, noise = torch.full((4096,), -3.0, dtype=torch.bfloat16), torch.zeros(4096, 1, dtype=torch.bfloat16)
    right, wrong = nce(target, noise, torch.zeros(4096), torch.zeros(1))
    assert right.dtype == torch.float32
    assert right.item() == pytest.approx(4096 * math.log(1 + math.exp(3)), rel=1e-5)
    assert wrong.item() == pytest.approx(4096 * math.log(2), rel=1e-5)


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_the_probability_to_be_among_those_drawn(count: int) -> None:
    q = torch.tensor([1e-12, 1e-7, 1e-4, 0.03, 0.5, 0.99])
    with np.errstate(divide="ignore"):
        wanted = np.log(-np.expm1(count * np.log1p(-q.double().numpy())))
    np.testing.assert_allclose(log_expected(q.log(), count).numpy(), wanted, rtol=1e-4, atol=1e-6)
    assert log_expected(torch.tensor(-math.inf), count) == -math.inf
    assert log_expected(torch.tensor(0.0), count).item() == pytest.approx(0, abs=1e-6)


def test_sampled_cross_entropy_is_its_formula() -> None:
    target, noise, log_target, log_noise = random(3), random(3, 4, seed=1), random(3, seed=2), random(4, seed=3)
    targets, words = torch.tensor([7, 2, 5]), torch.tensor([1, 2, 5, 9])
    found = sampled(target, noise, targets, words, log_target, log_noise)
    total = 0.0
    for row in range(3):
        right = math.exp(target[row] - log_target[row])
        hits = (words == targets[row]).tolist()
        others = [math.exp(noise[row, k] - log_noise[k]) for k in range(4) if not hits[k]]
        total -= math.log(right / (right + sum(others)))
    assert found.item() == pytest.approx(total)


def test_a_sample_of_all_words_gives_the_cross_entropy() -> None:
    scores, targets = random(5, WORDS), torch.tensor([0, 3, 3, 11, 7])
    target, words = scores.gather(1, targets[:, None]).squeeze(1), torch.arange(WORDS)
    found = sampled(target, scores, targets, words, torch.zeros(5), torch.zeros(WORDS))
    torch.testing.assert_close(found, F.cross_entropy(scores, targets, reduction="sum"))


# ---------------------------------------------------------------------------------------------- in pieces


@pytest.mark.parametrize("cells", [1, 24, 30, 1 << 20])  # a place at a time, some with a rest, all
def test_cross_entropy_in_pieces_is_that_of_all_at_once(cells: int) -> None:
    targets = torch.tensor([0, 3, 3, 11, 7])

    def gradients(loss: Callable[..., Tensor]) -> list[Tensor]:
        parts = [random(*shape, seed=n).requires_grad_() for n, shape in enumerate([(5, 4), (WORDS, 4), (WORDS,)])]
        total = loss(*parts)
        (3.0 * total).backward()
        return [total, *(part.grad for part in parts if part.grad is not None)]

    wanted = gradients(lambda h, w, b: F.cross_entropy(F.linear(h, w, b), targets, reduction="sum"))
    found = gradients(lambda h, w, b: cross_entropy(h, w, b, targets, cells))
    assert len(found) == 4
    torch.testing.assert_close(found, wanted)


def test_cross_entropy_of_one_table_for_both_ends() -> None:
    table = random(WORDS, 4).requires_grad_()
    words = torch.tensor([1, 2, 3])
    cross_entropy(torch.tanh(table[words]), table, torch.zeros(WORDS, dtype=torch.float64), words, 20).backward()
    found, table.grad = table.grad, None
    F.cross_entropy(torch.tanh(table[words]) @ table.t(), words, reduction="sum").backward()
    torch.testing.assert_close(found, table.grad)


def test_cross_entropy_without_gradients() -> None:
    with torch.no_grad():
        total = cross_entropy(random(5, 4), random(WORDS, 4), random(WORDS), torch.zeros(5, dtype=torch.int64))
    assert not total.requires_grad


def test_cross_entropy_in_half_precision() -> None:
    hidden, weight, bias = (random(*shape).float() for shape in ((6, 4), (WORDS, 4), (WORDS,)))
    targets = torch.arange(6)
    wanted = cross_entropy(hidden, weight, bias, targets)
    weight.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = cross_entropy(hidden.bfloat16().requires_grad_(), weight, bias, targets)
    found.backward()
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(wanted.item(), rel=0.02)
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32


# ---------------------------------------------------------------------------------------------- what they lead to


def optimum(expected: Callable[[Tensor], Tensor]) -> Tensor:
    """The scores (V,) at which an expected loss is least."""
    scores = torch.zeros(len(TRUE), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [scores], max_iter=200, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimiser.zero_grad()
        loss = expected(scores)
        loss.backward()
        return loss.item()

    optimiser.step(closure)
    return scores.detach()


TRUE = torch.tensor([0.4, 0.1, 0.2, 0.3], dtype=torch.float64)
NOISES = [(0.1, 0.2, 0.3, 0.4), (0.03, 0.13, 0.3, 0.54), (0.7, 0.1, 0.1, 0.1)]  # some are in nearly every sample


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("q", NOISES)
def test_nce_leads_to_probabilities_that_sum_to_one_as_they_are(q: tuple[float, ...], count: int) -> None:
    log_kq = torch.tensor(q, dtype=torch.float64).log() + math.log(count)

    def expected(scores: Tensor) -> Tensor:
        parts = []
        for word, share in enumerate(q):
            one = slice(word, word + 1)
            right, wrong = nce(scores[one], scores[None, one], log_kq[one], log_kq[one])
            parts.append(TRUE[word] * right + count * share * wrong)
        return torch.stack(parts).sum()

    scores = optimum(expected)
    assert scores.logsumexp(0).item() == pytest.approx(0, abs=1e-6)  # ln Z
    torch.testing.assert_close(scores.exp(), TRUE, atol=1e-6, rtol=0)


@pytest.mark.parametrize("q", NOISES)
def test_sampled_cross_entropy_leads_to_the_probabilities(q: tuple[float, ...]) -> None:
    count, share = 4, torch.tensor(q, dtype=torch.float64)
    logs = log_expected(share.log(), count)
    draws: dict[frozenset[int], float] = {}
    for drawn in product(range(len(q)), repeat=count):
        draws[frozenset(drawn)] = draws.get(frozenset(drawn), 0.0) + share[list(drawn)].prod().item()

    def expected(scores: Tensor) -> Tensor:
        parts = []
        for drawn, chance in draws.items():
            words = torch.tensor(sorted(drawn))
            for word, probability in enumerate(TRUE):
                one = torch.tensor([word])
                found = sampled(scores[one], scores[None, words], one, words, logs[one], logs[words])
                parts.append(chance * probability * found)
        return torch.stack(parts).sum()

    # words do not come quite independently of each other into a sample, so this is not exact
    torch.testing.assert_close(torch.softmax(optimum(expected), 0), TRUE, atol=0.012, rtol=0)
