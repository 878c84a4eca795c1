"""Corpora of text: sentences of prose, small made-up copies of their layouts, and the corpora where they are."""

from __future__ import annotations

import doctest
import gzip
import json
import os
from pathlib import Path

import pytest

from voxkit.data.corpora import (
    lm_text,
    multiwoz21,
    source,
    tinyshakespeare,
    topical_chat,
    war_and_peace,
    wikitext2,
)
from voxkit.data.corpora.registry import TEXTS
from voxkit.errors import DataError, Problems, UserError


def test_examples_in_docstrings() -> None:
    result = doctest.testmod(lm_text)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. No met Mrs. J. R. Smith. She left.", ["Dr. No met Mrs. J. R. Smith.", "She left."]),
        ("It was 3.5 kg. 5 more came.", ["It was 3.5 kg.", "5 more came."]),
        ('"Go!" he said. "Why?" (Because.) So.', ['"Go!" he said.', '"Why?"', "(Because.)", "So."]),
        ("well... then. no", ["well... then. no"]),
        ("At 5 p.m. He came.", ["At 5 p.m. He came."]),
        ("", []),
    ],
)
def test_sentences_of_prose(text: str, expected: list[str]) -> None:
    assert lm_text.split(text) == expected


def test_nothing_is_lost_in_splitting() -> None:
    text = "A b. C d! \u201cE?\u201d F \u2026 G. H"
    assert " ".join(lm_text.split(text)) == text


def test_war_and_peace(tmp_path: Path) -> None:
    head, tail = "by Leo Tolstoy\nProject Gutenberg\nCONTENTS\n", "under the Project Gutenberg License\nWe ask.\n"
    body = "CHAPTER I\n\u201cWell, Prince. I\nsee.\u201d He\n\nsaid so.\nBOOK TWO: 1805\nEND"
    for name in ("wap.train.txt", "wap.valid.txt", "wap.test.txt.gz"):
        data = f"{head}{body} of {name}.\n{tail}".encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert source.locate(war_and_peace.CORPUS, tmp_path) == tmp_path
    parts = war_and_peace.read(tmp_path, Problems())
    assert list(parts) == ["train", "dev", "test"]
    assert parts["test"] == ["\u201cWell, Prince.", "I see.\u201d", "He said so.", "END of wap.test.txt.gz."]
    assert war_and_peace.files(tmp_path)[0].name == "wap.train.txt"


def test_tinyshakespeare() -> None:
    lines = ["All:", "Speak,", "and thus:", "speak. Go!", "", "and half", "a speech.", "", "Me:"]
    assert tinyshakespeare.sentences(lines) == ["Speak, and thus: speak.", "Go!", "and half a speech."]


def test_wikitext2() -> None:
    lines = [
        " ",
        " = Red @-@ tipped = ",
        " ",
        " A <unk> , it 's 1 @.@ 5 . <unk> it . ",
        " = = Use = = ",
        " C . ",
        " = B = ",
        " D ",
    ]
    assert wikitext2.articles(lines) == [["A <unk>, it's 1.5.", "<unk> it.", "C."], ["D"]]


def dialogue(number: int) -> dict[str, object]:
    turns = [f"Hi , I 'm user {number} .", f"I do n't  know\n{number} .", " "]
    return {"dialogue_id": f"D{number}", "log": [{"text": text} for text in turns]}


def test_multiwoz21(tmp_path: Path) -> None:
    text = "".join(json.dumps(dialogue(number)) + "\n" for number in reversed(range(20)))
    (tmp_path / "val.jsonl").write_text(text)
    parts = multiwoz21.read(tmp_path, Problems())
    assert {part: len(lines) for part, lines in parts.items()} == {
        "train": 32, "dev": 4, "test": 4, "user_train": 16, "user_dev": 2, "user_test": 2,
    }  # fmt: skip
    every = sorted(line for part in ("train", "dev", "test") for line in parts[part])
    assert every[:2] == ["Hi, I'm user 0.", "Hi, I'm user 1."]
    assert every[20:22] == ["I don't know 0.", "I don't know 1."]
    assert set(parts["user_dev"]) == {line for line in parts["dev"] if line.startswith("Hi")}
    (tmp_path / "val.jsonl").write_text("".join(reversed(text.splitlines(keepends=True))))
    assert multiwoz21.read(tmp_path, Problems()) == parts


