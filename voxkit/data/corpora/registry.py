"""All corpora by name. `mini` is spoken on the spot and `dir` is the user's own; the others are recorded."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from voxkit.data.corpora import an4, esc10, fsdd, kathleen_en, librispeech_mini, wake_words
from voxkit.data.corpora.corpus import Corpus
from voxkit.errors import UserError

CORPORA: dict[str, Corpus] = {
    module.CORPUS.name: module.CORPUS for module in (an4, fsdd, kathleen_en, librispeech_mini, esc10, wake_words)
}
MINI = (
    "mini",
    "any",
    "110/h",
    "of your own making",
    "spoken by espeak-ng",
    "commands, spelled names, numbers; dialects",
)
DIR = ("dir", "any", "any", "yours", "--source", "a folder of audio, or a Kaldi data directory")


def describe() -> Iterator[tuple[str, str, str, str, str, str]]:
    """Name, hours, megabytes, licence, where from, and what, of every corpus."""
    yield MINI
    for corpus in CORPORA.values():
        origin = corpus.origin if corpus.archive else f"--source ({corpus.origin})"
        yield corpus.name, f"{corpus.hours:g}", str(corpus.megabytes), corpus.licence, origin, corpus.what
    yield DIR


def unknown(name: str) -> UserError:
    """What to raise for a name that is no corpus."""
    names = ["mini", *CORPORA, "dir"]
    near = difflib.get_close_matches(name, names, n=1)
    return UserError(f"no corpus {name!r}", fix=f"did you mean {near[0]}?" if near else f"one of {', '.join(names)}")
