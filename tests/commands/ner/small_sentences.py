"""Sentences to corrupt, and what corruption leaves as it was."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from voxkit.data.lexicon import Lexicon
from voxkit.data.tagging import Sentence

LETTERS = st.text("abcßäéİOZ'7-.", min_size=1, max_size=6)
TAG = st.sampled_from(["O", "B-city", "I-city", "B-day", "I-day"])
ROWS = st.lists(st.tuples(LETTERS, TAG), max_size=8)
SENTENCE = st.builds(
    lambda rows, id, group: Sentence.of(id, [w for w, _ in rows], [t for _, t in rows], f"x:{id}", group),
    ROWS, st.text("abc", min_size=1, max_size=2), st.sampled_from(["", "music"]),
)  # fmt: skip
SENTENCES = st.lists(SENTENCE, max_size=6)
SHARE = st.sampled_from([0.0, 0.3, 1.0])
SEED = st.integers(0, 3)


def words(sentences: Sequence[Sentence]) -> list[str]:
    return [word for sentence in sentences for word in sentence.words]


def one(text: str, id: str = "1") -> Sentence:
    return Sentence.of(id, text.split(), ["O"] * len(text.split()))


def made(count: int, text: str = "please play some songs") -> list[Sentence]:
    return [one(text, str(number)) for number in range(count)]


def the_words_alone_differ(before: Sequence[Sentence], after: Sequence[Sentence]) -> bool:
    """Whether everything else stays, and texts hold the new words where they say that they do."""
    kept = ("id", "tags", "where", "group")
    return len(before) == len(after) and all(
        [getattr(old, name) for name in kept] == [getattr(new, name) for name in kept]
        and len(old.words) == len(new.words) == len(new.spans)
        and all(word and not any(map(str.isspace, word)) for word in new.words)
        and [new.text[begin:end] for begin, end in new.spans] == list(new.words)
        and new.text == " ".join(new.words)
        for old, new in zip(before, after, strict=True)
    )


def lexicon(**entries: str) -> Lexicon:
    """Words and their pronunciations, which a slash parts."""
    made = Lexicon()
    for word, several in entries.items():
        for phones in several.split("/"):
            made.add(word.replace("_", "-"), tuple(phones.split()))
    return made


SOUNDS = lexicon(
    to="t u", two="t u", too="t u", tooth="t u θ", do="d u", shoe="ʃ u", rome="r o m", roam="r o m", ohm="o m",
    tomb="t u m",
)  # fmt: skip


def said(given: Sequence[str]) -> list[list[str]]:
    """Made-up pronunciations."""
    return [["t", "u"] if word.startswith("t") else [] for word in given]