def test_bad_dialogues_are_told(tmp_path: Path) -> None:
    bad = [
        '{"dialogue_id": "a", "log": [{"text": 3}]}',
        '{"log": []}',
        "{",
        '{"dialogue_id": "b"}',
        '{"dialogue_id": 1, "log": 1}',
    ]
    (tmp_path / "val.jsonl").write_text("\n".join([json.dumps(dialogue(1)), *bad]))
    problems = Problems()
    parts = multiwoz21.read(tmp_path, problems)
    assert [problem.where.rpartition(":")[2] for problem in problems] == ["2", "3", "4", "5", "6"]
    with pytest.raises(DataError):
        lm_text.write(parts, tmp_path / "out", problems)
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="5 of 6 items"):  # dialogues, and not their lines
        lm_text.write(parts, tmp_path / "out", problems, max_bad=0.8)
    lm_text.write(parts, tmp_path / "out", problems, max_bad=0.9)
    assert (tmp_path / "out" / "rejected.jsonl").exists()


@pytest.mark.parametrize("folder", [".", "conversations"])
def test_topical_chat(tmp_path: Path, folder: str) -> None:
    for part in topical_chat.PARTS:
        path = tmp_path / folder / f"{part}.jsonl.gz"
        path.parent.mkdir(exist_ok=True)
        items = [{"conversation_id": f"{n}", "content": [{"message": f" {part} {n}  is "}]} for n in range(5)]
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, items)).encode()))
    source.locate(topical_chat.CORPUS, tmp_path)
    parts = topical_chat.read(tmp_path, Problems())
    assert parts["train"] == [f"valid_rare {n} is" for n in range(5)] + [f"valid_freq {n} is" for n in range(4)]
    assert parts["dev"] == ["valid_freq 4 is"]
    assert parts["test"] == [f"test_freq {n} is" for n in range(5)]


def test_missing_files_and_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no wap\.train\.txt"):
        war_and_peace.read(tmp_path, Problems())
    (tmp_path / "input.txt").write_text("")
    with pytest.raises(UserError, match="holds no sentences"):
        tinyshakespeare.read(tmp_path, Problems())
    with pytest.raises(UserError, match="no text"):
        lm_text.write({"train": []}, tmp_path, Problems())


EXPECTED = {  # lines and words of the parts
    "lm_war_and_peace": {"train": (19155, 391241), "dev": (3541, 84129), "test": (3476, 86310)},
    "lm_tinyshakespeare": {"train": (10454, 175778), "dev": (586, 8994), "test": (624, 8056)},
    "lm_wikitext2": {"train": (6974, 161828), "dev": (447, 11266), "test": (371, 9202)},
    "multiwoz21": {"train": (11832, 159226), "dev": (1444, 19042), "test": (1454, 19220)},
    "topical_chat": {"train": (21029, 411719), "dev": (2344, 49007), "test": (11760, 230067)},
}
TURNS = {"multiwoz21": 14730, "topical_chat": 35133}


@pytest.mark.parametrize("name", list(TEXTS))
def test_real_corpora(name: str, tmp_path: Path) -> None:
    if not (Path(os.environ.get("VOXKIT_DATA", "none")) / name).is_dir():
        pytest.skip(f"no {name} in $VOXKIT_DATA")
    problems = Problems()
    parts = TEXTS[name].read(source.locate(TEXTS[name], None), problems)
    assert not problems
    sizes = {part: (len(lines), sum(len(line.split()) for line in lines)) for part, lines in parts.items()}
    assert {part: sizes[part] for part in EXPECTED[name]} == EXPECTED[name]
    assert not any("gutenberg" in line.lower() for lines in parts.values() for line in lines)
    lm_text.write(parts, tmp_path, problems)
    assert (tmp_path / "dev.txt").read_text(encoding="utf-8").splitlines() == list(parts["dev"])
