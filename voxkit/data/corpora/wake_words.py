"""Six wake words from more than 50 speakers, who are not named; one set `all`, `custom.keyword` has the word.

Read from a folder with a `metadata.tsv` (utt_id, path, keyword). The text is the keyword in words.
"""

from __future__ import annotations

from pathlib import Path

from voxkit.data.corpora.corpus import Corpus, Utterance
from voxkit.data.corpora.table import Row, single_set


def _clip(source: Path, row: Row) -> Utterance:
    keyword = row["keyword"]
    text = keyword.replace("_", " ")
    return Utterance(
        row["utt_id"], source / row["path"], row.where, text=text, language="en", custom={"keyword": keyword}
    )


CORPUS = Corpus(
    name="wake_words",
    what="six wake words, more than 50 speakers",
    hours=0.22,
    licence="Apache-2.0",
    megabytes=9,
    origin="https://github.com/Picovoice/wake-word-benchmark",
    markers=(("metadata.tsv", "flac"),),
    read=single_set("metadata.tsv", ("utt_id", "path", "keyword"), _clip),
)
