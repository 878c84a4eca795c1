"""GermEval 2014: named entities in German news and Wikipedia (Benikova et al. 2014, LREC).

The outer entities are taken; those nested in others, the fourth column, are left out. The parts are the official ones.
Where NER-de-train.tsv is missing, the sentences of NER-de-dev.tsv are divided 70 : 10 : 20 by their hash.
"""

from __future__ import annotations

from pathlib import Path

from voxkit.data.corpora.corpus import TaggedCorpus
from voxkit.data.corpora.division import part_of
from voxkit.data.corpora.lexical import PARTS
from voxkit.data.corpora.tagged import Parts, first_files, read_columns
from voxkit.data.tagging import Sentence
from voxkit.errors import Problems
from voxkit.progress import say

NAMES = {part: (f"NER-de-{part}.tsv",) for part in PARTS}


def read(source: Path, problems: Problems) -> Parts:
    """The official parts that are there, or those that the dev part is divided into."""
    found = first_files(source, NAMES)
    if "train" in found:
        return {part: read_columns(path, part, problems) for part, path in found.items()}
    say(f"notice: {source} has no NER-de-train.tsv: NER-de-dev.tsv is divided, which is not the official division")
    parts: dict[str, list[Sentence]] = {part: [] for part in PARTS}
    for sentence in read_columns(found["dev"], "dev", problems):
        parts[part_of(" ".join(sentence.words), dev_share=0.1, test_share=0.2)].append(sentence)
    return parts


def files(source: Path) -> list[Path]:
    """The files that are read."""
    found = first_files(source, NAMES)
    return list(found.values()) if "train" in found else [found["dev"]]


CORPUS = TaggedCorpus(
    name="germeval2014",
    what="named entities: news and Wikipedia, 12 types, German",
    licence="CC BY 4.0",
    megabytes=11,
    origin="https://sites.google.com/site/germeval2014ner",
    markers=(("NER-de-train.tsv*", "NER-de-dev.tsv*"), ("NER-de-dev.tsv*",)),
    files=files,
    read=read,
    layouts="NER-de-train.tsv, NER-de-dev.tsv and NER-de-test.tsv, or the second alone, which may be gzipped (number, "
    "word, outer tag, nested tag)",
)
