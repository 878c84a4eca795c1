"""WikiText-2, its validation part: good articles of Wikipedia (Merity et al. 2016, arXiv:1609.07843).

Only the validation part is read, and divided: train are the first 90 % of its articles, dev the next 5 %, test the
last 5 %. These are not the official parts, and perplexities do not compare with published ones. The tokens of the files
are joined as people write them; headings are left out. Rare words are `<unk>` in the files and stay so. Some sentences
of dev and test may be in train too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from voxkit.data.corpora.corpus import TextCorpus
from voxkit.data.corpora.lm_text import Texts, found_files, one_line, shares, split, text_lines, untokenised
from voxkit.errors import Problems

NAMES = {"text": ("wiki.valid.txt", "wiki.valid.tokens", "valid.txt")}
SHARE = 0.05  # of dev and of test, of the articles

_TITLE = re.compile(r"\s*= (?!=).*(?<!=) =\s*\Z")
_HEADING = re.compile(r"\s*(?:= )+.*(?: =)+\s*\Z")


def read(source: Path, problems: Problems) -> Texts:
    """The sentences of the three parts."""
    parts = shares(articles(text_lines(files(source)[0], problems)), SHARE, SHARE)
    return {part: [one for article in several for one in article] for part, several in parts.items()}


def articles(lines: Iterable[str]) -> Sequence[list[str]]:
    """The sentences of each article."""
    found: list[list[str]] = []
    for line in lines:
        if _TITLE.match(line) or not found:
            found.append([])
        if not _HEADING.match(line):
            found[-1] += split(one_line(untokenised(line)))
    return [article for article in found if article]


def files(source: Path) -> list[Path]:
    """The files that are read."""
    return list(found_files(source, NAMES).values())


CORPUS = TextCorpus(
    name="lm_wikitext2",
    what="text: 60 articles of Wikipedia in English, 0.2 million words",
    licence="CC BY-SA 3.0",
    megabytes=1,
    origin="https://github.com/pytorch/examples (word_language_model/data/wikitext-2)",
    markers=tuple((f"{name}*",) for name in NAMES["text"]),
    files=files,
    read=read,
    layouts="wiki.valid.txt, wiki.valid.tokens or valid.txt, which may be gzipped",
)
