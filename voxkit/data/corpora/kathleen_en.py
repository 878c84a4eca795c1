"""Kathleen: one US English speaker reads CMU ARCTIC prompts; the last 20 are the test part.

Read from the layout of https://github.com/rhasspy/dataset-voice-kathleen (`data/<prompt>_<time>.wav` with a `.txt`
beside it; the newest take of each prompt counts) or from one with a `metadata.tsv` (utt_id, path, speaker, text). The
text keeps its case and punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from voxkit.data.corpora.corpus import Corpus, Prepared, Utterance
from voxkit.data.corpora.table import columns_of, read_lines, read_table
from voxkit.errors import Problems

COLUMNS = ("utt_id", "path", "speaker", "text")
TEST_LINES = 20


def read(source: Path, problems: Problems) -> Prepared:
    """The parts `train` and `test`, in the order of the table or of the prompts."""
    table = (source / "metadata.tsv").exists()
    utterances = list(_from_table(source, problems) if table else _from_files(source, problems))
    return Prepared({"train": utterances[:-TEST_LINES], "test": utterances[-TEST_LINES:]})


def _from_table(source: Path, problems: Problems) -> Iterator[Utterance]:
    for row in read_table(source / "metadata.tsv", COLUMNS, problems):
        yield _utterance(row["utt_id"], source / row["path"], row.where, row["speaker"], row["text"])


def _from_files(source: Path, problems: Problems) -> Iterator[Utterance]:
    takes: dict[str, tuple[int, Path]] = {}
    for path in sorted((source / "data").glob("*.wav")):
        found = re.fullmatch(r"(arctic_[ab]\d{4})_(\d+)", path.stem)
        if found is None:
            problems.add("broken id", str(path), path.stem, "not of the form arctic_a0001_TIME", "restore or remove it")
        else:
            takes[found[1]] = max(takes.get(found[1], (0, path)), (int(found[2]), path))
    for id, (_, path) in sorted(takes.items()):
        prompt = path.with_suffix(".txt")
        if prompt.exists():
            yield _utterance(id, path, str(prompt), "kathleen", " ".join(read_lines(prompt)).strip())
        else:
            problems.add("no transcript", str(path), id, f"no {prompt.name} beside it", "restore it from the source")


def _utterance(id: str, path: Path, where: str, speaker: str, text: str) -> Utterance:
    return Utterance(id, path, where, text=text, speaker=speaker, gender="female", language="en-US")


CORPUS = Corpus(
    name="kathleen_en",
    what="read prompts of one US English speaker, 22 kHz",
    hours=0.18,
    licence="CC0 1.0",
    megabytes=15,
    origin="https://github.com/rhasspy/dataset-voice-kathleen",
    markers=(("metadata.tsv",), ("data", "cmuarctic.data")),
    read=read,
    layouts=f"the repository (data/), or {columns_of('metadata.tsv', COLUMNS)}",
)
