"""`spoken`: the sentences of the user's text, spoken on the spot by the voices of the embedded corpus.

It makes a speech corpus of any domain that there is text of, to try language models with. A sentence is spoken if all
of its words are of letters a to z, with or without an accent, and apostrophes (numbers would have to be written out)
and it is not too long. Sentences of dev and test that occur in the text of train are left out, as are those of test
that occur in dev's. What is left out is listed with its place and the reason. Voices of the parts differ as in `mini`.
Of dev and test no sentence is spoken twice; of train, those of a short text come again in other voices. The texts are
held in memory.
"""

from __future__ import annotations

import random
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, cycle
from pathlib import Path
from types import TracebackType
from typing import IO

from voxkit import rundir
from voxkit.data.corpora import writing
from voxkit.data.corpora.corpus import Prepared
from voxkit.data.corpora.espeak import Speaker
from voxkit.data.corpora.mini import PARTS, check_voices, divide, lexicons, order_of, seconds, utterances
from voxkit.data.corpora.mini_speech import Order, speak_all
from voxkit.data.corpora.spoken_config import SpokenConfig
from voxkit.data.sentences import Placed, no_bad_lines, placed, sentences
from voxkit.data.text import normaliser
from voxkit.errors import Problems, UserError
from voxkit.progress import say

WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")
ACCENT = re.compile("(?<=[A-Za-z])[\u0300-\u036f](?![\u0300-\u036f])")  # espeak-ng knows letters with one
LEXICON = "lexicon"  # a text of which only the words count
LEFT_OUT = "left_out.tsv"
HEAD = "part\twhere\treason\tsentence\n"
TOLD = 3  # sentences that are named where some are left out
SHOWN = 5  # words that are named in a reason

Words = tuple[str, ...]


@dataclass(frozen=True)
class Texts:
    """What the texts give, by part.

    Attributes:
        sentences: all that can be spoken, of any length and as often as they occur.
        chosen: those to choose from, each once: not too long, and not in an earlier part; sorted.
        words: all that can be spoken, sorted.
    """

    sentences: Mapping[str, Sequence[Words]]
    chosen: Mapping[str, Sequence[Words]]
    words: Sequence[str]


