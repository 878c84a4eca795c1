"""How words are said: by a lexicon, and by a model of `voxkit g2p` that travels with the tagger."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from voxkit import bundle
from voxkit.commands.ner.command import PhoneConfig
from voxkit.data.lexicon import Lexicon
from voxkit.errors import UserError
from voxkit.rundir import digest

G2P, LEXICON = "g2p", "lexicon.txt"  # among a bundle's assets
AT_ONCE = 256  # words


class Pronouncer:
    """Says words, each as often as it is asked for but only once by the model.

    Args:
        lexicon: words with their pronunciations, of which the most probable is taken; in lower case, too.
        g2p: a bundle's folder; None: words without an entry have no phones.
        language: what the words are in, as g2p calls it.
    """

    def __init__(self, lexicon: Lexicon | None, g2p: Path | None, language: str = "") -> None:
        self.language = language
        self._known: dict[str, tuple[str, ...]] = {}
        for word, best in _best(lexicon) if lexicon is not None else ():
            self._known.setdefault(word, best)
            self._known.setdefault(word.lower(), best)
        self._model: Any = None
        if g2p is not None:
            loaded = bundle.load(g2p)
            if not hasattr(loaded.model, "pronounce"):
                raise UserError(
                    f"{g2p}: a model of {loaded.system} that pronounces nothing", fix="give a bundle of voxkit g2p"
                )
            self._model = loaded.model

    @classmethod
    def of_assets(cls, assets: Path, config: PhoneConfig) -> Pronouncer:
        """What a bundle of ours brought."""
        lexicon, g2p = assets / LEXICON, assets / G2P
        return cls(Lexicon.read(lexicon) if lexicon.exists() else None, g2p if g2p.is_dir() else None, config.language)

    def __call__(self, words: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The phones of words; none of what cannot be said."""
        wanted = list(dict.fromkeys(words))
        new = [word for word in wanted if word not in self._known and word.lower() not in self._known]
        for start in range(0, len(new) if self._model is not None else 0, AT_ONCE):
            some = new[start : start + AT_ONCE]
            said = self._model.pronounce([(word, self.language) for word in some], beam=1)
            self._known |= {word: best[0].phones if best else () for word, best in zip(some, said, strict=True)}
        return {word: self._known.get(word, self._known.get(word.lower(), ())) for word in wanted}


def identified(config: PhoneConfig) -> PhoneConfig:
    """With digests of what it names, so that a run is not resumed on others under the same names."""
    files = [] if config.lexicon is None else [Path(config.lexicon)]
    files += [] if config.g2p is None else [bundle.weights(Path(config.g2p))]
    return config.model_copy(update={"digests": {str(file): digest(file) for file in files}})


def assets(config: PhoneConfig, folder: Path) -> Mapping[str, Path]:
    """The files and folders that the pronunciations come from, copied to `folder`.

    Raises:
        UserError, DataError: no such model or lexicon, or a damaged one.
    """
    found: dict[str, Path] = {}
    if config.lexicon is not None:
        lexicon = Lexicon.read(Path(config.lexicon))
        found[LEXICON] = folder / LEXICON
        lines = (f"{word}\t{' '.join(phones)}\n" for word, phones in _best(lexicon))
        found[LEXICON].write_text("".join(lines), encoding="utf-8")
    if config.g2p is not None:
        found[G2P] = folder / G2P
        shutil.copytree(bundle.locate(Path(config.g2p)), found[G2P])
    return found


def _best(lexicon: Lexicon) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Each word with its most probable pronunciation."""
    for word, several in lexicon.entries.items():
        yield word, max(several, key=several.__getitem__)
