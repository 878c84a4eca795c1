"""Sentences of a text, spoken: what is chosen, parts, lexicon."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from voxkit.config import build
from voxkit.data.corpora import mini_speech, spoken
from voxkit.data.corpora.mini import PARTS
from voxkit.data.corpora.spoken_config import SpokenConfig
from voxkit.data.manifests import read_lines
from voxkit.errors import DataError, UserError

ODD = "Stra\u00dfe\t\u00e9 or a\u0142, $20!\n"
TRAIN = f"I need a train.\nWhere is it?\nI need 3 rooms.\nIt's in the U.S., isn't it?\n{ODD}"
HOURS = ("train_hours=0.004", "dev_hours=1", "test_hours=1", "dialects=[en-us,en-gb]", "variants=[f1,m1,m2,m3]")


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, list[str]]:
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")
    contents = {
        "train": TRAIN,
        "dev": "Where is the bus?\nWHERE IS IT\nwhere is the bus\n",
        "test": "Where is the bus?\nThe taxi left.\n" + "so " * 30,
        "lexicon": "hospital 4 hospitals\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    return {name: [str(tmp_path / name)] for name in contents}


def config(texts: dict[str, list[str]], *sets: str) -> SpokenConfig:
    return build(SpokenConfig, sets=[*HOURS, *sets], texts=texts)


def read(texts: dict[str, list[str]], folder: Path, *sets: str) -> spoken.Texts:
    with spoken.LeftOut(folder / "left_out.tsv") as left_out:
        return spoken.read(config(texts, *sets), left_out, folder / "out" / "left_out.tsv")


def table(folder: Path) -> list[list[str]]:
    return [line.split("\t") for line in (folder / "left_out.tsv").read_text(encoding="utf-8").splitlines()]


def supervisions(folder: Path, part: str) -> list[dict[str, Any]]:
    return [line.data["supervisions"][0] for line in read_lines([folder / f"cuts_{part}.jsonl.gz"]) if line.data]


def test_what_is_spoken(
    texts: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mini_speech, "CHUNK", 4)
    out = tmp_path / "out"
    out.mkdir()
    sizes = spoken.prepare(config(texts), out, out, 1)
    parts = {part: supervisions(out, part) for part in PARTS}
    known = {"I NEED A TRAIN", "WHERE IS IT", "IT'S IN THE U S ISN'T IT"}
    assert {s["text"] for s in parts["train"]} == known  # the short text comes again, in other voices
    assert len(parts["train"]) > len(known)
    assert sizes["train"][1] == pytest.approx(0.004 * 3600, abs=4)
    assert [s["text"] for s in parts["dev"]] == ["WHERE IS THE BUS"]  # not what train has, nothing twice
    assert [s["text"] for s in parts["test"]] == ["THE TAXI LEFT"]  # not what dev has, not the long one
    assert (out / "text_train.txt").read_text().splitlines() == [
        "I NEED A TRAIN", "WHERE IS IT", "IT'S IN THE U S ISN'T IT",
    ]  # fmt: skip
    voices = {part: {s["custom"]["variant"] for s in items} for part, items in parts.items()}
    assert not voices["train"] & (voices["dev"] | voices["test"])
    lexicon = {line.split()[0] for line in (out / "lexicon.txt").read_text().splitlines()}
    said = {word for items in parts.values() for s in items for word in s["text"].split()}
    assert lexicon >= said | {"HOSPITAL", "HOSPITALS", "SO", "ROOMS"}
    assert not lexicon & {"3", "4", "20", "A\u0141", "\u00c9"}
    told = capsys.readouterr().err
    number = len(parts["train"])
    (hours, rest), *_ = re.findall(r"^train: about (.*) h will be spoken, (.*)", told, re.MULTILINE)
    assert float(hours) * 3600 == pytest.approx(sizes["train"][1], rel=0.15)
    assert rest == (
        f"{number} utterances: 3 different sentences again and again, each about {number / 3:.3g} times "
        "(train_hours=0.004; --set train_hours=HOURS changes that)"
    )
    assert "all 1 different sentences, each once (the text has no more for dev_hours=1; --set dev_hours=HOURS" in told
    assert f"all are in {out / 'left_out.tsv'}" in told
    assert [row[1].rpartition("/")[2] for row in table(out)[1:]] == [
        "train:3", "train:5", "dev:2", "test:1", "test:3", "lexicon:1",
    ]  # fmt: skip


def test_what_is_left_out_is_listed(
    texts: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = read(texts, tmp_path)
    (train,), (dev,), (test,), (lexicon,) = (texts[part] for part in (*PARTS, "lexicon"))
    assert table(tmp_path) == [
        ["part", "where", "reason", "sentence"],
        ["train", f"{train}:3", "not of letters: 3", "I need 3 rooms."],
        ["train", f"{train}:5", "not of letters: \u00c9, A\u0141, 20", "Stra\u00dfe \u00e9 or a\u0142, $20!"],
        ["dev", f"{dev}:2", "in train too", "WHERE IS IT"],
        ["test", f"{test}:1", "in dev too", "Where is the bus?"],
        ["test", f"{test}:3", "too long: 30 words, longest=20", " ".join(["so"] * 30)],
        ["lexicon", f"{lexicon}:1", "not of letters: 4", "hospital 4 hospitals"],
    ]
    notices = capsys.readouterr().err.splitlines()
    assert [notice.partition(":")[0] for notice in notices] == ["train", "dev", "test", "lexicon"]
    assert notices[2] == (
        f"test: 2 of 3 sentences are left out (1 in dev too, 1 too long): {test}:1 (in dev too), "
        f"{test}:3 (too long: 30 words, longest=20); all are in {tmp_path / 'out' / 'left_out.tsv'}"
    )
    assert {part: len(lines) for part, lines in found.sentences.items()} == {"train": 3, "dev": 3, "test": 3}
    assert {part: len(lines) for part, lines in found.chosen.items()} == {"train": 3, "dev": 1, "test": 1}
    read(texts, tmp_path, "longest=30")
    assert "too long" not in capsys.readouterr().err


def test_the_first_that_are_left_out_are_told(
    texts: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = tmp_path / "many"
    many.write_text("good\n" + "".join(f"{number}\n" for number in range(100)))
    read({**texts, "train": [str(many)]}, tmp_path)
    told = capsys.readouterr().err.splitlines()[0]
    assert told.startswith("train: 100 of 101 sentences are left out (100 not of letters): ")
    assert told.count(f"{many}:") == 3
    assert f"{many}:4 (not of letters: 2), ...; all are in " in told
    assert len([row for row in table(tmp_path) if row[0] == "train"]) == 100


def test_accents_are_spoken(texts: dict[str, list[str]], tmp_path: Path) -> None:
    accented = tmp_path / "accented"
    accented.write_text("The caf\u00e9 is closed\nthe cafe\u0301 is na\u00efve\n", encoding="utf-8")
    for name in ("asr_en", "lower"):
        found = read({**texts, "train": [str(accented)]}, tmp_path, f"normaliser={name}", "longest=30")
        assert [line[1].lower() for line in found.sentences["train"]] == ["caf\u00e9"] * 2
    out = tmp_path / "out"
    out.mkdir()
    spoken.prepare(config({**texts, "train": [str(accented)]}), out, out, 1)
    lines = [line.split() for line in (out / "lexicon_en-us.txt").read_text(encoding="utf-8").splitlines()]
    assert [line[2:] for line in lines if line[0] == "CAF\u00c9"] == [["k", "\u00e6", "f", "e\u026a"]]
    assert {s["text"] for s in supervisions(out, "train")} == {"THE CAF\u00c9 IS CLOSED", "THE CAF\u00c9 IS NA\u00cfVE"}


def test_how_much_of_a_long_text_is_told(
    texts: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "long").write_text("".join(f"{'so ' * number} it is\n" for number in range(18)))
    settings = config({**texts, "dev": [str(tmp_path / "long")]}, "dev_hours=0.0005", "train_hours=0.0003")
    spoken.prepare(settings, out, out, 1)
    told = capsys.readouterr().err
    number = len(supervisions(out, "dev"))
    assert 1 <= number < 18
    assert (
        f"h will be spoken, {number} utterances: {number} of 18 different sentences, each once (dev_hours=0.0" in told
    )


def test_the_same_from_the_same_seed(texts: dict[str, list[str]], tmp_path: Path) -> None:
    found = read(texts, tmp_path)
    first, again, other = (spoken.plan(config(texts, f"seed={seed}"), found) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_bad_texts(texts: dict[str, list[str]], tmp_path: Path) -> None:
    (tmp_path / "numbers").write_text("1 2 3\n")
    (tmp_path / "latin").write_bytes("so\ncaf\u00e9\n".encode("latin-1"))
    with pytest.raises(UserError, match="no text of dev, test"):
        read({"train": texts["train"]}, tmp_path)
    with pytest.raises(UserError, match=r"no sentence of test can be spoken.*numbers:1 \(not of letters: 1, 2, 3\)"):
        read({**texts, "test": [str(tmp_path / "numbers")]}, tmp_path)
    assert not (tmp_path / "left_out.tsv").exists()
    with pytest.raises(DataError, match=r"latin:2  caf\ufffd  not UTF-8") as caught:
        read({**texts, "dev": [str(tmp_path / "latin")]}, tmp_path)
    assert caught.value.fix == "mend the lines above"  # there is no --max-bad
    with pytest.raises(UserError, match=r"no sentence of test is left to speak: .*in train too"):
        read({**texts, "test": texts["train"]}, tmp_path)
    with pytest.raises(UserError, match="texts"):
        config({**texts, "tset": texts["test"]})
