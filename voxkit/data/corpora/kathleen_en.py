"""Kathleen: one US English speaker reads CMU ARCTIC prompts; the last 20 lines are the test part.

Read from a folder with a `metadata.tsv` (utt_id, path, speaker, text). The text keeps its case and punctuation.
"""

from __future__ import annotations

from pathlib import Path

from voxkit.data.corpora.corpus import Corpus, Prepared, Utterance
from voxkit.data.corpora.table import read_table
from voxkit.errors import Problems

TEST_LINES = 20


def read(source: Path, problems: Problems) -> Prepared:
    """The parts `train` and `test`, in the order of the table."""
    utterances = [
        Utterance(
            row["utt_id"],
            source / row["path"],
            row.where,
            text=row["text"],
            speaker=row["speaker"],
            gender="female",
            language="en-US",
        )
        for row in read_table(source / "metadata.tsv", ("utt_id", "path", "speaker", "text"), problems)
    ]
    return Prepared({"train": utterances[:-TEST_LINES], "test": utterances[-TEST_LINES:]})


CORPUS = Corpus(
    name="kathleen_en",
    what="read prompts of one US English speaker, 22 kHz",
    hours=0.18,
    licence="CC0 1.0",
    megabytes=15,
    origin="https://github.com/rhasspy/dataset-voice-kathleen",
    markers=(("metadata.tsv", "flac"),),
    read=read,
)
