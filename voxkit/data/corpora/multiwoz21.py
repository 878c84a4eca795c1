"""MultiWOZ 2.1: dialogues about hotels, trains and the like in Cambridge (Eric et al. 2020, arXiv:1907.01669).

What is read is the official validation part with the annotation of ConvLab-2. Of its dialogues, in the order of their
ids' hashes, train are the first 80 %, dev the next 10 %, test the last 10 %: these are not the official parts. (In the
order of the ids, dev and test would have none of the dialogues that are about several matters.) A line is an utterance,
with the endings of verbs and the punctuation joined to the words. Short utterances of dev and test are in train too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxkit.data.corpora.corpus import TextCorpus
from voxkit.data.corpora.lm_text import Texts, found_files, one_line, records, shares, untokenised
from voxkit.errors import Problems

NAMES = {"dialogues": ("val.jsonl",)}
SHARE = 0.1  # of dev and of test, of the dialogues

Dialogue = dict[str, Any]


def read(source: Path, problems: Problems) -> Texts:
    """The utterances of the three parts, and those of the users alone (`user_train` ...)."""
    parts = divided(dialogues(source, problems))
    both = {part: [text for one in several for text in utterances(one)] for part, several in parts.items()}
    users = {part: [text for one in several for text in utterances(one, "user")] for part, several in parts.items()}
    return {**both, **{f"user_{part}": lines for part, lines in users.items()}}


def dialogues(source: Path, problems: Problems) -> list[Dialogue]:
    """All dialogues that are well formed, sorted by id."""
    return records(files(source)[0], "dialogue_id", "log", "text", problems)


def divided(dialogues: Sequence[Dialogue]) -> Mapping[str, Sequence[Dialogue]]:
    """The dialogues as train, dev and test; a dialogue's part hardly changes when others are added."""
    mixed = sorted(dialogues, key=lambda one: hashlib.sha256(one["dialogue_id"].encode()).digest())
    return shares(mixed, SHARE, SHARE)


def utterances(dialogue: Dialogue, who: str = "both") -> list[str]:
    """The texts of the turns.

    Args:
        who: "user", "system" or "both"; users begin, and the turns alternate.
    """
    turns = {"user": slice(0, None, 2), "system": slice(1, None, 2), "both": slice(None)}[who]
    texts = (one_line(untokenised(one_line(turn["text"]))) for turn in dialogue["log"][turns])
    return [text for text in texts if text]


def files(source: Path) -> list[Path]:
    """The files that are read."""
    return list(found_files(source, NAMES).values())


CORPUS = TextCorpus(
    name="multiwoz21",
    what="text: dialogues about hotels, restaurants, trains; 0.2 million words, English",
    licence="MIT",
    megabytes=1,
    origin="https://github.com/thu-coai/ConvLab-2 (data/multiwoz)",
    markers=(("val.jsonl*",),),
    files=files,
    read=read,
    layouts='val.jsonl, which may be gzipped ({"dialogue_id", "log": [{"text"}]} a line)',
)
