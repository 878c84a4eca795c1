"""What a teacher's answers are worth: the divergence, and the loss that it is a part of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from voxkit.commands.distill.answers import Answers
from voxkit.commands.distill.command import TeachingConfig
from voxkit.commands.distill.task import DistilledTask, Taught, divergence
from voxkit.errors import UserError
from voxkit.train.task import Loss
from voxkit.train.teaching import Decisions


def decisions(logits: torch.Tensor, kind: str = "single", weights: torch.Tensor | None = None) -> Decisions:
    ones = torch.ones(len(logits)) if weights is None else weights
    return Decisions(logits, kind, ones, torch.ones(len(logits), dtype=torch.int64))


def random(seed: int, rows: int = 4, classes: int = 3) -> torch.Tensor:
    return 3 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.5, 8.0), st.sampled_from(["single", "multi"]))
def test_it_is_the_kullback_leibler_divergence_times_the_square_of_the_temperature(
    seed: int, temperature: float, kind: str
) -> None:
    student, teacher = random(seed), random(seed + 1)
    found = divergence(decisions(student, kind), teacher, temperature)
    expected = 0.0
    for own, other in zip(student.double().numpy() / temperature, teacher.double().numpy() / temperature, strict=True):
        if kind == "single":
            p, q = (np.exp(v) / np.exp(v).sum() for v in (other, own))
            expected += (p * np.log(p / q)).sum()
        else:
            p, q = (1 / (1 + np.exp(-v)) for v in (other, own))
            expected += (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()
    assert float(found) == pytest.approx(temperature**2 * expected, rel=1e-3, abs=1e-4)
    assert float(divergence(decisions(student, kind), student, temperature)) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_a_student_that_follows_the_gradient_becomes_the_teacher(kind: str) -> None:
    teacher = random(1)
    student = random(2).requires_grad_()
    for _ in range(400):
        (gradient,) = torch.autograd.grad(divergence(decisions(student, kind), teacher, 2.0), student)
        student = (student - 1.0 * gradient).detach().requires_grad_()
    own, other = (
        (v.softmax(1), teacher.softmax(1)) if kind == "single" else (v.sigmoid(), teacher.sigmoid())
        for v in (student, student)
    )
    assert torch.allclose(own[0], own[1], atol=0.02)
    assert torch.allclose(other[0], other[1], atol=0.02)


def test_a_row_counts_what_it_weighs() -> None:
    student, teacher = random(3), random(4)
    each = torch.stack([divergence(decisions(student[i : i + 1]), teacher[i : i + 1], 1.5) for i in range(4)])
    weights = torch.tensor([0.0, 1.0, 2.5, 0.5])
    assert torch.allclose(divergence(decisions(student, weights=weights), teacher, 1.5), (each * weights).sum())


def test_the_gradient_keeps_its_size_at_high_temperatures() -> None:
    """Hinton et al. 2015, section 2: with T^2 soft targets' gradients are those of the logits' difference over C."""
    student, teacher = random(5).requires_grad_(), random(6)
    (gradient,) = torch.autograd.grad(divergence(decisions(student), teacher, 1000.0), student)
    apart = student.detach() - teacher
    assert torch.allclose(gradient, (apart - apart.mean(1, keepdim=True)) / 3, atol=5e-3)


class Inner:
    """A task of two-dimensional points; its model is called with them."""

    def answers(self, model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return model(batch)

    def criterion(self, answers: torch.Tensor, batch: torch.Tensor) -> Loss:
        return Loss(-answers.log_softmax(1)[:, 0].sum(), len(answers))

    def decisions(self, answers: torch.Tensor, batch: torch.Tensor) -> Decisions:
        return decisions(answers)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_loss_is_the_weighted_sum_of_both_parts(share: float) -> None:
    torch.manual_seed(0)
    student, teacher, points = nn.Linear(2, 3), nn.Linear(2, 3), torch.randn(5, 2)
    task = DistilledTask(Inner(), teacher, TeachingConfig(temperature=3.0, hard_weight=share))
    loss = task.loss(student, Taught(points, ["a", "b", "c", "d", "e"], None))
    hard = -student(points).log_softmax(1)[:, 0].sum().detach()
    soft = divergence(decisions(student(points)), teacher(points), 3.0).detach()
    assert float(loss.total.detach()) == pytest.approx(float(share * hard + (1 - share) * soft), rel=1e-5)
    assert float(loss.parts["labels"]) == pytest.approx(float(hard), rel=1e-5)
    assert float(loss.parts["teacher"]) == pytest.approx(float(soft), rel=1e-5)
    loss.total.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not teacher.training


def test_kept_answers_to_other_numbers_of_frames_are_told_with_their_folder(tmp_path: Path) -> None:
    answers = Answers.open(tmp_path / "cache", {"outputs": ["x", "y", "z"]})
    answers.expect(0, 2)
    answers.keep(["a", "b"], 0, [torch.zeros(1, 3), torch.zeros(4, 3)])
    task = DistilledTask(Inner(), nn.Linear(2, 3), TeachingConfig(), answers)
    with pytest.raises(UserError, match=r"5 x 3 values of a batch, the student 2 x 3") as refused:
        task.loss(nn.Linear(2, 3), Taught(torch.randn(2, 2), ["a", "b"], 0))
    assert "frame rate" in refused.value.fix
    assert f"{tmp_path / 'cache'} is damaged or of another teacher: remove it" in refused.value.fix
