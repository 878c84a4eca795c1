"""Topical-Chat: conversations about eight topics (Gopalakrishnan et al. 2019, doi:10.21437/Interspeech.2019-3079).

Read are three of its five official parts. Test is test_freq. Train is valid_rare and the first 80 % of valid_freq's
conversations, sorted by id; dev is the rest of valid_freq: these are not the official parts. A line is a message. Short
messages of dev and test are in train too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxkit.data.corpora.corpus import TextCorpus
from voxkit.data.corpora.lm_text import Texts, found_files, one_line, records, shares
from voxkit.errors import Problems

PARTS = ("valid_rare", "valid_freq", "test_freq")
NAMES = {part: (f"{part}.jsonl", f"conversations/{part}.jsonl") for part in PARTS}
SHARE = 0.2  # of dev, of the conversations of valid_freq

Conversation = dict[str, Any]


def read(source: Path, problems: Problems) -> Texts:
    """The messages of the three parts."""
    parts = divided({part: conversations(path, problems) for part, path in _found(source).items()})
    return {part: [text for one in several for text in messages(one)] for part, several in parts.items()}


def conversations(path: Path, problems: Problems) -> list[Conversation]:
    """The conversations of a file that are well formed, sorted by id."""
    return records(path, "conversation_id", "content", "message", problems)


def divided(official: Mapping[str, Sequence[Conversation]]) -> Mapping[str, Sequence[Conversation]]:
    """The official parts as train, dev and test."""
    frequent = shares(official["valid_freq"], SHARE, 0)
    return {
        "train": [*official["valid_rare"], *frequent["train"]],
        "dev": frequent["dev"],
        "test": official["test_freq"],
    }


def messages(conversation: Conversation) -> list[str]:
    """The texts of a conversation."""
    return [text for turn in conversation["content"] if (text := one_line(turn["message"]))]


def _found(source: Path) -> dict[str, Path]:
    return found_files(source, NAMES)


def files(source: Path) -> list[Path]:
    """The files that are read."""
    return list(_found(source).values())


CORPUS = TextCorpus(
    name="topical_chat",
    what="text: conversations about eight topics; 0.7 million words, English",
    licence="CDLA-Sharing-1.0",
    megabytes=5,
    origin="https://github.com/alexa/Topical-Chat (conversations)",
    markers=tuple(tuple(f"{names[way]}*" for names in NAMES.values()) for way in (0, 1)),
    files=files,
    read=read,
    layouts="the repository, or valid_rare.jsonl, valid_freq.jsonl and test_freq.jsonl, which may be gzipped "
    '({"conversation_id", "content": [{"message"}]} a line)',
)
