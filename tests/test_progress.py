import pytest

from voxkit import progress
from voxkit.progress import Meter, say, track


def test_items_pass_and_the_last_line_has_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([1.5, 2.5], total=4.0, what="features", unit="s of audio", amount=lambda item: item)) == [
        1.5,
        2.5,
    ]
    captured = capsys.readouterr()
    assert captured.out == ""
    line = captured.err.strip()
    fields = dict(word.split("=") for word in line.split())
    assert fields["progress"] == "features"
    assert (fields["done"], fields["total"], fields["unit"]) == ("4", "4", "s-of-audio")
    assert {"rate", "left", "elapsed"} <= set(fields)


def test_long_work_prints_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    list(track(range(3), total=3, what="cuts"))
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == [
        "done=1",
        "done=2",
        "done=3",
        "done=3",
    ]


def test_an_unknown_total(capsys: pytest.CaptureFixture[str]) -> None:
    list(track(iter("ab"), total=None, what="lines"))
    assert "left=" not in capsys.readouterr().err


def test_nothing_done_nothing_said(capsys: pytest.CaptureFixture[str]) -> None:
    list(track([], total=0, what="cuts"))
    assert capsys.readouterr().err == ""


def test_an_error_passes_through() -> None:
    def broken():
        yield 1
        raise ValueError("bad cut")

    with pytest.raises(ValueError, match="bad cut"):
        list(track(broken(), total=2, what="cuts"))


def test_notes_and_what_was_done_before(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with Meter(10, "training", "steps", done=5) as meter:
        meter.advance(1, loss=2.123456, lr="1e-3")
    line = capsys.readouterr().err.splitlines()[0]
    assert "done=6 total=10" in line
    assert "loss=2.123" in line
    assert "lr=1e-3" in line


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Meter(2, "outer", "jobs") as outer:
        say("a line [with brackets] above the bar")
        list(track(range(3), total=3, what="inner"))
        outer.advance(1, loss=0.5)
        outer.advance(1)
    assert progress._console is None
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "a line [with brackets] above the bar" in captured.err
    say("after")
    assert capsys.readouterr().err == "after\n"
