"""One clip each of 26 speakers of LibriSpeech train-clean-100, without transcripts; one set `all`.

Read from a folder with a `metadata.tsv` (utt_id, path, speaker, gender).
"""

from __future__ import annotations

from pathlib import Path

from voxkit.data.corpora.corpus import Corpus, Utterance
from voxkit.data.corpora.table import Row, columns_of, single_set

COLUMNS = ("utt_id", "path", "speaker", "gender")
GENDERS = {"F": "female", "M": "male"}


def _clip(source: Path, row: Row) -> Utterance:
    gender = GENDERS.get(row["gender"])
    return Utterance(
        row["utt_id"], source / row["path"], row.where, speaker=row["speaker"], gender=gender, language="en"
    )


CORPUS = Corpus(
    name="librispeech_mini",
    what="read speech of 26 speakers, no transcripts",
    hours=0.1,
    licence="CC BY 4.0",
    megabytes=6,
    origin="https://www.openslr.org/12",
    markers=(("metadata.tsv",),),
    read=single_set("metadata.tsv", COLUMNS, _clip),
    layouts=f"clips of your choice with {columns_of('metadata.tsv', COLUMNS)}; `dir` reads audio without a table",
)
