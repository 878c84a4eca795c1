"""A teacher's answers on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from voxkit.commands.distill.answers import SPEC, Answers
from voxkit.errors import UserError

SPECIFIED = {"teacher": "abc", "outputs": ["x", "y"], "augment": {"views": 2, "speeds": (1.0,)}}


def rows(*values: float) -> list[torch.Tensor]:
    return [torch.full((1, 2), value) for value in values]


def test_a_view_is_kept_when_it_is_complete(tmp_path: Path) -> None:
    answers = Answers.open(tmp_path / "cache", SPECIFIED)
    answers.expect(0, 3)
    assert answers.find(["a", "b"], 0) is None
    answers.keep(["a", "b"], 0, rows(1, 2))
    assert torch.equal(answers.find(["b", "a"], 0), torch.tensor([[2.0, 2.0], [1.0, 1.0]]))
    assert answers.find(["a", "c"], 0) is None
    assert Answers.open(tmp_path / "cache", SPECIFIED).find(["a", "b"], 0) is None, "not all of the view are there"
    answers.keep(["c"], 0, [torch.full((2, 2), 3.0)])
    again = Answers.open(tmp_path / "cache", SPECIFIED)
    assert torch.equal(again.find(["c", "a"], 0), torch.tensor([[3.0, 3.0], [3.0, 3.0], [1.0, 1.0]]))
    assert again.find(["a"], 1) is None
    assert again.find(["a"], None) is None


def test_another_teacher_is_refused_with_the_difference(tmp_path: Path) -> None:
    Answers.open(tmp_path / "cache", SPECIFIED)
    with pytest.raises(UserError, match=r"teacher: abc -> def") as refused:
        Answers.open(tmp_path / "cache", {**SPECIFIED, "teacher": "def"})
    assert "choose another --cache" in refused.value.fix


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match="holds other things"):
        Answers.open(tmp_path / "mine", SPECIFIED)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_damaged_files_are_named(tmp_path: Path) -> None:
    answers = Answers.open(tmp_path / "cache", SPECIFIED)
    (tmp_path / "cache" / "view-0001.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"view-0001\.safetensors: damaged"):
        answers.find(["a"], 1)
    (tmp_path / "cache" / "view-0001.safetensors").unlink()
    (tmp_path / "cache" / "view-0001.safetensors").mkdir()
    with pytest.raises(UserError, match=r"view-0001\.safetensors: damaged"):
        answers.find(["a"], 1)
    for text in ("{", "[]", "3"):
        (tmp_path / "cache" / SPEC).write_text(text)
        with pytest.raises(UserError, match=r"cannot be read"):
            Answers.open(tmp_path / "cache", SPECIFIED)


@pytest.mark.parametrize("folder", ["file", "file/inside"])
def test_a_file_is_no_cache(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"cannot be (opened|made)") as refused:
        Answers.open(tmp_path / folder, SPECIFIED)
    assert "choose another --cache" in refused.value.fix
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize(
    "answer",
    [
        torch.zeros(2),
        torch.zeros(1, 3),
        torch.zeros(1, 1, 2),
        torch.zeros(()),
        torch.tensor([[0.0, float("nan")]]),
        torch.tensor([[float("inf"), 0.0]]),
    ],
)
def test_answers_that_no_such_teacher_gives_are_refused(tmp_path: Path, answer: torch.Tensor) -> None:
    answers = Answers.open(tmp_path / "cache", SPECIFIED)
    save_file({"a": torch.zeros(1, 2), "b": answer}, tmp_path / "cache" / "view-0000.safetensors")
    with pytest.raises(UserError, match=r"view-0000\.safetensors: damaged, or of another teacher: .* for b") as refused:
        answers.find(["a"], 0)
    assert "remove it" in refused.value.fix


def test_answers_that_are_not_numbers_are_not_kept(tmp_path: Path) -> None:
    answers = Answers.open(tmp_path / "cache", SPECIFIED)
    answers.expect(0, 2)
    answers.keep(["a", "b"], 0, rows(1, float("nan")))
    assert answers.find(["a", "b"], 0) is None
    assert not list((tmp_path / "cache").glob("view-*"))
