"""What training makes small: noise contrastive estimation, cross-entropy over sampled words, and over all of them.

Shapes: N places, K noise words, V vocabulary, W width. Sums, in float32 at least; divide by N for the mean.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_CELLS = 1 << 23  # scores at a time, of all words at some places


def nce(target: Tensor, noise: Tensor, log_kq_target: Tensor, log_kq_noise: Tensor) -> tuple[Tensor, Tensor]:
    """Noise contrastive estimation (Gutmann & Hyvarinen 2010; Mnih & Teh 2012) with noise that all places share.

    A word is told from K words of noise by s - ln(K q), the log odds that it is a word of the text; its optimum is
    s(w, h) = ln P(w | h), so no sum over the vocabulary is needed to have probabilities.

    Args:
        target: (N,) score of the word that came.
        noise: (N, K) scores of the noise words.
        log_kq_target: (N,) ln of K times the word's probability as noise.
        log_kq_noise: (K,) the same of the noise words.

    Returns:
        -sum ln sigmoid(s - ln K q) of words, and -sum ln(1 - sigmoid(s - ln K q)) of noise; the loss is their sum.
    """
    right = F.softplus(log_kq_target - _wide(target)).sum()
    wrong = F.softplus(_wide(noise) - log_kq_noise).sum()
    return right, wrong


def log_expected(log_q: Tensor, count: int) -> Tensor:
    """ln of the probability 1 - (1 - q) ** count that a word is among `count` that are drawn, of any shape."""
    never = count * torch.log1p(-log_q.exp().clamp(max=1 - 1e-7))
    # where that is nearly 0, ln(1 - e^x) is ln(count q), and float32 would say ln 0
    return torch.where(never > -1e-4, log_q + math.log(count), torch.log(-torch.expm1(never)))


def sampled(
    target: Tensor, noise: Tensor, targets: Tensor, words: Tensor, log_target: Tensor, log_noise: Tensor
) -> Tensor:
    """Cross-entropy over the word and a sample of words, less the log expectation of being in it.

    Jean, Cho, Memisevic & Bengio 2015. With distinct words, and the word itself left out of the sample, the optimum is
    s(w, h) = ln P(w | h) + c(h) for a sample of any size, as far as words come into it independently of each other.

    Args:
        target: (N,) score of the word that came.
        noise: (N, K) scores of the sample.
        targets: (N,) the words that came.
        words: (K,) the sample, distinct words.
        log_target: (N,) `log_expected` of the words that came.
        log_noise: (K,) that of the sample.
    """
    right = (_wide(target) - log_target).unsqueeze(1)
    others = (_wide(noise) - log_noise).masked_fill(targets.unsqueeze(1) == words, -torch.inf)
    return (torch.logsumexp(torch.cat([right, others], 1), 1) - right.squeeze(1)).sum()


def cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, cells: int = _CELLS) -> Tensor:
    """The sum of -ln softmax(weight h + bias) of the words that came.

    The scores of all words are there for a few places at a time only, so memory does not grow with N times V.

    Args:
        hidden: (N, W).
        weight, bias: (V, W) and (V,) of the output layer.
        targets: (N,) the words that came.
        cells: most scores that are held at a time.
    """
    total: Tensor = _CrossEntropy.apply(hidden, weight, bias, targets, cells)  # type: ignore[no-untyped-call]
    return total


class _CrossEntropy(torch.autograd.Function):
    """The gradients are made beside the loss, while the scores are there."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, cells: int) -> Tensor:
        total = torch.zeros((), dtype=_wide(hidden).dtype, device=hidden.device)
        wanted = any(ctx.needs_input_grad)
        gradients = [torch.zeros_like(part) for part in (hidden, weight, bias)] if wanted else []
        step = max(1, cells // len(weight))
        for start in range(0, len(hidden), step):
            some, words = hidden[start : start + step], targets[start : start + step].unsqueeze(1)
            scores = _wide(F.linear(some, weight, bias))
            all_words = torch.logsumexp(scores, 1, keepdim=True)
            total += (all_words - scores.gather(1, words)).sum()
            if wanted:
                slope = scores.sub_(all_words).exp_()
                slope.scatter_add_(1, words, torch.full_like(all_words, -1.0))
                gradients[2] += slope.sum(0)
                slope = slope.to(some.dtype)
                gradients[0][start : start + step] = slope @ weight.to(some.dtype)
                gradients[1] += slope.t() @ some
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        return (*(part * slopes[0].to(part.dtype) for part in ctx.saved_tensors), None, None)


def _wide(x: Tensor) -> Tensor:
    """In float32 at least."""
    return x.float() if x.dtype.itemsize < 4 else x
