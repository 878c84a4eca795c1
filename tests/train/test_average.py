import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from toy import Model, configured

from voxkit.train.average import Average


def weights_along(kind: str, steps: int, **settings):
    """A model that is changed at random: its weights at first and after each step, and the average at the end."""
    model = Model("batch")
    average = Average(model, configured(train={"average": kind, **settings}).train)
    seen = [copy.deepcopy(model.state_dict())]
    for step in range(steps):
        for value in model.state_dict().values():
            value.copy_(torch.randn(value.shape) * 3) if value.is_floating_point() else value.add_(1)
        average.update(step, steps)
        seen.append(copy.deepcopy(model.state_dict()))
    return seen, average


@given(st.integers(1, 12), st.floats(0, 0.9))
def test_mean_is_the_mean_of_the_last_part(steps, start):
    seen, average = weights_along("mean", steps, mean_from=start)
    part = seen[1 + int(start * steps) :]
    for name, value in average.state_dict().items():
        expected = torch.stack([s[name].float() for s in part]).mean(0) if value.is_floating_point() else seen[-1][name]
        torch.testing.assert_close(value, expected.to(value.dtype))


def test_ema_follows_its_equation():
    (expected, *seen), average = weights_along("ema", 30, ema_decay=0.8)
    for step, new in enumerate(seen):
        decay = min(0.8, (1 + step) / (10 + step))
        expected = {name: decay * expected[name] + (1 - decay) * new[name] for name in new}
    expected["norm.inner.num_batches_tracked"] = seen[-1]["norm.inner.num_batches_tracked"]
    torch.testing.assert_close(average.state_dict(), expected)


def test_none_is_the_model_itself():
    model = Model("batch")
    average = Average(model, configured(train={"average": "none"}).train)
    average.update(0, 10)
    assert average.model is model
    assert model.training


@pytest.mark.parametrize("kind", ["ema", "mean"])
def test_tied_weights_are_averaged_once(kind):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    average = Average(model, configured(train={"average": kind}).train)
    before = model[0].weight.detach().clone()
    with torch.no_grad():
        model[0].weight.add_(1.0)
    average.update(0, 1)
    assert average.model[0].weight is average.model[1].weight
    torch.testing.assert_close(average.model[0].weight.detach(), before + (0.9 if kind == "ema" else 1.0))
    assert not average.model[0].weight.requires_grad
