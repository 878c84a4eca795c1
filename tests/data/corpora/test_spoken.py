"""Sentences of a text, spoken: what is chosen, parts, lexicon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voxkit.config import build
from voxkit.data.corpora import mini_speech, spoken
from voxkit.data.corpora.mini import PARTS
from voxkit.data.corpora.spoken_config import SpokenConfig
from voxkit.data.manifests import read_lines
from voxkit.errors import DataError, UserError

TRAIN = "I need a train.\nWhere is it?\nI need 3 rooms.\nIt's in the U.S., isn't it?\nCaf\u00e9, please!\n"
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


def supervisions(folder: Path, part: str) -> list[dict[str, Any]]:
    return [line.data["supervisions"][0] for line in read_lines([folder / f"cuts_{part}.jsonl.gz"]) if line.data]


def test_what_is_spoken(texts: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert not lexicon & {"3", "4", "CAF\u00c9"}


def test_the_same_from_the_same_seed(texts: dict[str, list[str]]) -> None:
    read = spoken.read(config(texts))
    first, again, other = (spoken.plan(config(texts, f"seed={seed}"), read) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_bad_texts(texts: dict[str, list[str]], tmp_path: Path) -> None:
    (tmp_path / "numbers").write_text("1 2 3\n")
    (tmp_path / "latin").write_bytes("so\ncaf\u00e9\n".encode("latin-1"))
    with pytest.raises(UserError, match="no text of dev, test"):
        spoken.read(config({"train": texts["train"]}))
    with pytest.raises(UserError, match=r"no sentence of test can be spoken.*numbers"):
        spoken.read(config({**texts, "test": [str(tmp_path / "numbers")]}))
    with pytest.raises(DataError, match="latin:2"):
        spoken.read(config({**texts, "dev": [str(tmp_path / "latin")]}))
    same = config({**texts, "test": texts["train"]})
    read = spoken.read(same)
    with pytest.raises(UserError, match="no sentence of test is left"):
        spoken.plan(same, read)
    with pytest.raises(UserError, match="texts"):
        config({**texts, "tset": texts["test"]})
