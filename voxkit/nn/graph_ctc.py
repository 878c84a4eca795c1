"""CTC over a graph of alternatives: the sum over every pronunciation of every word, not over one spelling only.

A transcript is a chain of slots (words); a slot offers pronunciations with probabilities. Ordinary CTC
(Graves et al. 2006) is the case of one pronunciation per slot. The forward recursion runs over the union of the CTC
topologies, in which neighbouring words share one optional blank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Pronunciation = tuple[Sequence[int], float]

BLANK = 0
NEVER = -1e30  # log of "impossible" that, unlike -inf, keeps gradients finite


@dataclass(frozen=True)
class LabelGraph:
    """S states, each emitting one label; `arcs` are (from, to, log weight) without the self-loops."""

    labels: list[int]
    arcs: list[tuple[int, int, float]]
    first: list[tuple[int, float]]
    last: list[int]
    min_frames: int


def label_graph(slots: Sequence[Sequence[Pronunciation]]) -> LabelGraph:
    """The CTC topology of a chain of words.

    Args:
        slots: for every word its pronunciations (label ids without blank, none empty) and their probabilities.
    """
    labels = [BLANK]
    arcs: list[tuple[int, int, float]] = []
    first: list[tuple[int, float]] = [(0, 0.0)]
    ends: list[tuple[int, int]] = []  # (last label state of the word before, fewest frames up to it)
    junction = 0  # the optional blank in front of the word
    for number, slot in enumerate(slots):
        word_ends: list[tuple[int, int]] = []
        for ids, probability in slot:
            weight = math.log(probability)
            state = -1
            fewest = 0
            for position, label in enumerate(ids):
                labels.append(label)
                new = len(labels) - 1
                if position == 0:
                    arcs.append((junction, new, weight))
                    if number == 0:
                        first.append((new, weight))
                        fewest = 1
                    else:
                        steps = []
                        for end, frames in ends:
                            if labels[end] != label:
                                arcs.append((end, new, weight))
                            steps.append(frames + (1 if labels[end] != label else 2))
                        fewest = min(steps)
                else:
                    labels.append(BLANK)
                    arcs += [(state, new + 1, 0.0), (new + 1, new, 0.0)]
                    if labels[state] != label:
                        arcs.append((state, new, 0.0))
                    fewest += 1 if labels[state] != label else 2
                state = new
            word_ends.append((state, fewest))
        labels.append(BLANK)
        junction = len(labels) - 1
        arcs += [(end, junction, 0.0) for end, _ in word_ends]
        ends = word_ends
    last = [end for end, _ in ends] + [junction]
    return LabelGraph(labels, arcs, first, last, min((frames for _, frames in ends), default=0))


@dataclass(frozen=True)
class GraphBatch:
    """`LabelGraph`s of a batch, padded to S states with at most P arcs into one state (itself included).

    `labels` (B, S) long; `sources` (B, S, P) long, S where there is no arc; `weights` (B, S, P) log; `first` and
    `last` (B, S) log weights of starting and ending in a state.
    """

    labels: Tensor
    sources: Tensor
    weights: Tensor
    first: Tensor
    last: Tensor

    def to(self, device: torch.device | str) -> GraphBatch:
        return GraphBatch(*(tensor.to(device) for tensor in vars(self).values()))

    def pin_memory(self) -> GraphBatch:
        return GraphBatch(*(tensor.pin_memory() for tensor in vars(self).values()))


def batch_graphs(graphs: Sequence[LabelGraph]) -> GraphBatch:
    """Pad graphs into one batch."""
    states = max(len(graph.labels) for graph in graphs)
    incoming: list[list[list[tuple[int, float]]]] = []
    for graph in graphs:
        into: list[list[tuple[int, float]]] = [[(state, 0.0)] for state in range(len(graph.labels))]
        for source, target, weight in graph.arcs:
            into[target].append((source, weight))
        incoming.append(into)
    width = max(len(arcs) for into in incoming for arcs in into)
    shape = (len(graphs), states)
    labels = torch.zeros(shape, dtype=torch.long)
    sources = torch.full((*shape, width), states, dtype=torch.long)
    weights = torch.full((*shape, width), NEVER)
    first = torch.full(shape, NEVER)
    last = torch.full(shape, NEVER)
    for row, (graph, into) in enumerate(zip(graphs, incoming, strict=True)):
        labels[row, : len(graph.labels)] = torch.tensor(graph.labels)
        padded = [arcs + [(states, NEVER)] * (width - len(arcs)) for arcs in into]
        table = torch.tensor(padded, dtype=torch.float64)
        sources[row, : len(padded)] = table[..., 0].long()
        weights[row, : len(padded)] = table[..., 1].float()
        for state, weight in graph.first:
            first[row, state] = weight
        last[row, graph.last] = 0.0
    return GraphBatch(labels, sources, weights, first, last)


def graph_ctc_loss(log_probs: Tensor, lengths: Tensor, graphs: GraphBatch) -> Tensor:
    """Negative log probability of each utterance under all of its label sequences.

    Args:
        log_probs: (B, T, V) log posteriors with the blank at 0.
        lengths: (B,) valid frames, each at least 1.
        graphs: the alternatives.

    Returns:
        (B,) in nats; about 1e30 where the frames are too few (see `LabelGraph.min_frames`).
    """
    batch, frames, _ = log_probs.shape
    states = graphs.labels.shape[1]
    scores = log_probs.float().gather(2, graphs.labels.unsqueeze(1).expand(batch, frames, states))  # (B, T, S)
    index = graphs.sources.flatten(1)  # (B, S*P)
    impossible = scores.new_full((batch, 1), NEVER)
    alpha = graphs.first + scores[:, 0]
    for frame in range(1, frames):
        before = torch.cat([alpha, impossible], dim=1).gather(1, index).view_as(graphs.weights)
        forward = torch.logsumexp(before + graphs.weights, dim=2) + scores[:, frame]
        alpha = torch.where((frame < lengths).unsqueeze(1), forward, alpha)
    return -torch.logsumexp(alpha + graphs.last, dim=1)
