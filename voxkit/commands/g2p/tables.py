"""Letters, phones and languages as numbers. Free of torch: an exported model needs nothing else."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.g2p.command import LetterConfig, PhoneConfig
from voxkit.config import from_mapping, to_dict
from voxkit.data.lexicon import VOWEL_DIGIT
from voxkit.data.pronunciations import Pronunciation
from voxkit.errors import UserError

PAD, UNKNOWN, WORD_END = 0, 1, 2  # letters
START, END = 0, 1  # phones; the start also pads
ANY = 0  # the language that stands for an unknown one
SPECIAL_LETTERS, SPECIAL_PHONES = ("<pad>", "<unk>", "<end>"), ("<start>", "<end>")
BETWEEN = "@"  # phone and language, in a table for each language
LONGEST = 256  # letters or phones in a word: a Transformer has so many positions
FILE = "tables.json"

_FORMS: Mapping[str, Literal["NFC", "NFD"]] = {"nfc": "NFC", "nfd": "NFD"}
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_JAMO = re.compile("[\u1100-\u11ff]+")
_HALF_WIDTH = re.compile("[\uff66-\uff9f]+")
_KATAKANA = re.compile("[\u30a1-\u30f6]")
_DOTTED = ("tr", "tur", "az", "aze")  # languages that tell the dotted i from the dotless


def spell(word: str, language: str, config: LetterConfig) -> list[str]:
    """A word as the letters that the model sees.

    >>> spell("Été", "fre", LetterConfig())
    ['e', '\u0301', 't', 'e', '\u0301']
    >>> spell("한", "kor", LetterConfig(form="nfc")) == [chr(0x1112), chr(0x1161), chr(0x11AB)]
    True
    """
    word = _INVISIBLE.sub("", unicodedata.normalize("NFC", word)).replace("\u2019", "'")
    if config.lower:
        if re.split("[-_]", language.lower())[0] in _DOTTED:
            word = word.replace("I", "ı").replace("İ", "i")
        word = word.lower()
    if config.kana:
        word = _HALF_WIDTH.sub(lambda found: unicodedata.normalize("NFKC", found[0]), word)
        word = _KATAKANA.sub(lambda found: chr(ord(found[0]) - 0x60), word)
    letters = unicodedata.normalize(_FORMS[config.form], word)
    if config.hangul == "jamo":
        letters = _HANGUL.sub(lambda found: unicodedata.normalize("NFD", found[0]), letters)
    elif config.form == "nfd":
        letters = _JAMO.sub(lambda found: unicodedata.normalize("NFC", found[0]), letters)
    return list(letters)


def sounds(phones: Iterable[str], config: PhoneConfig) -> tuple[str, ...]:
    """A pronunciation in the notation that the config asks for.

    >>> sounds(["t͡ʃ", "ˈaː", "AH0"], PhoneConfig(tie_bars="drop", length="drop", stress="drop"))
    ('tʃ', 'a', 'AH')
    """
    written = []
    for phone in phones:
        if config.form != "none":
            phone = unicodedata.normalize(_FORMS[config.form], phone)
        if config.tie_bars == "drop":
            phone = re.sub("[\u0361\u035c]", "", phone)
        if config.length == "drop":
            phone = re.sub("[ːˑ]", "", phone)
        if config.stress == "drop":
            phone = VOWEL_DIGIT.sub("", re.sub("[ˈˌ]", "", phone))
        if phone:
            written.append(phone)
    return tuple(written)


@dataclass(frozen=True)
class Tables:
    """What a model's numbers mean.

    `letters`, `phones` and `languages` are names by number; the first of `languages` stands for an unknown one.
    `inventories` has the numbers of the phones that each language had in training.
    """

    letters: tuple[str, ...]
    phones: tuple[str, ...]
    languages: tuple[str, ...]
    inventories: tuple[tuple[int, ...], ...]
    letter_config: LetterConfig
    phone_config: PhoneConfig

    @classmethod
    def learn(cls, items: Sequence[Pronunciation], letters: LetterConfig, phones: PhoneConfig) -> Tables:
        """The symbols of the training data (whose phones are as `sounds` writes them)."""
        languages = ("", *sorted({item.language for item in items} - {""}))
        spelt = {letter for item in items for letter in spell(item.word, item.language, letters)}
        separate = phones.table == "language"
        said = {(phone, item.language if separate else "") for item in items for phone in item.phones}
        names = tuple(f"{phone}{BETWEEN}{language}" if separate else phone for phone, language in sorted(said))
        table = cls((*SPECIAL_LETTERS, *sorted(spelt)), (*SPECIAL_PHONES, *names), languages, (), letters, phones)
        used: dict[str, set[int]] = {language: set() for language in languages}
        for item in items:
            used[item.language].update(table.phone_ids(item.phones, item.language))
        used[""] = set(range(END + 1, len(table.phones)))
        inventories = tuple(tuple(sorted(used[language])) for language in languages)
        return cls(table.letters, table.phones, languages, inventories, letters, phones)

    @cached_property
    def _letter_ids(self) -> dict[str, int]:
        return {letter: number for number, letter in enumerate(self.letters)}

    @cached_property
    def _phone_ids(self) -> dict[str, int]:
        return {phone: number for number, phone in enumerate(self.phones)}

    @cached_property
    def language_ids(self) -> dict[str, int]:
        return {language: number for number, language in enumerate(self.languages)}

    def letter_ids(self, word: str, language: str = "") -> list[int]:
        """The letters of a word and its end. Unknown accents are left out; other unknown letters are `UNKNOWN`."""
        letters = spell(word, language, self.letter_config)
        return [*(self.letter_id(letter) for letter in letters if self._is_worth(letter)), WORD_END]

    def _is_worth(self, letter: str) -> bool:
        return letter in self._letter_ids or not unicodedata.combining(letter[0])

    def letter_id(self, letter: str) -> int:
        """The number of a letter as `spell` gives it; that of its base where the accented one is unknown."""
        if letter not in self._letter_ids:  # é where only e is known
            letter = unicodedata.normalize("NFD", letter)[0]
        return self._letter_ids.get(letter, UNKNOWN)

    def can_spell(self, word: str, language: str = "") -> bool:
        """Whether the model knows any letter of the word."""
        return any(number != UNKNOWN for number in self.letter_ids(word, language)[:-1])

    def phone_ids(self, phones: Sequence[str], language: str) -> list[int]:
        """Numbers of phones that are written as `sounds` writes them; -1 for those that are not in the table."""
        end = f"{BETWEEN}{language}" if self.phone_config.table == "language" else ""
        return [self._phone_ids.get(phone + end, -1) for phone in phones]

    def phone_names(self, numbers: Iterable[int]) -> tuple[str, ...]:
        """The phones of numbers, without start and end."""
        names = (self.phones[number] for number in numbers if number > END)
        if self.phone_config.table == "language":
            return tuple(name.rpartition(BETWEEN)[0] for name in names)
        return tuple(names)

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """Which phones (L, V) may be said in each language; the end always, the start never."""
        table = np.zeros((len(self.languages), len(self.phones)), dtype=bool)
        free = not self.phone_config.restrict and self.phone_config.table == "shared"
        for number, inventory in enumerate(self.inventories):
            table[number, slice(END + 1, None) if free else list(inventory)] = True
        table[:, END] = True
        return table

    def save(self, path: Path) -> None:
        """Write the tables as JSON."""
        content = {
            "letters": self.letters,
            "phones": self.phones,
            "languages": self.languages,
            "inventories": self.inventories,
            "letter_config": to_dict(self.letter_config),
            "phone_config": to_dict(self.phone_config),
        }
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Tables:
        """Read what `save` wrote.

        Raises:
            UserError: missing or damaged.
        """
        try:
            found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            letters, phones, languages = (tuple(map(str, found[name])) for name in ("letters", "phones", "languages"))
            inventories = tuple(tuple(map(int, numbers)) for numbers in found["inventories"])
            _require_sound(letters, phones, languages, inventories)
            return cls(
                letters,
                phones,
                languages,
                inventories,
                from_mapping(LetterConfig, found["letter_config"], str(path)),
                from_mapping(PhoneConfig, found["phone_config"], str(path)),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: the tables cannot be read: {error}", fix="copy or train it again") from error


def _require_sound(
    letters: Sequence[str], phones: Sequence[str], languages: Sequence[str], inventories: Sequence[Sequence[int]]
) -> None:
    """Refuse what `Tables.save` does not write.

    Raises:
        ValueError: it says what.
    """
    for names, heads in ((letters, SPECIAL_LETTERS), (phones, SPECIAL_PHONES), (languages, ("",))):
        if tuple(names[: len(heads)]) != heads or len(set(names)) < len(names) or "" in names[1:]:
            raise ValueError("symbols are missing, or there twice")
    if len(inventories) != len(languages):
        raise ValueError(f"{len(inventories)} inventories of {len(languages)} languages")
    if any(not numbers or min(numbers) <= END or max(numbers) >= len(phones) for numbers in inventories):
        raise ValueError("an inventory is empty or holds numbers of no phones")
