"""Reading and rewriting pronunciations of several files: what is wrong is told together."""

import json
from pathlib import Path

import pytest

from voxkit.commands.g2p.command import PhoneConfig
from voxkit.commands.g2p.material import read, rewritten
from voxkit.data.pronunciations import Pronunciation
from voxkit.errors import DataError

DROP = PhoneConfig(length="drop")


def pronunciation(line: int, *phones: str) -> Pronunciation:
    return Pronunciation("a", phones, "one", f"w.tsv:{line}")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Two files of two rows, of which the second is bad."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"fine\tf i n\nalone\t\t{name}\n")
    return [f"{name}={tmp_path / name}" for name in ("one", "two")]


def test_bad_rows_of_all_files_are_told_at_once(files: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 of 4 items") as caught:
        read(files, 0.4, tmp_path / "rejected.jsonl")
    assert [problem.where for problem in caught.value.problems] == [f"{tmp_path / name}:2" for name in ("one", "two")]
    assert not (tmp_path / "rejected.jsonl").exists()


def test_one_list_of_what_is_left_out(files: list[str], tmp_path: Path) -> None:
    items = read(files, 0.5, tmp_path / "rejected.jsonl")
    assert [(item.word, item.language) for item in items] == [("fine", "one"), ("fine", "two")]
    assert len((tmp_path / "rejected.jsonl").read_text().splitlines()) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", "rejected.jsonl"}


def test_a_bad_row_may_be_most_of_a_small_file(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "three").write_text("".join(f"w{number}\tx\n" for number in range(16)))
    (tmp_path / "two").write_text("alone\t\n")
    assert len(read([*files, str(tmp_path / "three")], 0.2)) == 17


def test_all_pronunciations_of_which_nothing_is_left_are_told_at_once(tmp_path: Path) -> None:
    items = [pronunciation(1, "ː"), pronunciation(2, "a"), pronunciation(3, "ː", "ː")]
    with pytest.raises(DataError, match="2 of 3 items") as caught:
        rewritten(items, DROP, 0.5)
    assert [problem.where for problem in caught.value.problems] == ["w.tsv:1", "w.tsv:3"]
    assert rewritten(items, DROP, 0.7, tmp_path / "rejected.jsonl") == items[1:2]
    told = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert [one["what"] for one in told] == ["nothing of 'ː' is a phone", "nothing of 'ː ː' is a phone"]
