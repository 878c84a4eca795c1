"""`voxkit.nn.graph_ctc` computed by k2: the same sum over the same graphs, as an intersection of automata.

k2 keeps an arc for every frame and arc of the graphs, where our own recursion keeps a row of states, and takes its
gradient from the arcs' posteriors. Nothing is pruned, so that both give the same numbers up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from voxkit.nn.graph_ctc import NEVER, GraphBatch
from voxkit.nn.k2_package import load_k2

_EVERYTHING = 1e10  # a beam that prunes nothing


def k2_ctc_loss(log_probs: Tensor, lengths: Tensor, graphs: GraphBatch) -> Tensor:
    """Negative log probability of each utterance under all of its label sequences.

    An utterance's loss does not depend on the others of its batch. Sums are in double precision.

    Args:
        log_probs: (B, T, V) log posteriors with the blank at 0.
        lengths: (B,) valid frames, each at least 1.
        graphs: the alternatives.

    Returns:
        (B,) in nats; 1e30, without a gradient, where the frames are too few (see `LabelGraph.min_frames`).

    Raises:
        UserError: there is no k2 that works.
    """
    k2 = load_k2(log_probs.is_cuda)
    durations, order = lengths.sort(descending=True, stable=True)  # as k2 wants them
    segments = torch.stack([order, torch.zeros_like(order), durations], dim=1).int().cpu()
    lattices = k2.intersect_dense(
        _fsas(k2, GraphBatch(*(tensor[order] for tensor in vars(graphs).values()))),
        k2.DenseFsaVec(log_probs.float(), segments),
        output_beam=_EVERYTHING,
    )
    totals = lattices.get_tot_scores(use_double_scores=True, log_semiring=True)
    losses = torch.where(totals == -torch.inf, -NEVER, -totals).float()
    wrong = log_probs.detach().isnan().flatten(1).any(dim=1)  # k2 would take it for a frame without a way through
    return torch.where(wrong, torch.nan, losses[order.argsort()])


def _fsas(k2: Any, graphs: GraphBatch) -> Any:
    """The graphs as automata: state 0 begins, S + 1 ends, and the arcs into state s + 1 carry the label of state s."""
    batch, states = graphs.labels.shape
    end = states + 1
    utterance, target, arc = (graphs.sources < states).nonzero(as_tuple=True)
    first, last = ((weights > NEVER / 2).nonzero(as_tuple=True) for weights in (graphs.first, graphs.last))
    inside = (utterance, graphs.sources[utterance, target, arc] + 1, target + 1, graphs.labels[utterance, target])
    into = (first[0], torch.zeros_like(first[1]), first[1] + 1, graphs.labels[first])
    out = (last[0], last[1] + 1, torch.full_like(last[1], end), torch.full_like(last[1], -1))
    columns = torch.stack([torch.cat(parts) for parts in zip(inside, into, out, strict=True)])
    weights = torch.cat([graphs.weights[utterance, target, arc], graphs.first[first], graphs.last[last]])
    owner, src, dst, label = columns
    most = int(graphs.labels.max()) + 1
    behind = torch.where(label < 0, most, label)  # k2 sorts arcs by label, the one that ends behind all others
    order = ((owner * (end + 1) + src) * (most + 1) + behind).argsort(stable=True)
    arcs = torch.stack([src, dst, label], dim=1)[order].int()
    arcs = torch.cat([arcs, weights[order].float().view(torch.int32).unsqueeze(1)], dim=1)
    # k2's own serial form: count, 0, offsets of the states, offsets of the arcs, arcs
    counts = torch.bincount(owner, minlength=batch).cumsum(0).int()
    none = counts.new_zeros(1)
    offsets = torch.arange(batch + 1, device=counts.device, dtype=torch.int32) * (end + 1)
    return k2.Fsa(torch.cat([none + batch, none, offsets, none, counts, arcs.flatten()]))
