"""espeak-ng through ctypes: text to samples, with the times of words and phones.

The library is one global state per process and keeps some of it between calls (the flutter of the voice, for one), so
what it says depends on what it said before: whoever needs the same audio again starts from a fresh process.
It is GPL-3 and comes with the extra `demo` (the package espeakng-loader).
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxkit.errors import UserError

RETRIEVAL = 1  # espeak_AUDIO_OUTPUT: samples go to the callback
PHONEME_EVENTS, PHONEME_IPA = 1, 2  # options of espeak_Initialize
RATE, PITCH = 1, 3  # espeak_PARAMETER: words a minute; 0 to 100, 50 is the voice's own
TEXT = 1 | 0x100  # flags of espeak_Synth: UTF-8, with phonemes in [[...]]
UTF8 = 1
IPA_WITH_SEPARATOR = 2 | ord("_") << 8  # phonememode of espeak_TextToPhonemes
LIST_TERMINATED, WORD, PHONEME = 0, 1, 7  # espeak_EVENT_TYPE

CHANGES = 16  # of voice without speech: about 30 fill the library's queue, and the next speech lacks its first phone

VOICES = {  # by the dialect's language tag, where the library wants another name
    "en-gb": "en",
    "fr-fr": "fr",
}
INSTALL = "pip install 'voxkit[demo]'"
STRESS = re.compile("[ˈˌ]")
LANGUAGE_MARK = re.compile(r"\([a-z-]+\)")
LONG = "\u02d0"  # the length mark
# A glide between two vowels comes alone or after the first and belongs to that; after a consonant it is palatalisation.
LINK = re.compile("(?:^|(?<=[\u02c8\u02cc\u02d0\u0303aeiouyæøœɐɑɒɔəɚɛɜɪɵʉʊʌᵻ]))ʲ")  # noqa: RUF001


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class Span:
    """A word or phone from sample `start` to sample `end`."""

    symbol: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Speech:
    """What was spoken: samples in [-1, 1], and for each word its phones in order (both in samples at that rate)."""

    samples: npt.NDArray[np.float32]
    sampling_rate: int
    words: tuple[Span, ...]
    phones: tuple[tuple[Span, ...], ...]


class Speaker:
    """The one speaker of this process."""

    _instance: Speaker | None = None

    def __init__(self) -> None:
        self._library = _library()
        self._samples: list[npt.NDArray[np.int16]] = []
        self._events: list[tuple[int, int, int, str]] = []  # type, text position, sample, symbol
        path = _loader().get_data_path()
        self.sampling_rate = int(
            self._library.espeak_Initialize(RETRIEVAL, 0, path.encode(), PHONEME_EVENTS | PHONEME_IPA)
        )
        if self.sampling_rate <= 0:
            raise UserError(f"espeak-ng cannot read its data in {path}", fix=INSTALL)
        self._callback = _Callback(self._collect)  # must outlive every call
        self._library.espeak_SetSynthCallback(self._callback)
        self._voice = ""
        self._changes = 0  # of voice since the last speech

    @classmethod
    def get(cls) -> Speaker:
        """The speaker, started at the first call."""
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if count > 0:
            self._samples.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != LIST_TERMINATED:
            event = events[index]
            if event.type in (WORD, PHONEME):
                symbol = ""
                if event.type == PHONEME:  # eight bytes, not always with a zero at the end
                    symbol = (
                        bytes(ctypes.string_at(ctypes.addressof(event) + _Event.id.offset, 8)).split(b"\0")[0].decode()
                    )
                self._events.append((event.type, event.text_position - 1, event.sample, symbol))
            index += 1
        return 0

    def set_voice(self, dialect: str, variant: str = "") -> None:
        """Choose a dialect such as `en-gb-scotland` and a variant such as `f3`.

        Raises:
            UserError: espeak-ng has no such voice.
        """
        if self._changes >= CHANGES:
            self.speak(["a"], rate=170, pitch=50)
        self._changes += 1
        name = VOICES.get(dialect, dialect) + (f"+{variant}" if variant else "")
        if name != self._voice and self._library.espeak_SetVoiceByName(name.encode()) != 0:
            raise UserError(
                f"espeak-ng has no dialect {dialect!r}",
                fix="use for example en-us, en-gb, en-gb-scotland, en-029 or en-gb-x-rp; de, fr, ru or hi",
            )
        self._voice = name

    def speak(self, words: Sequence[str], rate: int, pitch: int, stress: bool = False, seed: int = 1) -> Speech:
        """Speak words with the voice chosen.

        Args:
            words: ASCII; a word may be given as phonemes, `[[...]]`.
            rate: words a minute, 80 to 450.
            pitch: 0 to 100; 50 is the voice's own.
            stress: keep the stress marks of the phones.
            seed: of the voice's roughness and breath, which the library otherwise seeds with the time.
        """
        text = " ".join(words)
        self._samples, self._events, self._changes = [], [], 0
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._library.espeak_SetParameter(RATE, rate, 0)
        self._library.espeak_SetParameter(PITCH, pitch, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, TEXT, None, None)
        self._library.espeak_Synchronize()
        pcm = np.concatenate(self._samples) if self._samples else np.zeros(0, np.int16)
        groups = self._groups(words, len(pcm), stress)
        spans: list[Span] = []
        phones: list[tuple[Span, ...]] = []
        for members, group in groups:
            for index, part in zip(members, self._split([words[m] for m in members], group, stress), strict=True):
                phones.append(tuple(part))
                start = part[0].start if part else (spans[-1].end if spans else 0)
                spans.append(Span(words[index], start, part[-1].end if part else start))
        return Speech(pcm.astype(np.float32) / np.float32(32768), self.sampling_rate, tuple(spans), tuple(phones))

    def pronounce(self, word: str, stress: bool = False) -> tuple[str, ...]:
        """The phones of a word spoken alone in the dialect chosen, as espeak-ng writes them (`oʊ` is one, `tʃ` too)."""
        return _pronounce(self._library, self._voice.partition("+")[0], word, stress)

    def is_native(self, word: str) -> bool:
        """Whether a word is said as one word and in the language of the dialect chosen.

        It is not when it is said by way of another language (`google` in Russian, by English rules), or as several
        words (`iv` as "Roman four").
        """
        ipa = _ipa(self._library, self._voice.partition("+")[0], word)
        return " " not in ipa.strip() and not LANGUAGE_MARK.search(ipa)

    def _groups(self, words: Sequence[str], total: int, stress: bool) -> list[tuple[list[int], list[Span]]]:
        """Words with the phones between their event and the next; words said in one (`on the`) share a group."""
        starts = np.cumsum([0, *(len(word) + 1 for word in words[:-1])])
        marks: list[tuple[int, str, int]] = []  # word, phone or "" for a pause, first sample
        word = 0
        for kind, position, sample, symbol in self._events:
            if kind == WORD:
                word = max(word, int(np.searchsorted(starts, position, side="right")) - 1)
            else:
                marks.append((word, clean(symbol, stress), sample))
        heads: dict[int, list[Span]] = {0: []}
        ends = [sample for _, _, sample in marks[1:]] + [total]
        for (word, symbol, sample), end in zip(marks, ends, strict=True):
            if symbol:
                heads.setdefault(word, []).append(Span(symbol, sample, end))
        begins = sorted(heads)
        return [
            (list(range(begin, end)), heads[begin])
            for begin, end in zip(begins, [*begins[1:], len(words)], strict=True)
        ]

    def _split(self, words: Sequence[str], phones: list[Span], stress: bool) -> list[list[Span]]:
        """Cut the phones of words said in one where they come nearest to each word said alone."""
        if len(words) == 1:
            return [phones]
        alone = [self.pronounce(word, stress) for word in words]
        symbols = [phone.symbol for phone in phones]
        return [phones[begin:end] for begin, end in cut_points(symbols, alone)]


def variants() -> set[str]:
    """The names of the voice variants.

    Raises:
        UserError: espeak-ng is not installed.
    """
    return {path.name for path in (Path(_loader().get_data_path()) / "voices" / "!v").iterdir()}


def clean(symbol: str, stress: bool = False) -> str:
    """A phone as the tables have it: no language mark, no stress mark (unless asked for), '' for a pause or a link."""
    symbol = LINK.sub("", LANGUAGE_MARK.sub("", symbol)).replace("::", LONG).replace(":", LONG)
    bare = STRESS.sub("", symbol)
    return symbol if stress and bare else bare


def cut_points(phones: Sequence[str], words: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    """Partition `phones` into one stretch a word, with the least sum of edit distances to the words' pronunciations."""
    best: list[dict[int, tuple[int, list[int]]]] = [{0: (0, [])}]
    for count, word in enumerate(words, start=1):
        row: dict[int, tuple[int, list[int]]] = {}
        ends = [len(phones)] if count == len(words) else range(len(phones) + 1)
        for end in ends:
            row[end] = min(
                (cost + distance(phones[begin:end], word), [*cuts, end])
                for begin, (cost, cuts) in best[-1].items()
                if begin <= end
            )
        best.append(row)
    cuts = best[-1][len(phones)][1]
    return list(zip([0, *cuts[:-1]], cuts, strict=True))


def distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Edit distance; a phone that is only longer or shorter counts one, another phone two."""
    row = [2 * j for j in range(len(b) + 1)]
    for i, x in enumerate(a, start=1):
        previous, row = row, [2 * i]
        for j, y in enumerate(b, start=1):
            change = 0 if x == y else 1 if x[0] == y[0] else 2
            row.append(min(previous[j - 1] + change, previous[j] + 2, row[-1] + 2))
    return row[-1]


@lru_cache(maxsize=100_000)
def _pronounce(library: Any, voice: str, word: str, stress: bool) -> tuple[str, ...]:
    ipa = LANGUAGE_MARK.sub("", _ipa(library, voice, word))
    phones = (clean(symbol, stress) for symbol in re.split("[_ ]", ipa))
    return tuple(phone for phone in phones if phone)


@lru_cache(maxsize=100_000)
def _ipa(library: Any, voice: str, word: str) -> str:
    """What the library answers: phones separated by `_`, words by a space, `(en)` where it changes the language."""
    text = ctypes.c_char_p(word.encode())
    clauses: list[str] = []
    while text.value is not None:  # one clause a call; the pointer moves on
        clauses.append(library.espeak_TextToPhonemes(ctypes.byref(text), UTF8, IPA_WITH_SEPARATOR).decode())
    return " ".join(clauses)


def _loader() -> Any:
    try:
        import espeakng_loader
    except ImportError as error:
        raise UserError("espeak-ng, which speaks the corpus, is not installed", fix=INSTALL) from error
    return espeakng_loader


def _library() -> Any:
    loader = _loader()
    try:
        library = ctypes.CDLL(loader.get_library_path())
    except OSError as error:
        raise UserError(f"espeak-ng cannot be loaded: {error}", fix=INSTALL) from error
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = (ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int)
    return library
