"""`spoken`: the sentences of the user's text, spoken on the spot by the voices of the embedded corpus.

It makes a speech corpus of any domain that there is text of, to try language models with. A sentence is spoken if all
of its words are of ASCII letters and apostrophes (numbers would have to be written out) and it is not too long.
Sentences of dev and test that occur in the text of train are left out, as are those of test that occur in dev's. Voices
of the parts differ as in `mini`. Of dev and test no sentence is spoken twice; of train, those of a short text come
again in other voices. The texts are held in memory.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, cycle
from pathlib import Path

from voxkit.data.corpora import writing
from voxkit.data.corpora.corpus import Prepared
from voxkit.data.corpora.espeak import Speaker
from voxkit.data.corpora.mini import PARTS, check_voices, divide, lexicons, order_of, seconds, utterances
from voxkit.data.corpora.mini_speech import Order, speak_all
from voxkit.data.corpora.spoken_config import SpokenConfig
from voxkit.data.sentences import sentences
from voxkit.data.text import normaliser
from voxkit.errors import Problems, UserError
from voxkit.progress import say

WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")


@dataclass(frozen=True)
class Texts:
    """Sentences that can be spoken, by part, and all words that can be, sorted."""

    sentences: Mapping[str, Sequence[tuple[str, ...]]]
    words: Sequence[str]


def prepare(config: SpokenConfig, work: Path, out: Path, jobs: int) -> writing.Sizes:
    """Speak the sentences in `work` and write manifests as `mini` does, with the audio under `out`.

    `text_<part>.txt` has all sentences of the part's text that can be spoken, of any length and as often as they occur;
    `lexicon.txt` and `lexicon_<dialect>.txt` all words that can be spoken, of all texts.

    Raises:
        UserError: a text is missing or has nothing to speak, or espeak-ng is not there or lacks a voice.
        DataError: lines that cannot be read.
    """
    check_voices(config)
    texts = read(config)
    orders = plan(config, texts)
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


def read(config: SpokenConfig) -> Texts:
    """Read all texts.

    Raises:
        UserError: one of train, dev and test is not given or has nothing to speak.
        DataError: lines that cannot be read.
    """
    texts: dict[str, tuple[str, ...]] = {str(part): paths for part, paths in config.texts.items()}
    missing = [part for part in PARTS if not texts.get(part)]
    if missing:
        raise UserError(
            f"no text of {', '.join(missing)}", fix=" ".join(f"--text {part}=FILE" for part in missing) + " is needed"
        )
    normalise, problems = normaliser(config.normaliser), Problems()
    found: dict[str, list[tuple[str, ...]]] = {}
    for part in (*PARTS, "lexicon"):
        paths = [Path(path) for path in texts.get(part, ())]
        found[part] = [tuple(words) for path in paths for words in sentences(path, normalise, problems)]
    problems.settle(sum(map(len, found.values())) + len(problems.bad_ids))
    words = _speakable({word for part in found.values() for line in part for word in line}, config.dialects)
    kept = {part: [line for line in found[part] if line and words.issuperset(line)] for part in PARTS}
    for part in PARTS:
        if not kept[part]:
            raise UserError(
                f"no sentence of {part} can be spoken: {', '.join(texts[part])}",
                fix="give sentences of ASCII letters, with numbers written out",
            )
        if len(kept[part]) < len(found[part]):
            say(f"{part}: {len(kept[part])} of {len(found[part])} sentences are of letters alone and can be spoken")
    return Texts(kept, sorted(words))


def _speakable(words: set[str], dialects: Sequence[str]) -> set[str]:
    """The words of letters that espeak-ng says something for in every dialect."""
    left = {word for word in words if WORD.fullmatch(word)}
    speaker = Speaker.get()
    for dialect in dialects:
        speaker.set_voice(dialect)
        left = {word for word in left if speaker.pronounce(word.lower())}
    return left


def plan(config: SpokenConfig, texts: Texts) -> dict[str, list[Order]]:
    """What will be spoken, by part, from the seed alone.

    Raises:
        UserError: nothing is left to speak of a part.
    """
    rng, voices = random.Random(config.seed), divide(config.variants)
    elsewhere: set[tuple[str, ...]] = set()
    hours = {"train": config.train_hours, "dev": config.dev_hours, "test": config.test_hours}
    orders: dict[str, list[Order]] = {}
    for part in PARTS:
        short = sorted({line for line in texts.sentences[part] if len(line) <= config.longest} - elsewhere)
        if not short:
            raise UserError(
                f"no sentence of {part} is left to speak",
                fix="give sentences that are not in the other texts, or set a larger `longest`",
            )
        elsewhere.update(texts.sentences[part])
        rng.shuffle(short)
        orders[part] = list(_orders(config, part, short, voices[part], rng, 3600 * hours[part]))
    return orders


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
