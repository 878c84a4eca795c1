import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.config import from_mapping, to_dict
from voxkit.errors import UserError
from voxkit.train.schedule import factor
from voxkit.train.settings import TrainConfig

KINDS = ["cosine", "linear", "inverse_sqrt", "constant"]


def config(**settings) -> TrainConfig:
    return from_mapping(TrainConfig, settings, "the test")


@given(st.sampled_from(KINDS), st.integers(0, 50), st.integers(1, 200), st.floats(0, 1))
def test_rises_to_one_then_never_rises_again(kind, warmup, horizon, final):
    settings = config(schedule=kind, warmup=warmup, final_lr=final)
    values = [factor(settings, step, horizon) for step in range(horizon + 5)]
    rise = min(warmup, horizon)
    assert all(0 <= value <= 1 for value in values)
    assert values[:rise] == pytest.approx([(step + 1) / rise for step in range(rise)])
    assert all(after <= before + 1e-12 for before, after in zip(values[rise:], values[rise + 1 :], strict=False))


def test_known_values():
    assert factor(config(schedule="cosine", warmup=0), 50, 100) == pytest.approx(0.5)
    assert factor(config(schedule="cosine", warmup=0, final_lr=0.1), 100, 100) == pytest.approx(0.1)
    assert factor(config(schedule="linear", warmup=20), 60, 100) == pytest.approx(0.5)
    assert factor(config(schedule="inverse_sqrt", warmup=100), 400, 10**6) == pytest.approx(0.5)
    assert factor(config(schedule="constant", warmup=10), 10**9, 100) == 1.0
    assert math.isclose(factor(config(schedule="inverse_sqrt", warmup=0), 0, 10), 1.0)


def test_a_default_warmup_that_takes_all_becomes_a_tenth():
    class Short(TrainConfig):
        warmup: int = 100

    for settings in (Short(steps=20), from_mapping(Short, to_dict(Short(steps=20)), "read again")):
        assert [factor(settings, step, 20) for step in (0, 1)] == [0.5, 1.0]
        assert settings.warmup == 100
    assert [Short(steps=1).warmup_steps(steps) for steps in (1, 5, 16, 100, 101)] == [0, 1, 1, 10, 100]
    assert [Short(warmup=90).warmup_steps(steps) for steps in (16, 91)] == [16, 90]
    assert factor(Short(), 0, 1) == 1.0


@pytest.mark.parametrize(("steps", "fits"), [(10, 1), (95, 9)])
def test_a_warmup_that_is_set_and_takes_all_is_refused_with_one_that_fits(steps, fits):
    with pytest.raises(UserError, match=rf"warmup \(99\) leaves nothing.*--set train\.warmup={fits} "):
        config(steps=steps, warmup=99)
    assert config(steps=steps, warmup=fits).warmup_steps(steps) == fits


@pytest.mark.parametrize(
    "settings", [{"steps": 100, "warmup": 100}, {"lr": 0}, {"device": "gpu"}, {"keep_last": 0}, {"learning_rate": 1}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(UserError):
        config(**settings)
