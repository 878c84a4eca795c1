"""All corpora by name.

`mini` and `spoken` are spoken and `espeak` is pronounced on the spot, `dir` is the user's own; the others are recorded,
lexical, tagged text, or plain text.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from voxkit.data.corpora import (
    an4,
    cmudict,
    esc10,
    fsdd,
    germeval2014,
    kathleen_en,
    librispeech_mini,
    multiwoz21,
    ner_btc,
    sigmorphon,
    snips,
    tinyshakespeare,
    topical_chat,
    wake_words,
    war_and_peace,
    wikipron,
    wikitext2,
    wnut17,
)
from voxkit.data.corpora.corpus import Corpus, Lexical, Listed, TaggedCorpus, TextCorpus
from voxkit.errors import UserError

CORPORA: dict[str, Corpus] = {
    module.CORPUS.name: module.CORPUS for module in (an4, fsdd, kathleen_en, librispeech_mini, esc10, wake_words)
}
LEXICAL: dict[str, Lexical] = {
    corpus.name: corpus
    for corpus in (sigmorphon.SIGMORPHON_2020, sigmorphon.SIGMORPHON_2021, wikipron.CORPUS, cmudict.CORPUS)
}
TAGGED: dict[str, TaggedCorpus] = {
    module.CORPUS.name: module.CORPUS for module in (snips, wnut17, ner_btc, germeval2014)
}
TEXTS: dict[str, TextCorpus] = {
    module.CORPUS.name: module.CORPUS
    for module in (war_and_peace, tinyshakespeare, wikitext2, multiwoz21, topical_chat)
}
MINI = (
    "mini",
    "any",
    "110/h",
    "of your own making",
    "spoken by espeak-ng",
    "commands, spelled names, numbers; dialects",
)
SPOKEN = (
    "spoken",
    "any",
    "110/h",
    "that of your text",
    "spoken by espeak-ng",
    "sentences of your text in many voices, with noise",
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
    yield SPOKEN
    for corpus in CORPORA.values():
        yield _row(corpus, f"{corpus.hours:g}")
    yield ESPEAK
    for silent in (*LEXICAL.values(), *TAGGED.values(), *TEXTS.values()):
        yield _row(silent, "-")
    yield DIR


def _row(corpus: Listed, hours: str) -> tuple[str, str, str, str, str, str]:
    origin = corpus.origin if corpus.archive else f"--source ({corpus.origin})"
    return corpus.name, hours, str(corpus.megabytes), corpus.licence, origin, corpus.what


def unknown(name: str) -> UserError:
    """What to raise for a name that is no corpus."""
    names = ["mini", "spoken", *CORPORA, "espeak", *LEXICAL, *TAGGED, *TEXTS, "dir"]
    near = difflib.get_close_matches(name, names, n=1)
    return UserError(f"no corpus {name!r}", fix=f"did you mean {near[0]}?" if near else f"one of {', '.join(names)}")
