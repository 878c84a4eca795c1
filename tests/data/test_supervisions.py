"""The supervisions in the lines of manifests."""

import doctest
from typing import Any

import pytest

from voxkit.data import supervisions as module
from voxkit.data.checks import Line
from voxkit.data.supervisions import kind_of, supervisions
from voxkit.errors import Problems

ONE = {"id": "s", "text": "one"}


def test_examples_in_docstrings() -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"type": "MonoCut"}, "cut"),
        ({"type": "MultiCut", "text": "one", "recording_id": "r"}, "cut"),
        ({"tracks": []}, "cut"),
        ({"supervisions": []}, "cut"),
        ({"supervisions": None, "text": "one"}, None),
        ({"recording_id": "r", "type": "fbank"}, "supervision"),
        ({"recording_id": "r", "text": "one"}, "supervision"),
        ({"text": "one", "type": "question"}, None),
        ({"text": "one", "type": ["MonoCut"]}, None),
        ({"text": "one", "entities": []}, None),
        ({"id": "r", "sources": []}, None),
        ({}, None),
    ],
)
def test_what_lines_are(data: dict[str, Any], kind: str | None) -> None:
    assert kind_of(data) == kind


@pytest.mark.parametrize(
    "data",
    [
        ONE,
        {"id": "c", "type": "MonoCut", "supervisions": [ONE]},
        {"id": "c", "supervisions": [ONE]},
        {"id": "c", "supervisions": [ONE], "recording_id": "r"},
        {
            "id": "m",
            "type": "MixedCut",
            "tracks": [
                {"type": "MonoCut", "cut": {"id": "c", "supervisions": [ONE]}},
                {"type": "PaddingCut", "cut": {"id": "p", "duration": 1}},
                {"cut": {"id": "p", "type": "PaddingCut", "duration": 1}},
                {"type": "MixedCut", "cut": {"id": "n", "tracks": []}},
            ],
        },
    ],
)
def test_they_are_those_of_the_line_itself(data: dict[str, Any]) -> None:
    problems = Problems()
    (found,) = supervisions(Line("f:1", data), problems)
    assert found is ONE
    assert not problems


def test_a_text_counts_as_a_supervision() -> None:
    data = {"text": "who", "type": "question"}
    problems = Problems()
    (found,) = supervisions(Line("f:1", data), problems)
    assert found is data
    assert not problems


@pytest.mark.parametrize("none", [None, []])
def test_a_cut_may_have_none(none: object) -> None:
    problems = Problems()
    assert supervisions(Line("f:1", {"id": "c", "type": "MonoCut", "supervisions": none}), problems) == []
    assert supervisions(Line("f:2", {"id": "c", "type": "MonoCut"}), problems) == []
    assert not problems


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"id": "r", "sources": []},
        {"id": "m", "tracks": [5]},
        {"id": "m", "tracks": [{}]},
        {"id": "m", "tracks": 5},
        {"id": "m", "tracks": [{"cut": 5}]},
        {"id": "m", "tracks": [{"cut": {"id": "p"}}]},
        {"id": "m", "tracks": [{"cut": ONE}]},
        {"id": "c", "supervisions": ["one"]},
        {"id": "c", "supervisions": 5},
        {"id": "c", "supervisions": {"a": 1}},
    ],
)
def test_what_is_no_cut_is_told_once(data: dict[str, Any] | None) -> None:
    problems = Problems()
    assert supervisions(Line("f:1", data, "not JSON"), problems) == []
    (problem,) = problems
    assert problem.where == "f:1"
