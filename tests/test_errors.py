import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.errors import DataError, Problem, Problems, UserError


def some(kinds: dict[str, int]) -> Problems:
    problems = Problems()
    for kind, count in kinds.items():
        for number in range(count):
            problems.add(kind, f"cuts.jsonl:{number + 1}", f"{kind}-{number}", "is bad", "mend it")
    return problems


def test_user_error_says_what_and_how_to_mend_it() -> None:
    assert str(UserError("no such file", fix="check the path")) == "no such file\nfix: check the path"
    assert str(UserError("no such file")) == "no such file"


def test_the_report_has_the_first_five_of_each_kind_and_the_counts() -> None:
    report = some({"missing file": 7, "empty text": 2}).report()
    lines = report.splitlines()
    assert lines[0] == "missing file: 7"
    assert lines[1] == "  cuts.jsonl:1  missing file-0  is bad; mend it"
    assert lines[6] == "  ... and 2 more"
    assert lines[7] == "empty text: 2"
    assert len(lines) == 10


def test_no_problems_no_report(tmp_path: Path) -> None:
    problems = Problems()
    assert len(problems) == 0
    assert problems.report() == ""
    assert problems.settle(0) == set()
    assert problems.settle(10, rejected=tmp_path / "rejected.jsonl") == set()
    assert not (tmp_path / "rejected.jsonl").exists()


def test_extend_keeps_all() -> None:
    one, two = some({"a": 2}), some({"b": 1})
    one.extend(two)
    assert [problem.kind for problem in one] == ["a", "a", "b"]


def test_settle_raises_and_writes_nothing(tmp_path: Path) -> None:
    rejected = tmp_path / "rejected.jsonl"
    with pytest.raises(DataError) as stop:
        some({"broken": 1}).settle(100, rejected=rejected)
    assert isinstance(stop.value, UserError)
    assert "1 of 100 items" in str(stop.value)
    assert "cuts.jsonl:1" in str(stop.value)
    assert len(stop.value.problems) == 1
    assert not rejected.exists()


def test_settle_lists_what_it_leaves_out(tmp_path: Path) -> None:
    problems = some({"broken": 2})
    problems.add("silent", "cuts.jsonl:1", "broken-0", "is silent — ganz", "record it again")
    problems.add("silent", "caf\udce9/1.wav:1", "broken-1", "is silent", "record it again")  # a name in Latin-1
    rejected = tmp_path / "new" / "rejected.jsonl"
    assert problems.settle(40, max_bad=0.05, rejected=rejected) == {"broken-0", "broken-1"}
    records = [json.loads(line) for line in rejected.read_text(encoding="utf-8").splitlines()]
    assert [Problem(**record) for record in records] == list(problems)


def test_bad_items_of_one_id_can_be_counted() -> None:
    problems = Problems()
    for line in range(5):
        problems.add("broken", f"a.jsonl:{line}", "same", "is bad", "mend it")
    assert problems.settle(10, 0.5, count=5) == {"same"}
    with pytest.raises(DataError, match="5 of 10 items"):
        problems.settle(10, 0.4, count=5)
    with pytest.raises(DataError, match="1 of 10 items"):
        problems.settle(10, 0.0, count=0)


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0, 1))
def test_the_share_that_is_tolerated(bad: int, total: int, max_bad: float) -> None:
    problems = some({"broken": bad})
    if bad < total and bad / total <= max_bad:
        assert len(problems.settle(total, max_bad)) == bad
    else:
        with pytest.raises(DataError):
            problems.settle(total, max_bad)


@pytest.mark.parametrize(("bad", "total", "max_bad"), [(5, 100, 0.05), (3, 10, 0.3), (7, 100, 0.07), (29, 100, 0.29)])
def test_exactly_the_share_is_tolerated(bad: int, total: int, max_bad: float) -> None:
    assert len(some({"broken": bad}).settle(total, max_bad)) == bad
