"""The linear-chain CRF's loss (Lafferty, McCallum & Pereira 2001; Lample et al. 2016).

Shapes: B sentences, T words, C tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from voxkit.commands.ner.tables import may_follow

NEVER = -1e4  # the score of what the scheme forbids
_LEAST = 1e-300  # below it a probability relative to the best tag's counts as this


class Scores(NamedTuple):
    """`score(tags) = start[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_t, y_t+1] + end[y_T]`.

    `emissions` (B, T, C), `transitions` (C, C) from tag to tag, `start` (C,), `end` (C,).
    """

    emissions: Tensor
    transitions: Tensor
    start: Tensor
    end: Tensor


class Crf(nn.Module):
    """How tags go with each other. What the scheme forbids has probability 0, in training too."""

    def __init__(self, tags: Sequence[str]) -> None:
        super().__init__()
        count = len(tags)
        self.transitions = nn.Parameter(torch.empty(count, count).uniform_(-0.1, 0.1))
        self.start = nn.Parameter(torch.empty(count).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(count).uniform_(-0.1, 0.1))
        names = ("may_follow", "may_start", "may_end")
        for name, allowed in zip(names, may_follow(tags), strict=True):
            self.register_buffer(name, torch.from_numpy(allowed), persistent=False)
        self.may_follow: Tensor
        self.may_start: Tensor
        self.may_end: Tensor

    def forward(self) -> tuple[Tensor, Tensor, Tensor]:
        """Transitions (C, C), start (C,) and end (C,), with `NEVER` for what is forbidden."""
        return (
            self.transitions.masked_fill(~self.may_follow, NEVER),
            self.start.masked_fill(~self.may_start, NEVER),
            self.end.masked_fill(~self.may_end, NEVER),
        )


def log_partition(scores: Scores, lengths: Tensor) -> Tensor:
    """Scores and (B,) -> (B,): the log of the sum over all tag sequences of exp(score).

    The forward algorithm, with a matrix product in place of a sum over (B, C, C): in float64, in which tags whose
    weight is e^-690 of the best one's are still told apart.
    """
    emissions, transitions, start, end = (part.double() for part in scores)
    first, *rest = emissions.unbind(1)
    follows, alpha = transitions.exp(), start + first
    for place, step in enumerate(rest, start=1):
        most = alpha.detach().max(dim=1, keepdim=True).values
        onward = ((alpha - most).exp() @ follows).clamp_min(_LEAST).log() + most + step
        alpha = torch.where((place < lengths).unsqueeze(1), onward, alpha)
    return (alpha + end).logsumexp(dim=1)


def score(scores: Scores, tags: Tensor, lengths: Tensor) -> Tensor:
    """Scores, (B, T) and (B,) -> (B,): the score of the tags."""
    emissions, transitions, start, end = (part.double() for part in scores)
    real = torch.arange(tags.shape[1], device=tags.device) < lengths.unsqueeze(1)
    own = emissions.gather(2, tags.unsqueeze(2)).squeeze(2).masked_fill(~real, 0.0).sum(1)
    between = transitions[tags[:, :-1], tags[:, 1:]].masked_fill(~real[:, 1:], 0.0).sum(1)
    last = tags.gather(1, lengths.unsqueeze(1) - 1).squeeze(1)
    return start[tags[:, 0]] + own + between + end[last]


def negative_log_likelihood(scores: Scores, tags: Tensor, lengths: Tensor) -> Tensor:
    """Scores, (B, T) and (B,) -> (B,): `-ln p(tags)` [nats]."""
    return log_partition(scores, lengths) - score(scores, tags, lengths)
