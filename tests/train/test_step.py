import copy

import pytest
import torch
from torch import nn
from toy import Model, Toy, ToyBatches, configured

from voxkit.train.dist import World
from voxkit.train.feed import Group, Micro
from voxkit.train.numerics import to_device
from voxkit.train.settings import TrainConfig
from voxkit.train.step import Supervised, build_optimizer
from voxkit.train.strategies.ddp import DDP
from voxkit.train.task import Loss

WORLD = World(0, 1, torch.device("cpu"))


class Regression:
    """Squared errors of a linear model; a batch is (x, y)."""

    def loss(self, model, batch):
        x, y = batch
        error = (model(x).squeeze(-1) - y) ** 2
        return Loss(error.sum(), len(y), {"twice": 2 * error.detach().sum()})


class Given(list):
    def ids(self, i):
        return [f"cut-{i}-{k}" for k in range(len(self[i][1]))]


def group(batches) -> Group:
    batches = Given(batches)
    micros = (Micro(i, i, batch) for i, batch in enumerate(batches))
    return Group(0, len(batches), True, len(batches), batches, micros)


def updater(model, task=None, **settings) -> Supervised:
    config = configured(train={"optimizer": "sgd", "momentum": 0, "weight_decay": 0, "warmup": 0, "lr": 0.1} | settings)
    return Supervised(task or Regression(), model, config.train, WORLD, DDP(), horizon=100)


def data(*lengths):
    torch.manual_seed(3)
    return [(torch.randn(n, 4), torch.randn(n)) for n in lengths]


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_ragged_batches_give_the_gradient_of_their_union(clip):
    batches = data(1, 7, 3)
    union = [(torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches]))]
    first = nn.Linear(4, 1)
    second = copy.deepcopy(first)
    apart = updater(first, clip_norm=clip)(0, group(batches), stop=False)
    together = updater(second, clip_norm=clip)(0, group(union), stop=False)
    torch.testing.assert_close(first.weight, second.weight)
    assert apart.total / apart.weight == pytest.approx(together.total / together.weight)
    assert apart.grad_norm == pytest.approx(together.grad_norm)
    assert apart.parts["twice"] == pytest.approx(2 * apart.total)
    assert (apart.examples, apart.weight, apart.finite, apart.stop) == (11, 11, True, False)


def test_the_step_is_minus_lr_times_the_clipped_gradient_of_the_mean():
    (x, y), model = data(6)[0], nn.Linear(4, 1)
    before = model.weight.detach().clone()
    (((model(x).squeeze(-1) - y) ** 2).mean()).backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    norm = torch.stack([g.norm() for g in gradients]).norm()
    model.zero_grad()
    outcome = updater(model, clip_norm=0.5 * norm.item(), schedule="constant")(0, group([(x, y)]), stop=True)
    torch.testing.assert_close(model.weight.detach(), before - 0.1 * 0.5 * gradients[0])
    assert outcome.grad_norm == pytest.approx(norm.item())
    assert outcome.lr == 0.1
    assert outcome.stop


def test_norms_and_biases_do_not_decay():
    decayed, exempt = build_optimizer(Model("batch"), TrainConfig(weight_decay=0.3)).param_groups
    assert decayed["weight_decay"] == 0.3
    assert exempt["weight_decay"] == 0
    assert {p.ndim for p in decayed["params"]} == {2}
    assert {p.ndim for p in exempt["params"]} == {1}


def test_frozen_weights_are_let_be():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    model[0].requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    updater(model)(0, group(data(5)), stop=False)
    assert torch.equal(model[0].weight, before["0.weight"])
    assert not torch.equal(model[1].weight, before["1.weight"])


def test_a_non_finite_loss_changes_nothing_and_names_its_cuts(tmp_path):
    config = configured(nan=[1], train={"accumulate": 3})
    task, batches, model = Toy(config, tmp_path), ToyBatches(config, 0), Model("batch")
    update = Supervised(task, model, config.train, WORLD, DDP(), horizon=100)
    good = [Micro(i, i, batches[i]) for i in (0, 2)]
    assert update(0, Group(0, 2, False, 2, batches, iter(good)), stop=False).finite
    before = copy.deepcopy((model.state_dict(), update.state_dict()))
    bad = [Micro(i, i, batches[i]) for i in (0, 1, 2)]
    outcome = update(1, Group(0, 3, True, 3, batches, iter(bad)), stop=False)
    assert not outcome.finite
    assert outcome.suspects == ("cut-1-0", "cut-1-1", "cut-1-2", "cut-1-3")
    torch.testing.assert_close((model.state_dict(), update.state_dict()), before, rtol=0, atol=0)
    assert all(p.grad is None for p in model.parameters())


class Root:
    """A finite loss with an infinite gradient: the root at zero."""

    def loss(self, model, batch):
        x, _ = batch
        return Loss((model(x) * 0).abs().sqrt().sum(), len(x))


def test_a_non_finite_gradient_is_skipped_too():
    model = nn.Linear(4, 1)
    before = copy.deepcopy(model.state_dict())
    outcome = updater(model, Root())(0, group(data(2, 2)), stop=False)
    assert outcome.total == 0
    assert not outcome.finite
    assert len(outcome.suspects) == 4
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_a_step_without_weight_is_no_step():
    model = nn.Linear(4, 1)
    before = copy.deepcopy(model.state_dict())
    assert not updater(model)(0, group([(torch.zeros(0, 4), torch.zeros(0))]), stop=False).finite
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_batches_of_any_shape_are_moved():
    meta = torch.device("meta")
    moved = to_device({"x": [torch.zeros(2), ("text", torch.zeros(3))], "loss": Loss(torch.zeros(()), 2)}, meta)
    assert moved["x"][0].device == meta
    assert moved["x"][1][0] == "text"
    assert moved["x"][1][1].device == meta
    assert moved["loss"].total.device == meta
    assert moved["loss"].weight == 2
