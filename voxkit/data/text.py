"""Text normalisers by name; the name is printed in every score line, because it changes the score."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from voxkit.errors import UserError


def _plain(text: str) -> str:
    return " ".join(text.split())


def _asr_en(text: str) -> str:
    """English as recognisers are scored: upper case, no punctuation but apostrophes inside words, `[noise]` gone."""
    text = unicodedata.normalize("NFKC", text).replace("\u2019", "'").upper()
    text = re.sub(r"\[[^\]]*\]|<[^>]*>", " ", text)
    text = re.sub(r"[^\w\s']|_", " ", text)
    return " ".join(word for word in (word.strip("'") for word in text.split()) if word)


NORMALISERS: dict[str, Callable[[str], str]] = {
    "none": _plain,
    "upper": lambda text: _plain(text).upper(),
    "lower": lambda text: _plain(text).lower(),
    "asr_en": _asr_en,
}


def normaliser(name: str) -> Callable[[str], str]:
    """The normaliser of that name; each is idempotent and leaves single spaces between words.

    >>> normaliser("asr_en")("It's  [noise] o'clock, 'now'!")
    "IT'S O'CLOCK NOW"

    Raises:
        UserError: there is none of that name.
    """
    try:
        return NORMALISERS[name]
    except KeyError:
        raise UserError(
            f"no text normaliser is called {name!r}", fix=f"choose one of {', '.join(NORMALISERS)}"
        ) from None
