"""CMU AN4: spelled words, numbers and control words over a close-talking microphone; official train and test parts.

Read from the layout of https://github.com/cmusphinx/an4 (`etc/`, `wav/`) or from one with `train.tsv` and `test.tsv`
(utt_id, path, speaker, gender, duration_s, text).

Beside the official parts there is `dev` for tuning: 8 of the 74 training speakers, so that no speaker is in both, and
`train_tune`, the rest. The speakers are taken evenly from the alphabetical lists of the women and of the men, in the
numbers that keep the proportion of the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from voxkit.data.corpora.corpus import Archive, Corpus, Prepared, Utterance
from voxkit.data.corpora.table import columns_of, read_lines, read_table
from voxkit.errors import Problems

DEV_SPEAKERS = 8
GENDERS = {"f": "female", "m": "male"}
COLUMNS = ("utt_id", "path", "speaker", "text")


def read(source: Path, problems: Problems) -> Prepared:
    """All parts, `lexicon.txt` (WORD phones..., one line a variant) and the training texts."""
    if (source / "train.tsv").exists():
        train, test = (list(_from_table(source, part, problems)) for part in ("train", "test"))
        dictionary = source / "an4.dic"
    else:
        train, test = (list(_from_sphinx(source, part, problems)) for part in ("train", "test"))
        dictionary = source / "etc" / "an4.dic"
    held_out = dev_speakers({str(utterance.speaker) for utterance in train}, DEV_SPEAKERS)
    tune = [utterance for utterance in train if utterance.speaker not in held_out]
    dev = [utterance for utterance in train if utterance.speaker in held_out]
    return Prepared(
        {"train": train, "test": test, "train_tune": tune, "dev": dev},
        {
            "lexicon.txt": lexicon(read_lines(dictionary), str(dictionary), problems),
            "text_train.txt": _texts(train),
            "text_train_tune.txt": _texts(tune),
        },
    )


def dev_speakers(speakers: set[str], count: int) -> set[str]:
    """`count` speakers taken evenly from the sorted women (`f...`) and men (`m...`), in proportion."""
    women = sorted(speaker for speaker in speakers if speaker.startswith("f"))
    men = sorted(speakers - set(women))
    of_women = round(count * len(women) / max(len(speakers), 1))
    return set(_evenly(women, of_women)) | set(_evenly(men, count - of_women))


def _evenly(items: Sequence[str], count: int) -> list[str]:
    """The middle of each of `count` equal blocks."""
    return [items[(2 * block + 1) * len(items) // (2 * count)] for block in range(min(count, len(items)))]


def lexicon(lines: Sequence[str], where: str, problems: Problems) -> str:
    """The Sphinx dictionary `WORD(2)  PH ON ES` as lines `WORD PH ON ES`, without doubles and sentence marks."""
    entries: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        word, *phones = line.split() or [""]
        word = re.sub(r"\(\d+\)$", "", word)
        if word and not phones:
            problems.add("broken line", f"{where}:{number}", word, "a word without phones", "add its pronunciation")
        elif word and not word.startswith("<"):
            entries[" ".join([word, *phones])] = None
    return "".join(f"{entry}\n" for entry in entries)


def _texts(utterances: Sequence[Utterance]) -> str:
    return "".join(f"{utterance.text}\n" for utterance in utterances)


def _from_table(source: Path, part: str, problems: Problems) -> Iterator[Utterance]:
    for row in read_table(source / f"{part}.tsv", COLUMNS, problems):
        yield _utterance(row["utt_id"], source / row["path"], row.where, row["speaker"], row["text"])


def _from_sphinx(source: Path, part: str, problems: Problems) -> Iterator[Utterance]:
    """`etc/an4_<part>.fileids` gives the paths, the transcription file beside it `<s> TEXT </s> (utt-id)`."""
    transcription = source / "etc" / f"an4_{part}.transcription"
    texts: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(read_lines(transcription), start=1):
        found = re.fullmatch(r"(?:<s>)?\s*(.*?)\s*(?:</s>)?\s*\((\S+)\)\s*", line)
        if found:
            texts[found[2]] = (found[1], f"{transcription}:{number}")
        elif line.strip():
            problems.add(
                "broken line", f"{transcription}:{number}", f"{transcription.name}:{number}",
                "not of the form `TEXT (utt-id)`", "restore the line from the source",
            )  # fmt: skip
    fileids = source / "etc" / f"an4_{part}.fileids"
    for number, line in enumerate(read_lines(fileids), start=1):
        if not line.strip():
            continue
        name = Path(line.strip())
        if name.name not in texts:
            problems.add(
                "no transcript", f"{fileids}:{number}", name.name, f"not in {transcription.name}", "add its transcript"
            )
            continue
        text, where = texts[name.name]
        yield _utterance(name.name, source / "wav" / f"{name}.wav", where, name.parent.name, text)


def _utterance(id: str, path: Path, where: str, speaker: str, text: str) -> Utterance:
    return Utterance(
        id, path, where, text=text, speaker=speaker, gender=GENDERS.get(speaker[:1]), language="en",
    )  # fmt: skip


CORPUS = Corpus(
    name="an4",
    what="spelled words, numbers and commands, 84 speakers",
    hours=0.81,
    licence="AN4 License Terms (BSD style)",
    megabytes=42,
    origin="https://github.com/cmusphinx/an4",
    markers=(("train.tsv", "test.tsv", "an4.dic"), ("etc/an4_train.fileids", "etc/an4.dic", "wav/an4_clstk")),
    read=read,
    layouts=f"the repository (etc/, wav/), or an4.dic, train.tsv and {columns_of('test.tsv', COLUMNS)}",
    archive=Archive(
        url="https://github.com/cmusphinx/an4/archive/b567d132f43304e70a2b2eca6077f22255311812.tar.gz",
        tree="ef14a568c1f46f4d2b9ce24e178c9c18ff4fe5c9",
    ),
)
