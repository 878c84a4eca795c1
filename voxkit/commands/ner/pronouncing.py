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
from voxkit.progress import say
from voxkit.rundir import digest

G2P, LEXICON = "g2p", "lexicon.txt"  # among a bundle's assets
AT_ONCE = 256  # words
REMEMBERED = 100_000  # words that the model has said


class Pronouncer:
    """Says words, each as often as it is asked for but only once by the model.

    Args:
        lexicon: words with their pronunciations, of which the most probable is taken; a word that it lacks may be there
            in lower case.
        g2p: a bundle's folder; None: words without an entry have no phones.
        language: what the words are in, as g2p calls it.
    """

    def __init__(self, lexicon: Lexicon | None, g2p: Path | None, language: str = "") -> None:
        self.language = language
        self._listed = dict(_best(lexicon)) if lexicon is not None else {}
        self._in_lower_case: dict[str, tuple[str, ...]] = {}
        for word, phones in self._listed.items():
            self._in_lower_case.setdefault(word.lower(), phones)
        self._said: dict[str, tuple[str, ...]] = {}
        self._model: Any = None
        if g2p is not None:
            self._model = _speaking(g2p)
            known = self._model.tables.languages
            if language and language not in known:
                say(f"note: {g2p} has not learnt {language!r}; it knows {', '.join(filter(None, known))}")

    @classmethod
    def of_assets(cls, assets: Path, config: PhoneConfig) -> Pronouncer:
        """What a bundle of ours brought.

        Raises:
            UserError: it lacks what its config names, or that is damaged.
        """
        _require_all(config, assets)
        lexicon, g2p = assets / LEXICON, assets / G2P
        return cls(Lexicon.read(lexicon) if lexicon.exists() else None, g2p if g2p.is_dir() else None, config.language)

    def __call__(self, words: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The phones of words; none of what cannot be said."""
        if len(self._said) > REMEMBERED:
            self._said.clear()
        found = {word: self._looked_up(word) for word in words}
        new = [word for word, phones in found.items() if phones is None and word not in self._said]
        for start in range(0, len(new) if self._model is not None else 0, AT_ONCE):
            some = new[start : start + AT_ONCE]
            said = self._model.pronounce([(word, self.language) for word in some], beam=1)
            self._said |= {word: best[0].phones if best else () for word, best in zip(some, said, strict=True)}
        return {word: self._said.get(word, ()) if phones is None else phones for word, phones in found.items()}

    def _looked_up(self, word: str) -> tuple[str, ...] | None:
        return self._listed.get(word, self._in_lower_case.get(word.lower()))


def identified(config: PhoneConfig) -> PhoneConfig:
    """With digests of what it names, so that a run is not resumed on others under the same names."""
    files = [] if config.lexicon is None else [Path(config.lexicon)]
    files += [] if config.g2p is None else bundle.files(Path(config.g2p))
    return config.model_copy(update={"digests": {str(file): digest(file) for file in files}})


def with_assets(config: PhoneConfig, folder: Path) -> PhoneConfig:
    """With the pronunciations that are among a bundle's assets, wherever they came from.

    Raises:
        UserError: it lacks what its config names.
    """
    _require_all(config, folder)
    own = {"lexicon": folder / LEXICON, "g2p": folder / G2P}
    return config.model_copy(update={name: str(path) for name, path in own.items() if path.exists()})


def assets(config: PhoneConfig, folder: Path) -> Mapping[str, Path]:
    """The files and folders that the pronunciations come from, copied to `folder`.

    Raises:
        UserError, DataError: no such model or lexicon, or a damaged one.
    """
    found: dict[str, Path] = {}
    if config.lexicon is not None:
        lexicon = Lexicon.read(Path(config.lexicon))
        found[LEXICON] = folder / LEXICON
        # with probabilities, or a phone called 1 would be read as one
        lines = (f"{word}\t1.0\t{' '.join(phones)}\n" for word, phones in _best(lexicon))
        found[LEXICON].write_text("".join(lines), encoding="utf-8")
    if config.g2p is not None:
        _speaking(Path(config.g2p))  # told by the name that it was given by
        found[G2P] = folder / G2P
        shutil.copytree(bundle.locate(Path(config.g2p)), found[G2P])
    return found


def _speaking(path: Path) -> Any:
    """The model of a bundle of g2p.

    Raises:
        UserError: none there, or one that pronounces nothing.
    """
    loaded = bundle.load(path)
    if not hasattr(loaded.model, "pronounce"):
        raise UserError(
            f"{path}: a model of {loaded.system} that pronounces nothing", fix="give a bundle of voxkit g2p"
        )
    return loaded.model


def _require_all(config: PhoneConfig, folder: Path) -> None:
    """Raise a UserError if a bundle's assets lack a lexicon or a model of g2p that its config names."""
    named = {LEXICON: config.lexicon, G2P: config.g2p}
    lost = [str(folder / name) for name, source in named.items() if source is not None and not (folder / name).exists()]
    if lost:
        raise UserError(f"{', '.join(lost)}: missing, so the model cannot hear words", fix="copy the model again")


def _best(lexicon: Lexicon) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Each word with its most probable pronunciation."""
    for word, several in lexicon.entries.items():
        yield word, max(several, key=several.__getitem__)
