"""ESC-10: environmental sounds, 10 classes of 40 clips, in 5 official folds (K. J. Piczak, ACM MM 2015).

One set `all`; `custom` has class, class_id and fold: hold out one fold at a time (cross-validation), or train on folds
1 to 4 and test on 5. Read from one of

- ESC-50, of which it is a part now (https://github.com/karolpiczak/ESC-50: `meta/esc50.csv`, `audio/`),
- the earlier ESC-10 (`001 - Dog bark/1-100032-A.ogg`, where 1 is the fold),
- a folder with a `metadata.tsv` (clip_id, path, fold, class_id, class, licence, author, source_url); `custom` then also
  has the licence, author and address of each clip, which its licence asks to keep (ESC-50 lists them in LICENSE).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from voxkit.data.corpora.corpus import Corpus, Prepared, Utterance
from voxkit.data.corpora.table import columns_of, read_lines, read_table
from voxkit.errors import Problems, UserError

COLUMNS = ("clip_id", "path", "fold", "class_id", "class", "licence", "author", "source_url")
CLASSES = {  # by id: the class, and what ESC-50 calls it
    "dog_bark": "dog",
    "rain": "rain",
    "sea_waves": "sea_waves",
    "baby_cry": "crying_baby",
    "clock_tick": "clock_tick",
    "person_sneeze": "sneezing",
    "helicopter": "helicopter",
    "chainsaw": "chainsaw",
    "rooster": "rooster",
    "fire_crackling": "crackling_fire",
}
ESC50 = "meta/esc50.csv"


def read(source: Path, problems: Problems) -> Prepared:
    """All clips as the set `all`."""
    if (source / "metadata.tsv").exists():
        clips = _from_table(source, problems)
    elif (source / ESC50).exists():
        clips = _from_esc50(source, problems)
    else:
        clips = _from_folders(source, problems)
    return Prepared({"all": list(clips)})


def _from_table(source: Path, problems: Problems) -> Iterator[Utterance]:
    for row in read_table(source / "metadata.tsv", COLUMNS, problems):
        if _is_fold(row["fold"]) and row["class_id"].isdecimal():
            origin = {key: row[key] for key in ("licence", "author", "source_url")}
            known = _known(row["class"], int(row["class_id"]), row["fold"])
            yield Utterance(row["clip_id"], source / row["path"], row.where, custom={**known, **origin})
        else:
            problems.add(
                "broken line", row.where, row["clip_id"], f"fold {row['fold']}, class_id {row['class_id']}",
                "a fold is 1 to 5 and a class id a number",
            )  # fmt: skip


def _from_esc50(source: Path, problems: Problems) -> Iterator[Utterance]:
    table = source / ESC50
    ids = {name: number for number, name in enumerate(CLASSES.values())}
    for number, row in enumerate(csv.DictReader(read_lines(table)), start=2):
        missing = [column for column in ("filename", "fold", "category", "esc10") if row.get(column) is None]
        if missing:
            raise UserError(f"{table}:{number}: no {', '.join(missing)}", fix="restore the file from the source")
        if row["esc10"] == "True":
            where, path = f"{table}:{number}", source / "audio" / row["filename"]
            if row["category"] in ids and _is_fold(row["fold"]):
                class_id = ids[row["category"]]
                yield Utterance(path.stem, path, where, custom=_known(list(CLASSES)[class_id], class_id, row["fold"]))
            else:
                what = f"fold {row['fold']}, category {row['category']}"
                problems.add("broken line", where, path.stem, what, "restore the line from the source")


def _from_folders(source: Path, problems: Problems) -> Iterator[Utterance]:
    for class_id, name in enumerate(CLASSES):
        for path in sorted(source.glob(f"{class_id + 1:03d} - */*.ogg")):
            if _is_fold(path.stem.partition("-")[0]):
                yield Utterance(path.stem, path, str(path), custom=_known(name, class_id, path.stem[0]))
            else:
                problems.add("broken id", str(path), path.stem, "does not begin with a fold, 1 to 5", "rename it")


def _is_fold(text: str) -> bool:
    return text in ("1", "2", "3", "4", "5")


def _known(name: str, class_id: int, fold: str) -> dict[str, str | int]:
    return {"class": name, "class_id": class_id, "fold": int(fold)}


CORPUS = Corpus(
    name="esc10",
    what="environmental sounds, 10 classes, 5 folds",
    hours=0.56,
    licence="CC BY (clips: CC0, CC BY, Sampling+)",
    megabytes=35,
    origin="https://github.com/karolpiczak/ESC-50",
    markers=(("metadata.tsv",), (ESC50, "audio"), ("001 - Dog bark", "010 - Fire crackling")),
    read=read,
    layouts=f"the repository (meta/, audio/), the earlier ESC-10, or {columns_of('metadata.tsv', COLUMNS)}",
)
