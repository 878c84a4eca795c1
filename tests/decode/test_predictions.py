"""What a classifier said, written and read, labelled and pooled."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from voxkit.decode.predictions import PREDICTIONS, Prediction, Predictions, distinct, pooled, rounded
from voxkit.errors import UserError

CLASSES = ("a", "b")


def said(*items: tuple[str, str, float], classes: tuple[str, ...] = CLASSES) -> Predictions:
    """Clips with their class and the posterior of the first class."""
    made = (Prediction(id, (label,) if label else (), (p, 1 - p)) for id, label, p in items)
    return Predictions("single", classes, tuple(made))


def written(folder: Path, predictions: Predictions) -> Path:
    folder.mkdir(parents=True)
    config = {"command": "x", "head": predictions.head, "classes": list(predictions.classes)}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    predictions.write(folder)
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    one = said(("x", "a", 0.75), ("y", "b", 0.5), ("z", "", 0.125)).grouped(["1", "", "2"])
    folder = written(tmp_path / "run", one)
    assert Predictions.read(folder) == one
    lines = [json.loads(line) for line in (folder / PREDICTIONS).read_text().splitlines()]
    assert lines[0] == {"id": "x", "labels": ["a"], "best": "a", "scores": {"a": 0.75, "b": 0.25}, "group": "1"}
    assert [line["best"] for line in lines] == ["a", "a", "b"]  # of equals the first


def test_measures_of_single_and_several_classes() -> None:
    one = said(("x", "a", 0.9), ("y", "b", 0.4), ("z", "b", 0.6))
    assert one.report().accuracy.value == pytest.approx(200 / 3)
    grouped = one.grouped(["1", "1", "2"]).report(by="fold")
    assert {name: group.accuracy for name, group in grouped.by_group.items()} == {"1": 100, "2": 0}
    items = (Prediction("x", ("a", "b"), (0.9, 0.4)), Prediction("y", (), (0.2, 0.1)))
    several = Predictions("multi", CLASSES, items)
    assert several.report([0.5, 0.5]).right.tolist() == [False, True]
    assert several.report([0.5, 0.3]).right.tolist() == [True, True]


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (Prediction("x", (), (1.0, 0.0)), "x: has 0 classes, not one"),
        (Prediction("x", ("a", "b"), (1.0, 0.0)), "x: has 2 classes"),
        (Prediction("x", ("c",), (1.0, 0.0)), "x: c: not among the model's classes"),
    ],
)
def test_clips_without_a_known_class_are_refused(item: Prediction, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Predictions("single", CLASSES, (item,)).report()


def test_labels_are_put_beside_what_was_said() -> None:
    one = said(("x", "", 0.9), ("y", "", 0.4), ("z", "", 0.4))
    found = one.labelled({"y": ["b"], "x": ["a"]}, "there")
    assert [(item.id, item.labels) for item in found.items] == [("y", ("b",)), ("x", ("a",))]
    with pytest.raises(UserError, match="no prediction for 1 of 2 clips: w"):
        one.labelled({"x": ["a"], "w": ["a"]}, "there")


def test_runs_are_pooled_and_told_apart(tmp_path: Path) -> None:
    folders = [
        written(tmp_path / "fold1" / "test", said(("x", "a", 0.9), ("y", "b", 0.2))),
        written(tmp_path / "fold2" / "test", said(("z", "b", 0.9), ("w", "b", 0.2))),
    ]
    report = pooled(folders).report(by="fold")
    assert {name: group.accuracy for name, group in report.by_group.items()} == {"fold1": 100, "fold2": 50}
    assert report.mean_over_groups == 75
    with pytest.raises(UserError, match="x: is in fold1/test and in fold3"):
        pooled([folders[0], written(tmp_path / "fold3", said(("x", "a", 0.9)))])
    with pytest.raises(UserError, match="other classes than"):
        pooled([folders[0], written(tmp_path / "fold4", said(("v", "a", 0.9), classes=("a", "c")))])


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "x", "labels": [], "scores": {"a": 1}}'])
def test_damaged_lines_are_told_with_their_place(tmp_path: Path, line: str) -> None:
    folder = written(tmp_path / "run", said(("x", "a", 0.9)))
    with (folder / PREDICTIONS).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match=r"predictions.jsonl:2: damaged"):
        Predictions.read(folder)


def test_folders_without_predictions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no predictions"):
        Predictions.read(tmp_path)
    folder = written(tmp_path / "run", said(("x", "a", 0.9)))
    (folder / "config.yaml").write_text("command: x\n")
    with pytest.raises(UserError, match="names no classes"):
        Predictions.read(folder)
    folder = written(tmp_path / "empty", said())
    with pytest.raises(UserError, match="holds no clips"):
        Predictions.read(folder)


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple), min_size=1, max_size=5, unique=True)
)
def test_names_of_folders_tell_them_apart(paths: list[tuple[str, ...]]) -> None:
    names = distinct([Path("/top", *path, "test") for path in paths])
    assert len(set(names)) == len(paths)
    assert all(name in "/".join(("top", *path, "test")) for name, path in zip(names, paths, strict=True))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_rounding_keeps_six_digits(values: list[float]) -> None:
    found = rounded(values)
    np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-300)
    assert rounded(found) == found
