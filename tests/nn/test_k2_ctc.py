"""k2's loss over the graphs is ours: the same values and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxkit.errors import UserError
from voxkit.nn.graph_ctc import LabelGraph, batch_graphs, graph_ctc_loss, label_graph
from voxkit.nn.k2_ctc import k2_ctc_loss
from voxkit.nn.k2_package import load_k2

LOSS, GRADIENT = 1e-4, 1e-5  # relative, in nats; absolute, of posteriors
LABELS = st.lists(st.integers(1, 4), min_size=1, max_size=4)
GRAPHS = st.lists(
    st.lists(st.lists(LABELS, min_size=1, max_size=3, unique_by=tuple), min_size=1, max_size=4), min_size=1, max_size=4
).map(lambda graphs: [with_priors(slots) for slots in graphs])


def with_priors(slots: list[list[list[int]]]) -> LabelGraph:
    return label_graph([[(ids, 1 / (1 + number)) for number, ids in enumerate(slot)] for slot in slots])


@pytest.fixture(scope="module", autouse=True)
def needs_k2() -> None:
    try:
        load_k2()
    except UserError as error:
        pytest.skip(error.message)


@given(graphs=GRAPHS, extra=st.lists(st.integers(0, 9), min_size=4, max_size=4), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_values_and_gradients_are_those_of_our_own(graphs: list[LabelGraph], extra: list[int], seed: int) -> None:
    lengths = torch.tensor([graph.min_frames + more for graph, more in zip(graphs, extra, strict=False)])
    generator = torch.Generator().manual_seed(seed)
    raw = 2 * torch.randn(len(graphs), int(lengths.max()) + 2, 5, generator=generator)
    raw.requires_grad_()
    batch, weights = batch_graphs(graphs), torch.rand(len(graphs), generator=generator)
    ours, theirs = (loss(raw.log_softmax(-1), lengths, batch) for loss in (graph_ctc_loss, k2_ctc_loss))
    assert theirs.dtype == torch.float32
    torch.testing.assert_close(theirs, ours, rtol=LOSS, atol=LOSS)
    one, two = (torch.autograd.grad((losses * weights).sum(), raw)[0] for losses in (ours, theirs))
    torch.testing.assert_close(two, one, rtol=0, atol=GRADIENT)
    for index, length in enumerate(lengths.tolist()):
        assert not two[index, length:].any()


def test_a_loss_does_not_depend_on_the_batch() -> None:
    graphs = [with_priors([[[1, 2], [3]], [[2, 2]]]), with_priors([[[1]]]), with_priors([[[4, 1, 4]], [[1], [1, 2]]])]
    lengths = torch.tensor([9, 14, 11])
    log_probs = torch.randn(3, 14, 5, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    together = k2_ctc_loss(log_probs, lengths, batch_graphs(graphs))
    assert torch.equal(together, k2_ctc_loss(log_probs, lengths, batch_graphs(graphs)))
    order = torch.tensor([2, 0, 1])
    turned = k2_ctc_loss(log_probs[order], lengths[order], batch_graphs([graphs[i] for i in order]))
    assert torch.equal(together[order], turned)
    alone = [
        k2_ctc_loss(log_probs[i : i + 1, :length], lengths[i : i + 1], batch_graphs([graphs[i]]))
        for i, length in enumerate(lengths.tolist())
    ]
    torch.testing.assert_close(torch.cat(alone), together, rtol=1e-6, atol=1e-6)


def test_too_few_frames_cost_what_they_cost_us_and_leave_no_gradient() -> None:
    batch = batch_graphs([with_priors([[[1, 1, 1]]]), with_priors([[[2]]])])
    raw = torch.randn(2, 3, 3, requires_grad=True)
    lengths = torch.tensor([2, 3])
    losses = k2_ctc_loss(raw.log_softmax(-1), lengths, batch)
    torch.testing.assert_close(losses, graph_ctc_loss(raw.log_softmax(-1), lengths, batch))
    losses.sum().backward()
    assert raw.grad is not None
    assert not raw.grad[0].any()
    assert raw.grad[1].any()


def test_what_is_not_a_number_stays_visible() -> None:
    log_probs = torch.randn(2, 6, 3).log_softmax(-1)
    log_probs[1, 2, 1] = torch.nan
    losses = k2_ctc_loss(log_probs, torch.tensor([6, 6]), batch_graphs([with_priors([[[1, 2]]])] * 2))
    assert losses.isnan().tolist() == [False, True]