class LeftOut:
    """A table of the sentences that are left out; it is there afterwards if there are some and nothing went wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None
        self._kinds: dict[str, Counter[str]] = {}
        self._first: dict[str, list[str]] = {}

    def __enter__(self) -> LeftOut:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with rundir.writing(self.path):
                self._file.close()
            if kind is not None:
                self.path.unlink()

    def add(self, part: str, sentence: Placed, kind: str, reason: str) -> None:
        """List a sentence of a part: its kind is counted, and the reason says more."""
        where = f"{sentence.file}:{sentence.line}"
        self._kinds.setdefault(part, Counter())[kind] += 1
        first = self._first.setdefault(part, [])
        if len(first) < TOLD:
            first.append(f"{where} ({reason})")
        with rundir.writing(self.path):
            if self._file is None:
                self._file = open(self.path, "w", encoding="utf-8")
                self._file.write(HEAD)
            self._file.write(f"{part}\t{where}\t{reason}\t{' '.join(sentence.text.split())}\n")

    def told(self, part: str, total: int) -> str:
        """How many of a part are left out and why, and the first ones; "" if there are none."""
        if part not in self._kinds:
            return ""
        kinds, first = self._kinds[part], self._first[part]
        counts = ", ".join(f"{times} {kind}" for kind, times in kinds.items())
        more = ", ..." if kinds.total() > len(first) else ""
        head = "words of " if part == LEXICON else ""
        return f"{head}{kinds.total()} of {total} sentences are left out ({counts}): {', '.join(first)}{more}"


def prepare(config: SpokenConfig, work: Path, out: Path, jobs: int) -> writing.Sizes:
    """Speak the sentences in `work` and write manifests as `mini` does, with the audio under `out`.

    `text_<part>.txt` has all sentences of the part's text that can be spoken, of any length and as often as they occur;
    `lexicon.txt` and `lexicon_<dialect>.txt` all words that can be spoken, of all texts. `left_out.tsv` lists the
    sentences that are left out, if there are some.

    Raises:
        UserError: a text is missing or has nothing to speak, or espeak-ng is not there or lacks a voice.
        DataError: lines that cannot be read.
    """
    check_voices(config)
    with LeftOut(work / LEFT_OUT) as left_out:
        texts = read(config, left_out, out / LEFT_OUT)
    orders = plan(config, texts)
    _announce(config, texts, orders)
    spoken = speak_all(
        list(chain.from_iterable(orders[part] for part in PARTS)),
        work / "audio",
        work / "parts",
        config.sampling_rate,
        config.stress,
        jobs,
    )
    files = lexicons(config, texts.words, orders["train"], spoken)
    for part in PARTS:
        files[f"text_{part}.txt"] = "".join(f"{' '.join(words)}\n" for words in texts.sentences[part])
    customs: dict[str, list[dict[str, str]]] = {part: [{}] * len(orders[part]) for part in PARTS}
    sizes = writing.write(Prepared(dict(utterances(orders, customs, spoken, work)), files), work, Problems(), home=out)
    shutil.rmtree(work / "parts")
    return sizes


def read(config: SpokenConfig, left_out: LeftOut, listed: Path) -> Texts:
    """Read all texts, twice: for their words, and for the sentences of words that can be spoken.

    Args:
        left_out: gets the sentences that are left out.
        listed: where the user will find them.

    Raises:
        UserError: one of train, dev and test is not given or has nothing to speak.
        DataError: lines that cannot be read.
    """
    texts = _given(config)
    normalise = _composed(normaliser(config.normaliser))
    words = _words(texts, normalise, config.dialects)
    kept: dict[str, list[Words]] = {}
    chosen: dict[str, list[Words]] = {}
    home: dict[Words, str] = {}  # the first part that has a sentence
    notices = []
    for part in (*PARTS, LEXICON):
        total, kept[part], chosen[part] = 0, [], []
        for sentence in chain.from_iterable(placed(Path(path), normalise, Problems()) for path in texts.get(part, ())):
            total += 1
            line = tuple(sentence.words)
            if not words.issuperset(line):
                left_out.add(part, sentence, *_unspoken(line, words))
            elif part != LEXICON:
                kept[part].append(line)
                if why := _unwanted(line, part, home, config.longest):
                    left_out.add(part, sentence, *why)
                elif line not in home:
                    home[line] = part
                    chosen[part].append(line)
        home |= {line: part for line in kept[part] if line not in home}  # such as are too long
        told = left_out.told(part, total)
        if part != LEXICON and not chosen[part]:
            raise _nothing(part, texts[part], told, bool(kept[part]))
        notices += [f"{part}: {told}; all are in {listed}"] if told else []
    for notice in notices:
        say(notice)
    return Texts({part: kept[part] for part in PARTS}, {part: sorted(chosen[part]) for part in PARTS}, sorted(words))


def _given(config: SpokenConfig) -> dict[str, tuple[str, ...]]:
    """The files of each part."""
    texts: dict[str, tuple[str, ...]] = {str(part): paths for part, paths in config.texts.items()}
    missing = [part for part in PARTS if not texts.get(part)]
    if missing:
        raise UserError(
            f"no text of {', '.join(missing)}", fix=" ".join(f"--text {part}=FILE" for part in missing) + " is needed"
        )
    return texts


def _composed(normalise: Callable[[str], str]) -> Callable[[str], str]:
    """A normaliser that leaves no accents apart from their letters: espeak-ng would not see them."""
    return lambda text: unicodedata.normalize("NFC", normalise(text))


@no_bad_lines()
def _words(texts: Mapping[str, Sequence[str]], normalise: Callable[[str], str], dialects: Sequence[str]) -> set[str]:
    """The words of all texts that espeak-ng says something for in every dialect.

    Raises:
        DataError: lines that cannot be read.
        UserError: files that cannot be read.
    """
    problems, number = Problems(), 0
    found: set[str] = set()
    for path in chain.from_iterable(texts.values()):
        for line in sentences(Path(path), normalise, problems):
            number += 1
            found.update(line)
    problems.settle(number + len(problems.bad_ids))
    left = {word for word in found if of_letters(word)}
    speaker = Speaker.get()
    for dialect in dialects:
        speaker.set_voice(dialect)
        left = {word for word in left if speaker.pronounce(word.lower())}
    return left


def of_letters(word: str) -> bool:
    """Whether a word is of letters a to z, with or without an accent, and apostrophes inside.

    >>> [of_letters(word) for word in ("o'clock", "CAF\u00c9", "20", "stra\u00dfe", "\u00e9")]
    [True, True, False, False, False]
    """
    spelled = not word.isascii() and len(word) == 1  # espeak-ng would name the letter
    return not spelled and WORD.fullmatch(ACCENT.sub("", unicodedata.normalize("NFD", word))) is not None


def _unspoken(line: Words, words: set[str]) -> tuple[str, str]:
    """Kind and reason of a sentence that not all words can be spoken of."""
    strange = [word for word in dict.fromkeys(line) if word not in words]
    others = [word for word in strange if not of_letters(word)]
    kind = "not of letters" if others else "without sound"
    shown = others or strange
    return kind, f"{kind}: {', '.join(shown[:SHOWN])}{', ...' if len(shown) > SHOWN else ''}"


def _unwanted(line: Words, part: str, home: Mapping[Words, str], longest: int) -> tuple[str, str] | None:
    """Kind and reason if a sentence is too long, or another part has it."""
    if len(line) > longest:
        return "too long", f"too long: {len(line)} words, longest={longest}"
    other = home.get(line, part)
    return None if other == part else (f"in {other} too", f"in {other} too")


def _nothing(part: str, paths: Sequence[str], told: str, some: bool) -> UserError:
    """That nothing is left of a part; `some`: though its sentences can be spoken."""
    if some:
        fix = "give sentences that are not in the other texts, or set a larger `longest`"
        return UserError(f"no sentence of {part} is left to speak: {told}", fix=fix)
    fix = "give sentences of letters, with numbers written out"
    return UserError(f"no sentence of {part} can be spoken: {', '.join(paths)}: {told}", fix=fix)


def plan(config: SpokenConfig, texts: Texts) -> dict[str, list[Order]]:
    """What will be spoken, by part, from the seed alone."""
    rng, voices = random.Random(config.seed), divide(config.variants)
    orders: dict[str, list[Order]] = {}
    for part in PARTS:
        lines = list(texts.chosen[part])
        rng.shuffle(lines)
        orders[part] = list(_orders(config, part, lines, voices[part], rng, 3600 * _hours(config)[part]))
    return orders


def _hours(config: SpokenConfig) -> dict[str, float]:
    return {"train": config.train_hours, "dev": config.dev_hours, "test": config.test_hours}


def _announce(config: SpokenConfig, texts: Texts, orders: Mapping[str, Sequence[Order]]) -> None:
    """Tell how much will be spoken, and how often the sentences come again."""
    for part in PARTS:
        number, different = len(orders[part]), len(texts.chosen[part])
        hours = sum(seconds(" ".join(order.words), config) for order in orders[part]) / 3600
        asked = f"{part}_hours={_hours(config)[part]:g}; --set {part}_hours=HOURS changes that"
        if number > different:
            how = f"{different} different sentences again and again, each about {number / different:.3g} times"
        elif number == different and hours < _hours(config)[part]:
            how, asked = f"all {different} different sentences, each once", f"the text has no more for {asked}"
        else:
            how = f"{number} of {different} different sentences, each once"
        say(f"{part}: about {hours:.2g} h will be spoken, {number} utterances: {how} ({asked})")


def _orders(
    config: SpokenConfig,
    part: str,
    lines: Sequence[tuple[str, ...]],
    variants: Sequence[str],
    rng: random.Random,
    wanted: float,
) -> Iterator[Order]:
    """About `wanted` seconds of orders; only the lines of train come again."""
    for number, words in zip(count(), cycle(lines) if part == "train" else lines, strict=False):
        if wanted <= 0:
            return
        wanted -= seconds(" ".join(words), config)
        yield order_of(config, part, number, words, variants, rng)
