"""Six wake words from more than 50 speakers, who are not named; one set `all`, `custom.keyword` has the word.

Read from the layout of https://github.com/Picovoice/wake-word-benchmark (`audio/<keyword>/`) or from one with a
`metadata.tsv` (utt_id, path, keyword). The text is the keyword in words.
"""

from __future__ import annotations

from pathlib import Path

from voxkit.data.corpora.corpus import Corpus, Prepared, Utterance
from voxkit.data.corpora.table import columns_of, read_table
from voxkit.errors import Problems

COLUMNS = ("utt_id", "path", "keyword")


def read(source: Path, problems: Problems) -> Prepared:
    """All recordings as the set `all`."""
    if (source / "metadata.tsv").exists():
        rows = read_table(source / "metadata.tsv", COLUMNS, problems)
        clips = [_clip(row["utt_id"], source / row["path"], row.where, row["keyword"]) for row in rows]
    else:
        files = sorted(path for path in source.glob("audio/*/*") if path.suffix in (".wav", ".flac"))
        named = [(path.parent.name.replace(" ", "_"), path) for path in files]
        clips = [_clip(f"{keyword}-{path.stem}", path, str(path), keyword) for keyword, path in named]
    return Prepared({"all": clips})


def _clip(id: str, path: Path, where: str, keyword: str) -> Utterance:
    return Utterance(id, path, where, text=keyword.replace("_", " "), language="en", custom={"keyword": keyword})


CORPUS = Corpus(
    name="wake_words",
    what="six wake words, more than 50 speakers",
    hours=0.22,
    licence="Apache-2.0",
    megabytes=9,
    origin="https://github.com/Picovoice/wake-word-benchmark",
    markers=(("metadata.tsv",), ("audio/alexa", "audio/view glass")),
    read=read,
    layouts=f"the repository (audio/KEYWORD/), or {columns_of('metadata.tsv', COLUMNS)}",
)
