"""`espeak`: words of many languages pronounced by espeak-ng, with no corpus on this machine.

The words are the user's, or the most frequent ones of each language by wordfreq (Speer 2022,
https://doi.org/10.5281/zenodo.7199437; its data are CC BY-SA 4.0). wordfreq folds case, so German words have ss for ß.
Phones are espeak-ng's own symbols: mostly IPA, with diphthongs and affricates as one and a few private signs (`r.` in
Hindi, `u"` in Russian).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from voxkit.data.corpora.corpus import Pronounced
from voxkit.data.corpora.espeak import INSTALL, Speaker
from voxkit.data.corpora.espeak_config import EspeakConfig
from voxkit.data.corpora.lexical import by_word
from voxkit.data.lexicon import LANGUAGE, read_text
from voxkit.data.pronunciations import Pronunciation, hidden_character
from voxkit.errors import Problems, UserError

SAME_LIST = {"bs": "sh", "hr": "sh", "sr": "sh"}  # wordfreq has one list for Serbo-Croatian
ENOUGH = 1000  # words to tell a language's script by
LETTERS = ("L", "M")  # Unicode categories


def read(config: EspeakConfig, problems: Problems) -> Pronounced:
    """Pronounce the words that the config asks for and divide them by word.

    Of the frequent words, those are passed over that espeak-ng says by way of another language or as several words; in
    a user's file they are problems.

    Raises:
        UserError: espeak-ng or wordfreq is not installed or lacks a language, or the file cannot be read.
    """
    _check_languages(config.languages)
    if config.words:
        items = list(_of_file(Path(config.words), config, problems))
    else:
        items = [item for language in config.languages for item in _most_frequent(language, config)]
    return by_word(items, config.dev_share, config.test_share, f"{config.seed}:")


def _check_languages(languages: Iterable[str]) -> None:
    unknown = [language for language in languages if not _has_voice(language)]
    if unknown:
        raise UserError(
            f"espeak-ng has no language {', '.join(unknown)}", fix="use tags such as en-us, de, fr, pt-br, ru, hi"
        )


def _has_voice(language: str) -> bool:
    """Whether espeak-ng has the language, which then is the one chosen."""
    speaker = Speaker.get()
    try:
        speaker.set_voice(language)
    except UserError:
        return False
    return True


def _most_frequent(language: str, config: EspeakConfig) -> list[Pronunciation]:
    """The pronunciations of the first words that are the language's own."""
    speaker = Speaker.get()
    words = frequent(language)
    speaker.set_voice(language)
    said = (
        Pronunciation(word, speaker.pronounce(word, config.stress), language, f"wordfreq:{rank}")
        for rank, word in words
        if speaker.is_native(word)
    )
    return list(islice((item for item in said if item.phones), config.per_language))


def frequent(language: str) -> Iterator[tuple[int, str]]:
    """The words of a language in wordfreq with their ranks, the most frequent first.

    Left out are words of one letter, with anything but letters in them (digits, hyphens, apostrophes), or in another
    script than most of the language's first words.

    Raises:
        UserError: wordfreq is not installed or has no words of the language.
    """
    try:
        import wordfreq
    except ImportError as error:
        raise UserError("wordfreq, which has the words, is not installed", fix=INSTALL) from error
    tag = language.split("-")[0]
    lists = wordfreq.available_languages("best")
    if SAME_LIST.get(tag, tag) not in lists:
        raise UserError(
            f"no list of words for {language!r}",
            fix=f"give your own with --set words=FILE; there are lists for {' '.join(sorted({*lists, *SAME_LIST}))}",
        )
    words = iter(wordfreq.iter_wordlist(SAME_LIST.get(tag, tag), "best"))
    first = list(islice(words, ENOUGH))
    usual = Counter(filter(None, map(script_of, first))).most_common(1)[0][0]
    for rank, word in enumerate(chain(first, words), start=1):
        if len(word) > 1 and script_of(word) == usual:
            yield rank, spelled(word)


def script_of(word: str) -> str:
    """The script of a word as Unicode names it, such as LATIN; "" if it is not of letters of one script."""
    if unicodedata.normalize("NFKC", word) != word or any(unicodedata.category(c)[0] not in LETTERS for c in word):
        return ""
    scripts = {unicodedata.name(c, "").split(" ")[0] for c in word} - {"COMBINING"}
    return scripts.pop() if len(scripts) == 1 else ""


def spelled(word: str) -> str:
    """A word with the final sigma that folding its case has taken away."""
    return f"{word[:-1]}\u03c2" if word.endswith("\u03c3") else word


def _of_file(path: Path, config: EspeakConfig, problems: Problems) -> Iterator[Pronunciation]:
    """The pronunciations of a user's list; the rows of one language together, for a change of voice takes time."""
    speaker = Speaker.get()
    by_language: dict[str, dict[str, str]] = {}
    for number, word, language in _rows(read_text(path, "words"), str(path), problems):
        for tag in [language] if language else config.languages:
            by_language.setdefault(tag, {}).setdefault(word, f"{path}:{number}")
    if not by_language and not problems:
        raise UserError(f"{path}: no words in it", fix="write a word, or word<TAB>language, on each line")
    for tag, words in by_language.items():
        known = _has_voice(tag)
        for word, where in words.items():
            id = f"{word}:{where.rpartition(':')[2]}"
            if not known:
                problems.add("unknown language", where, id, f"espeak-ng has no language {tag!r}", "mend the tag")
            elif not speaker.is_native(word):
                what = f"espeak-ng says it in another language than {tag}, or as several words"
                problems.add("foreign word", where, id, what, "leave it out, or name its language")
            elif phones := speaker.pronounce(word, config.stress):
                yield Pronunciation(word, phones, tag, where)
            else:
                problems.add("no pronunciation", where, id, f"espeak-ng says nothing in {tag}", "leave it out")


def _rows(text: str, path: str, problems: Problems) -> Iterator[tuple[int, str, str]]:
    """Line number, word and language ("" where none is named)."""
    for number, line in enumerate(text.split("\n"), start=1):
        word, _, language = (part.strip(" ") for part in line.removesuffix("\r").partition("\t"))
        where, id, fix = f"{path}:{number}", f"{word!r}:{number}", "write a word, or word<TAB>language"
        if not line.strip():
            continue
        if hidden := hidden_character(word):
            problems.add("control character", where, id, f"it holds the character U+{ord(hidden):04X}", "remove it")
        elif len(word.split()) != 1:
            what = f"{len(word.split())} words" if word else "no word before the language"
            problems.add("bad word", where, id, what, fix)
        elif language and not LANGUAGE.fullmatch(language):
            problems.add("bad language", where, id, f"{language!r} is no language tag", fix)
        else:
            yield number, word, language
