"""Sentences of text files and manifests, and what is told of bad ones."""

import gzip
import json
from pathlib import Path

import pytest

from voxkit.data import sentences as module
from voxkit.data.sentences import digest_of, placed, sentences
from voxkit.errors import DataError, Problems, UserError


def lines_of(problems: Problems) -> list[str]:
    return [problem.where.rpartition(":")[2] for problem in problems]


@pytest.mark.parametrize("name", ["text.txt", "text.gz", "text"])
def test_lines_of_text(tmp_path: Path, name: str) -> None:
    data = "\ufeffGo  to\r\n\n   \nZwölf\ttwo".encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert list(sentences(tmp_path / name, str.lower)) == [["go", "to"], ["zwölf", "two"]]


def test_transcripts_of_manifests(tmp_path: Path) -> None:
    cuts = [{"id": "a", "supervisions": [{"id": "s", "text": "Go to"}, {"id": "t", "text": None}]}, {"text": "two"}]
    path = tmp_path / "cuts.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, cuts)).encode()))
    assert list(sentences(path, str.lower)) == [["go", "to"], ["two"]]
    path.write_bytes(gzip.compress(b'{"text": "a"}\n{"text"\n[1]\n'))
    with pytest.raises(DataError) as caught:
        list(sentences(path, str))
    assert lines_of(caught.value.problems) == ["2", "3"]


def test_other_encodings_are_told_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("gut\ngrün\nblau\nweiß\n".encode("latin-1"))
    with pytest.raises(
        DataError, match=r"latin\.txt:2  .*not UTF-8; convert the file, for example with iconv"
    ) as caught:
        list(sentences(path, str))
    assert lines_of(caught.value.problems) == ["2", "4"]
    problems = Problems()
    assert list(sentences(path, str, problems)) == [["gut"], ["blau"]]
    assert lines_of(problems) == ["2", "4"]


def test_utf16_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "wide.txt").write_text("one\ntwo\n", encoding="utf-16")
    with pytest.raises(DataError, match="other encoding"):
        list(sentences(tmp_path / "wide.txt", str))


def test_a_nul_byte_is_told_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "nul.txt").write_bytes(b"one\ntw\0o\nthree\n")
    problems = Problems()
    assert list(sentences(tmp_path / "nul.txt", str, problems)) == [["one"], ["three"]]
    (problem,) = problems
    assert (problem.kind, problem.where) == ("NUL byte", f"{tmp_path / 'nul.txt'}:2")
    assert problem.id == "two"
    assert "UTF-8;" not in str(problem)


def test_bad_lines_are_told_by_what_they_begin_with(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    line = "Das Café ist heute \x07leider geschlossen, sagt er\n".encode("latin-1")
    path.write_bytes(line + b"\xff\n" + line + "weiß\n".encode("latin-1"))
    other = tmp_path / "other.jsonl"
    other.write_bytes(line + b"{broken\n{broken\n")
    problems = Problems()
    for file in (path, other, other):
        assert list(sentences(file, str, problems)) == []
    begin = "Das Caf\ufffd ist heute leider geschlossen, s"
    assert [problem.id for problem in problems] == [
        begin, "\ufffd", f"{begin} (line 3)", "wei\ufffd",
        f"{begin} (line 1)", "{broken", "{broken (line 3)",
        f"{begin} ({other}:1)", "{broken (line 2)", f"{{broken ({other}:3)",
    ]  # fmt: skip
    assert len(problems.bad_ids) == len(problems)
    first = problems.report().splitlines()[1]
    assert first.startswith(f"  {path}:1  {begin}  not UTF-8; convert")
    assert first.count(str(path)) == 1
    (tmp_path / "nul.txt").write_bytes(b"\0\n")
    problems = Problems()
    list(sentences(tmp_path / "nul.txt", str, problems))
    assert problems.bad_ids == {"(unprintable)"}


def test_far_too_many_bad_lines_end_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BAD", 10)
    (tmp_path / "bad.txt").write_bytes(b"\xff\n" * 1000)
    problems = Problems()
    with pytest.raises(DataError):
        list(sentences(tmp_path / "bad.txt", str, problems))
    assert len(problems) == 11


def test_files_without_sentences(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text(" \n\n")
    with pytest.raises(UserError, match="no sentence in it"):
        list(sentences(tmp_path / "empty.txt", str))
    with pytest.raises(UserError, match=r"absent\.txt: cannot be read: no such file") as caught:
        list(sentences(tmp_path / "absent.txt", str))
    assert caught.value.fix == "check the path"
    assert "Errno" not in str(caught.value)
    (tmp_path / "file").write_text("one\n")
    with pytest.raises(UserError, match="cannot be read: Not a directory") as caught:
        list(sentences(tmp_path / "file" / "text", str))
    assert caught.value.fix == "check the path and its rights"
    (tmp_path / "plain.gz").write_text("one\n")
    with pytest.raises(UserError, match="cannot be read: Not a gzipped file") as caught:
        list(sentences(tmp_path / "plain.gz", str))
    assert caught.value.fix == "give UTF-8 text or a manifest"
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"one\ntwo\n" * 100)[:-20])
    with pytest.raises(UserError, match="cannot be read"):
        list(sentences(tmp_path / "cut.gz", str))


def test_a_file_without_line_breaks_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE", 100)
    (tmp_path / "long.txt").write_text("short\n" + "word " * 50)
    with pytest.raises(UserError, match=r"long\.txt:2: longer than 100 bytes"):
        list(sentences(tmp_path / "long.txt", str))


def test_a_folder_is_all_its_texts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no text in this folder"):
        list(sentences(tmp_path, str))
    (tmp_path / "b.txt").write_text("three\n")
    with gzip.open(tmp_path / "a.txt.gz", "wt") as file:
        file.write("one\n\ntwo\n")
    (tmp_path / "notes.md").write_text("no text\n")
    assert list(sentences(tmp_path, str)) == [["one"], ["two"], ["three"]]
    before = digest_of(tmp_path)
    (tmp_path / "b.txt").write_text("four\n")
    assert digest_of(tmp_path) != before


def test_what_a_folder_has_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b.txt", "a.jsonl", "README.md", "c.gz"):
        (tmp_path / name).write_text('{"text": "one"}\n')
    (tmp_path / "sub").mkdir()
    for _ in range(2):
        assert len(list(sentences(tmp_path, str))) == 2
        digest_of(tmp_path)
    assert capsys.readouterr().err == f"notice: {tmp_path}: 2 files; passed over: README.md, c.gz, sub\n"
    for number in range(10):
        (tmp_path / f"{number}.md").touch()
    list(sentences(tmp_path, str))
    assert capsys.readouterr().err.endswith("5.md, 6.md, 7.md and 5 more\n")


def test_sentences_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One, two\n\n Three\n")
    (tmp_path / "b.jsonl").write_text('{"supervisions": [{"text": "Four"}, {"text": "Five"}]}\n')
    found = [(s.file.name, s.line, s.text.strip(), s.words) for s in placed(tmp_path, str.lower)]
    assert found == [
        ("a.txt", 1, "One, two", ["one,", "two"]),
        ("a.txt", 3, "Three", ["three"]),
        ("b.jsonl", 1, "Four", ["four"]),
        ("b.jsonl", 1, "Five", ["five"]),
    ]
