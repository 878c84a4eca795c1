"""Words to answers: in which language each is said, and how."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from voxkit.commands.g2p.entries import Entry
from voxkit.commands.g2p.pronounce import Pronouncer
from voxkit.commands.g2p.search import Hypothesis
from voxkit.commands.g2p.tables import LONGEST
from voxkit.progress import say

AUTO = "auto"
SURE = 0.5  # probability from which on a language is believed
MANY = 20  # languages to name in a message


@dataclass(frozen=True, slots=True)
class Answer:
    """How a word is said: the best first, nothing if it cannot be. `language` is the one used, "" an unknown one."""

    word: str
    language: str
    hypotheses: Sequence[Hypothesis]
    tells_language: bool  # whether the output has a column for it


class Answerer:
    """Pronounces entries.

    Args:
        lang: the language of words that name none; "auto" lets the model tell it.
        nbest: pronunciations of each word.
        least: probability that all but the first must have, relative to the first.
        switch: probability from which on a word is said in another language than the named one; None: never.
    """

    def __init__(
        self, pronouncer: Pronouncer, lang: str = AUTO, nbest: int = 1, least: float = 0.0, switch: float | None = None
    ) -> None:
        self.pronouncer, self.nbest, self.least, self.switch = pronouncer, nbest, least, switch
        self.known = [language for language in pronouncer.tables.languages if language]
        self.lang: str | None = None  # the model is asked
        self._noticed: set[str] = set()
        self.speak(lang)

    def speak(self, lang: str) -> None:
        """Take words that name no language as words of this one."""
        if lang != AUTO:
            self.lang = lang
            self._notice(lang)
        elif len(self.known) < 2:
            self.lang = self.known[0] if self.known else ""
        else:
            self.lang = None

    def __call__(self, entries: Sequence[Entry]) -> list[Answer]:
        """The answers to entries, in their order."""
        languages = self.languages(entries)
        said = self.pronouncer.pronounce(
            [(entry.word, language) for entry, language in zip(entries, languages, strict=True)], self.nbest
        )
        always = self.lang is None or self.switch is not None
        return [
            Answer(entry.word, language, self._likely(hypotheses), always or bool(entry.language))
            for entry, language, hypotheses in zip(entries, languages, said, strict=True)
        ]

    def languages(self, entries: Sequence[Entry]) -> list[str]:
        """In which language each entry is said."""
        used = [entry.language or self.lang for entry in entries]
        for language in dict.fromkeys(entry.language for entry in entries):
            self._notice(language)
        asked = [
            place
            for place, (entry, language) in enumerate(zip(entries, used, strict=True))
            if language is None or (self.switch is not None and not entry.language)
        ]
        guesses = self.pronouncer.languages([entries[place].word for place in asked])
        for place, ranked in zip(asked, guesses, strict=True):
            enough = SURE if used[place] is None else self.switch
            if ranked and enough is not None and ranked[0][1] >= enough:
                used[place] = ranked[0][0]
        return [language or "" for language in used]

    def silence(self, answer: Answer) -> str:
        """Why a word has no pronunciation."""
        tables = self.pronouncer.tables
        if len(tables.letter_ids(answer.word, answer.language)) > LONGEST:
            return f"it has more than {LONGEST - 1} letters"
        if not tables.can_spell(answer.word, answer.language):
            return "the model knows no letter of it"
        return "the model has no phones for it"

    def _likely(self, hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
        return [found for found in hypotheses if found.probability >= self.least * hypotheses[0].probability]

    def _notice(self, language: str) -> None:
        """Tell once of a language that the model does not know."""
        if not language or language in self.known or language in self._noticed:
            return
        self._noticed.add(language)
        near = difflib.get_close_matches(language, self.known, n=3, cutoff=0.5)
        names = near or self.known[:MANY]
        hint = ("similar names: " if near else "it knows ") + ", ".join(names)
        hint += " ..." if not near and len(self.known) > MANY else ""
        say(
            f"notice: the model has not learnt {language!r} and says its words as of an unknown language"
            + (f"; {hint}" if names else "")
        )
