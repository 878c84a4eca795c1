"""GermEval 2014: named entities in German news and Wikipedia (Benikova et al. 2014, LREC).

The outer entities are taken; those nested in others, the fourth column, are left out. The parts are the official ones.
Where NER-de-train.tsv is missing, the sentences of NER-de-dev.tsv are divided by their hash: 90 : 10 into train and dev
if there is NER-de-test.tsv, otherwise 70 : 10 : 20 into train, dev and test.
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
    """The official parts that are there; the dev part is divided into those that there must be and are not."""
    found = first_files(source, NAMES)
    official = {part: read_columns(path, part, problems) for part, path in found.items()}
    if "train" in official:
        return official
    say(f"notice: {source} has no NER-de-train.tsv: NER-de-dev.tsv is divided, which is not the official division")
    parts: dict[str, list[Sentence]] = {part: [] for part in PARTS}
    for sentence in official.pop("dev"):
        test_share = 0.0 if "test" in official else 0.2
        parts[part_of(" ".join(sentence.words), dev_share=0.1, test_share=test_share)].append(sentence)
    return {**parts, **official}


def files(source: Path) -> list[Path]:
    """The files that are read."""
    return list(first_files(source, NAMES).values())


CORPUS = TaggedCorpus(
    name="germeval2014",
    what="named entities: news and Wikipedia, 12 types, German",
    licence="CC BY 4.0",
    megabytes=11,
    origin="https://sites.google.com/site/germeval2014ner",
    markers=(("NER-de-dev.tsv",), ("NER-de-dev.tsv.gz",)),
    files=files,
    read=read,
    layouts="NER-de-train.tsv, NER-de-dev.tsv and NER-de-test.tsv, of which the second is needed, and which may be "
    "gzipped (number, word, outer tag, nested tag)",
)
