"""All corpora by name.

`mini` is spoken and `espeak` pronounced on the spot, `dir` is the user's own; the others are recorded or lexical.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from voxkit.data.corpora import (
    an4,
    cmudict,
    esc10,
    fsdd,
    kathleen_en,
    librispeech_mini,
    sigmorphon,
    wake_words,
    wikipron,
)
from voxkit.data.corpora.corpus import Corpus, Lexical, Listed
from voxkit.errors import UserError

CORPORA: dict[str, Corpus] = {
    module.CORPUS.name: module.CORPUS for module in (an4, fsdd, kathleen_en, librispeech_mini, esc10, wake_words)
}
LEXICAL: dict[str, Lexical] = {
    corpus.name: corpus
    for corpus in (sigmorphon.SIGMORPHON_2020, sigmorphon.SIGMORPHON_2021, wikipron.CORPUS, cmudict.CORPUS)
}
MINI = (
    "mini",
    "any",
    "110/h",
    "of your own making",
    "spoken by espeak-ng",
    "commands, spelled names, numbers; dialects",
)
ESPEAK = (
    "espeak",
    "-",
    "any",
    "words CC BY-SA 4.0",
    "pronounced by espeak-ng",
    "pronunciations: frequent words of 18 languages or more",
)
DIR = ("dir", "any", "any", "yours", "--source", "a folder of audio, or a Kaldi data directory")


def describe() -> Iterator[tuple[str, str, str, str, str, str]]:
    """Name, hours, megabytes, licence, where from, and what, of every corpus; those without sound have "-" hours."""
    yield MINI
    for corpus in CORPORA.values():
        yield _row(corpus, f"{corpus.hours:g}")
    yield ESPEAK
    for lexical in LEXICAL.values():
        yield _row(lexical, "-")
    yield DIR


def _row(corpus: Listed, hours: str) -> tuple[str, str, str, str, str, str]:
    origin = corpus.origin if corpus.archive else f"--source ({corpus.origin})"
    return corpus.name, hours, str(corpus.megabytes), corpus.licence, origin, corpus.what


def unknown(name: str) -> UserError:
    """What to raise for a name that is no corpus."""
    names = ["mini", *CORPORA, "espeak", *LEXICAL, "dir"]
    near = difflib.get_close_matches(name, names, n=1)
    return UserError(f"no corpus {name!r}", fix=f"did you mean {near[0]}?" if near else f"one of {', '.join(names)}")
