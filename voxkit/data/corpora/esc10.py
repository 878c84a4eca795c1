"""ESC-10: environmental sounds, 10 classes of 40 clips, in 5 official folds (K. J. Piczak, ACM MM 2015).

One set `all`; `custom` has class, class_id and fold: hold out one fold at a time (cross-validation), or train on folds
1 to 4 and test on 5. It also has the licence, author and address of each clip, which its licence asks to keep.
Read from a folder with a `metadata.tsv` (clip_id, path, fold, class_id, class, licence, author, source_url).
"""

from __future__ import annotations

from pathlib import Path

from voxkit.data.corpora.corpus import Corpus, Prepared, Utterance
from voxkit.data.corpora.table import read_table
from voxkit.errors import Problems

COLUMNS = ("clip_id", "path", "fold", "class_id", "class", "licence", "author", "source_url")


def read(source: Path, problems: Problems) -> Prepared:
    """All clips as the set `all`."""
    clips = []
    for row in read_table(source / "metadata.tsv", COLUMNS, problems):
        if not (row["fold"].isdecimal() and 1 <= int(row["fold"]) <= 5 and row["class_id"].isdecimal()):
            problems.add(
                "broken line", row.where, row["clip_id"], f"fold {row['fold']}, class_id {row['class_id']}",
                "a fold is 1 to 5 and a class id a number",
            )  # fmt: skip
            continue
        custom = {key: row[key] for key in ("class", "licence", "author", "source_url")}
        numbers = {key: int(row[key]) for key in ("class_id", "fold")}
        clips.append(Utterance(row["clip_id"], source / row["path"], row.where, custom={**custom, **numbers}))
    return Prepared({"all": clips})


CORPUS = Corpus(
    name="esc10",
    what="environmental sounds, 10 classes, 5 folds",
    hours=0.56,
    licence="CC BY (clips: CC0, CC BY, Sampling+)",
    megabytes=35,
    origin="https://github.com/karolpiczak/ESC-10",
    markers=(("metadata.tsv", "flac"),),
    read=read,
)
