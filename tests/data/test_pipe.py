"""Lines that come through a pipe: as they come, whole, and each with its number."""

import doctest
import os
import sys
from pathlib import Path

import pytest

from voxkit.data import pipe
from voxkit.data.pipe import LONGEST_LINE, STDIN, Flow, arriving, decoded
from voxkit.errors import Problems, UserError


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(pipe)[:2] == (0, 1)


def numbered(line: bytes, where: str, problems: Problems) -> str | None:
    """A line with its place; None for a bad one."""
    text = decoded(line, where, problems)
    return None if text is None else f"{where} {text}"


def test_lines_are_there_as_soon_as_they_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    inner, outer = os.pipe()
    problems = Problems()
    problems.add("older", "elsewhere", "id", "what", "fix")
    groups = arriving(inner, numbered, problems, "write text")
    for written, expected in (
        (b"\xef\xbb\xbfone\r\ntw", ["stdin:1 one"]),
        (b"o\n\n", ["stdin:2 two", "stdin:3 "]),
        (b"\xff\nf\xc3", []),
        (b"\xbcnf", []),
    ):
        os.write(outer, written)
        assert next(groups) == expected
    os.close(outer)
    assert list(groups) == [["stdin:5 fünf"]]
    os.close(inner)
    assert [problem.where for problem in problems] == ["elsewhere", "stdin:4"]
    assert capsys.readouterr().err.startswith("notice: left out: stdin:4 ")


@pytest.mark.parametrize("last", [b"", b"end"])
def test_nothing_comes_after_the_last_line_feed(last: bytes) -> None:
    inner, outer = os.pipe()
    os.write(outer, b"one\n" + last)
    os.close(outer)
    found = [item for group in arriving(inner, numbered, Problems(), "write text") for item in group]
    assert found == ["stdin:1 one", *(["stdin:2 end"] if last else [])]
    os.close(inner)


def test_a_line_without_an_end_is_refused() -> None:
    inner, outer = os.pipe()
    groups = arriving(inner, numbered, Problems(), "write text")
    for _ in range(LONGEST_LINE // 4096):
        os.write(outer, b"a" * 4096)
        assert next(groups) == []
    os.write(outer, b"a")
    with pytest.raises(UserError, match=f"stdin:1: a line of more than {LONGEST_LINE} bytes"):
        next(groups)
    os.close(outer)
    os.close(inner)


def test_what_cannot_be_read_is_told() -> None:
    inner, outer = os.pipe()
    os.close(outer)
    os.close(inner)
    with pytest.raises(UserError, match="standard input cannot be read"):
        next(arriving(inner, numbered, Problems(), "write text"))


def test_inputs_flow_in_their_order(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"c\nd\ne\n")
    os.close(writer)
    monkeypatch.setattr(sys, "stdin", os.fdopen(reader))
    flow = Flow("words", "pronouncing", at_once=2, long=3)

    def parse(line: bytes, where: str, problems: Problems) -> str:
        return line.decode()

    paths = [Path("one.txt"), STDIN, Path("two.txt")]
    found = list(flow.of(paths, [["a", "b", "x"], ["f"]], parse, Problems(), "write a word a line"))
    assert [some for some in found if some] == [["a", "b"], ["x"], ["c", "d"], ["e"], ["f"]]
    assert "progress=pronouncing done=3" in capsys.readouterr().err  # of the long file alone
