"""CTC over pronunciation graphs: against torch's CTC and against enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxkit.nn.graph_ctc import BLANK, batch_graphs, graph_ctc_loss, label_graph

LABELS = st.lists(st.integers(1, 3), min_size=1, max_size=3)
SLOTS = st.lists(st.lists(LABELS, min_size=1, max_size=2, unique_by=tuple), min_size=1, max_size=3)


def log_probs(frames: int, vocabulary: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.log_softmax(2 * torch.randn(1, frames, vocabulary, generator=generator), dim=-1)


@given(labels=st.lists(st.integers(1, 4), min_size=1, max_size=6), extra=st.integers(0, 6), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_one_pronunciation_is_ordinary_ctc(labels: list[int], extra: int, seed: int) -> None:
    slots = [[([label], 1.0)] for label in labels]
    graph = label_graph(slots)
    frames = graph.min_frames + extra
    scores = log_probs(frames, 5, seed).requires_grad_()
    lengths = torch.tensor([frames])
    ours = graph_ctc_loss(scores, lengths, batch_graphs([graph]))
    theirs = torch.nn.functional.ctc_loss(
        scores.transpose(0, 1), torch.tensor([labels]), lengths, torch.tensor([len(labels)]), reduction="none"
    )
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    # torch's gradient is with respect to what went into the softmax, so it is compared behind one
    raw = torch.randn(1, frames, 5, generator=torch.Generator().manual_seed(seed), requires_grad=True)
    first = graph_ctc_loss(raw.log_softmax(-1), lengths, batch_graphs([graph])).sum()
    second = torch.nn.functional.ctc_loss(
        raw.log_softmax(-1).transpose(0, 1),
        torch.tensor([labels]),
        lengths,
        torch.tensor([len(labels)]),
        reduction="sum",
    )
    (one,) = torch.autograd.grad(first, raw)
    (two,) = torch.autograd.grad(second, raw)
    assert torch.allclose(one, two, atol=1e-4)


@given(slots=SLOTS, frames=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_sums_every_frame_sequence_of_every_pronunciation(slots: list[list[list[int]]], frames: int, seed: int) -> None:
    weighted = [[(ids, 1 / (1 + number)) for number, ids in enumerate(slot)] for slot in slots]
    graph = label_graph(weighted)
    scores = log_probs(frames, 4, seed)
    loss = float(graph_ctc_loss(scores, torch.tensor([frames]), batch_graphs([graph])))
    total = 0.0
    for choice in itertools.product(*weighted):
        target = [label for ids, _ in choice for label in ids]
        prior = math.prod(probability for _, probability in choice)
        for path in itertools.product(range(4), repeat=frames):
            collapsed = [label for label, _ in itertools.groupby(path) if label != BLANK]
            if collapsed == target:
                total += prior * math.exp(sum(float(scores[0, t, label]) for t, label in enumerate(path)))
    if total == 0:
        assert loss > 1e20
        assert frames < graph.min_frames
    else:
        assert frames >= graph.min_frames
        assert loss == pytest.approx(-math.log(total), rel=1e-4, abs=1e-4)


def test_padding_changes_nothing() -> None:
    short, long = label_graph([[([1], 1.0)]]), label_graph([[([1, 2], 0.5), ([3], 0.5)], [([2, 2], 1.0)]])
    first, second = log_probs(4, 5, 1), log_probs(9, 5, 2)
    alone = [
        float(graph_ctc_loss(first, torch.tensor([4]), batch_graphs([short]))),
        float(graph_ctc_loss(second, torch.tensor([9]), batch_graphs([long]))),
    ]
    padded = torch.cat([torch.nn.functional.pad(first, (0, 0, 0, 5)), second])
    together = graph_ctc_loss(padded, torch.tensor([4, 9]), batch_graphs([short, long]))
    assert together.tolist() == pytest.approx(alone, rel=1e-5)


def test_gradient_is_finite_where_frames_are_too_few() -> None:
    graph = label_graph([[([1, 1, 1], 1.0)]])
    raw = torch.randn(1, 2, 3, requires_grad=True)
    graph_ctc_loss(raw.log_softmax(-1), torch.tensor([2]), batch_graphs([graph])).sum().backward()
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()
