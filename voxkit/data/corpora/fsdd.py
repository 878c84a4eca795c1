"""Free Spoken Digit Dataset: the ten digits, 6 speakers, 50 times each; 0-4 of them are the test part, 5-49 train.

Read from the layout of https://github.com/Jakobovski/free-spoken-digit-dataset (`recordings/`) or from one with a
`metadata.tsv` (utt_id, path, digit, speaker, gender, accent, split). The text is the digit's name in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from voxkit.data.corpora.corpus import Archive, Corpus, Prepared, Utterance
from voxkit.data.corpora.table import columns_of, read_table
from voxkit.errors import Problems

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_TAKES = range(5)
ACCENTS = {  # metadata.py of the source
    "george": "GRC/Greek",
    "jackson": "USA/neutral",
    "lucas": "DEU/German",
    "nicolas": "BEL/French",
    "theo": "USA/neutral",
    "yweweler": "DEU/German",
}
COLUMNS = ("utt_id", "path", "digit", "speaker", "gender", "accent")


def read(source: Path, problems: Problems) -> Prepared:
    """The parts `train` and `test`, by the number of the take as the source has it."""
    table = (source / "metadata.tsv").exists()
    splits: dict[str, list[Utterance]] = {"train": [], "test": []}
    for utterance in _from_table(source, problems) if table else _from_files(source, problems):
        splits["test" if utterance.custom["take"] in TEST_TAKES else "train"].append(utterance)
    return Prepared(splits)


def _from_table(source: Path, problems: Problems) -> Iterator[Utterance]:
    for row in read_table(source / "metadata.tsv", COLUMNS, problems):
        yield from _utterance(source / row["path"], row["utt_id"], row.where, row["gender"], row["accent"], problems)


def _from_files(source: Path, problems: Problems) -> Iterator[Utterance]:
    for path in sorted((source / "recordings").glob("*.wav")):
        speaker = path.stem.split("_")[1] if path.stem.count("_") == 2 else ""
        accent = ACCENTS.get(speaker, "")
        yield from _utterance(path, path.stem, str(path), "male" if accent else "", accent, problems)


def _utterance(path: Path, id: str, where: str, gender: str, accent: str, problems: Problems) -> Iterator[Utterance]:
    found = re.fullmatch(r"(\d)_(\w+)_(\d+)", id)
    if not found:
        problems.add("broken id", where, id, "not of the form digit_speaker_take", "restore the line from the source")
        return
    digit, speaker, take = int(found[1]), found[2], int(found[3])
    custom = {"digit": digit, "take": take, "accent": accent}
    yield Utterance(
        id, path, where, text=DIGITS[digit], speaker=speaker, gender=gender or None, language="en", custom=custom
    )


CORPUS = Corpus(
    name="fsdd",
    what="spoken digits, 6 speakers with 4 accents, 8 kHz",
    hours=0.36,
    licence="CC BY-SA 4.0",
    megabytes=12,
    origin="https://github.com/Jakobovski/free-spoken-digit-dataset",
    markers=(("metadata.tsv", "flac"), ("recordings", "metadata.py")),
    read=read,
    layouts=f"the repository (recordings/), or {columns_of('metadata.tsv', COLUMNS)} and flac/",
    archive=Archive(
        url="https://github.com/Jakobovski/free-spoken-digit-dataset/archive/26eb9aaf76e81b692f806f9140c2d2777410d7a1.tar.gz",
        tree="5919625b70ea7b70366a7f37f3edbdba8919ce42",
    ),
)
