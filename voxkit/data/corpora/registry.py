"""The recorded corpora by name. `mini` (spoken on the spot) and `dir` (the user's own files) have their own options."""

from __future__ import annotations

from voxkit.data.corpora import an4, esc10, fsdd, kathleen_en, librispeech_mini, wake_words
from voxkit.data.corpora.corpus import Corpus

CORPORA: dict[str, Corpus] = {
    module.CORPUS.name: module.CORPUS for module in (an4, fsdd, kathleen_en, librispeech_mini, esc10, wake_words)
}
