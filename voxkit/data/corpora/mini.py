"""`mini`, the embedded corpus: voice commands, spelled names and numbers, spoken on the spot by espeak-ng.

Sentences and voices of `dev` and `test` do not occur in `train`. A sentence's part is a fixed function of its text, and
the voice variants are divided over the parts; a speaker is a dialect with a variant. Everything follows from the seed.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxkit.data.corpora import espeak, mini_lexicon, writing
from voxkit.data.corpora.corpus import Prepared, Utterance
from voxkit.data.corpora.division import part_of
from voxkit.data.corpora.mini_config import WOMEN, MiniConfig, VoiceConfig
from voxkit.data.corpora.mini_grammar import Grammar, Sentence
from voxkit.data.corpora.mini_speech import Order, Spoken, speak_all
from voxkit.errors import Problems, UserError

PARTS = ("train", "dev", "test")
PATIENCE = 300_000  # sentences drawn before saying that there are not enough


@dataclass(frozen=True)
class Plan:
    """What will be spoken (by part), the sentences behind it, and the text for a language model."""

    orders: Mapping[str, Sequence[Order]]
    sentences: Mapping[str, Sequence[Sentence]]
    lm_text: Sequence[str]
    words: Sequence[str]


def prepare(config: MiniConfig, work: Path, out: Path, jobs: int) -> writing.Sizes:
    """Speak the corpus in `work` and write its manifests, with the audio under `out`, where `work` will be moved.

    Raises:
        UserError: espeak-ng is not there or lacks a voice, or the grammar has not enough sentences.
    """
    check_voices(config)
    plan = make_plan(config)
    orders = [order for part in PARTS for order in plan.orders[part]]
    spoken = speak_all(orders, work / "audio", work / "parts", config.sampling_rate, config.stress, jobs)
    customs = {part: [sentence.custom() for sentence in plan.sentences[part]] for part in PARTS}
    files = lexicons(config, plan.words, plan.orders["train"], spoken)
    files["text_train.txt"] = "".join(f"{line}\n" for line in plan.lm_text)
    prepared = Prepared(dict(utterances(plan.orders, customs, spoken, work)), files)
    sizes = writing.write(prepared, work, Problems(), home=out)
    shutil.rmtree(work / "parts")
    return sizes


def check_voices(config: VoiceConfig) -> None:
    """Raise UserError if espeak-ng is not installed or lacks a dialect or variant of the config."""
    known = espeak.variants()
    unknown = [variant for variant in config.variants if variant not in known]
    if unknown:
        raise UserError(f"espeak-ng has no variant {', '.join(unknown)}", fix=f"variants: {' '.join(sorted(known))}")
    for dialect in config.dialects:
        espeak.Speaker.get().set_voice(dialect)


def make_plan(config: MiniConfig) -> Plan:
    """Everything that chance decides, from the seed alone."""
    sentences, lm_text, words = _sentences(config)
    rng = random.Random(config.seed)
    voices = divide(config.variants)
    orders = {
        part: [
            order_of(config, part, number, sentence.words, voices[part], rng, sentence.spelled)
            for number, sentence in enumerate(sentences[part])
        ]
        for part in PARTS
    }
    return Plan(orders, sentences, lm_text, words)


def divide(variants: Sequence[str]) -> dict[str, list[str]]:
    """Variants of the parts, women and men alike: of every eight, the third goes to dev, the sixth to test.

    With fewer than eight of a kind, the first goes to test and the second to dev, as long as some are left to train.
    """
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for group in ([v for v in variants if v in WOMEN], [v for v in variants if v not in WOMEN]):
        places = {2: "dev", 5: "test"} if len(group) >= 8 else {0: "test", 1: "dev"} if len(group) >= 3 else {}
        for index, variant in enumerate(group):
            parts[places.get(index % 8, "train")].append(variant)
    if not parts["dev"]:  # two of a kind and one of the other, or the like
        parts["test"], parts["dev"], parts["train"] = parts["train"][:1], parts["train"][1:2], parts["train"][2:]
    return parts


def _sentences(config: MiniConfig) -> tuple[dict[str, list[Sentence]], list[str], list[str]]:
    """The sentences of each part, the text for a language model, and all words of the grammar.

    Words of dev and test occur in the training text. Sentences of dev and test are spoken once, those of train may come
    again in large corpora.
    """
    grammar = Grammar(config.vocabulary, config.seed)
    shares = {"train": 1 - config.dev_share - config.test_share, "dev": config.dev_share, "test": config.test_share}
    wanted = {part: 3600 * config.hours * share for part, share in shares.items()}
    chosen: dict[str, list[Sentence]] = {part: [] for part in PARTS}
    candidates: dict[str, dict[str, Sentence]] = {"dev": {}, "test": {}}
    lm_text: list[str] = []
    while wanted["train"] > 0 or len(lm_text) < config.lm_sentences:
        sentence = grammar.draw()
        part = part_of(sentence.text, config.dev_share, config.test_share)
        if part != "train":
            candidates[part].setdefault(sentence.text, sentence)
        elif wanted["train"] > 0:
            chosen["train"].append(sentence)
            wanted["train"] -= seconds(sentence.text, config, len(sentence.spelled))
        else:
            lm_text.append(sentence.text)
    text = [sentence.text for sentence in chosen["train"]] + lm_text
    known = {word for line in text for word in line.split()}
    for part, pool in candidates.items():
        drawn = 0
        waiting = list(pool.values())
        while wanted[part] > 0:
            while not waiting:
                sentence = grammar.draw()
                drawn += 1
                if drawn > PATIENCE:
                    raise UserError(
                        f"not enough different sentences for {config.hours} hours of {part}",
                        fix="ask for fewer hours, a larger vocabulary or more lm_sentences",
                    )
                if part_of(sentence.text, config.dev_share, config.test_share) == part and sentence.text not in pool:
                    pool[sentence.text] = sentence
                    waiting.append(sentence)
            sentence = waiting.pop(0)
            if known.issuperset(sentence.words):
                chosen[part].append(sentence)
                wanted[part] -= seconds(sentence.text, config, len(sentence.spelled))
    return chosen, text, grammar.words()


def seconds(text: str, config: VoiceConfig, spelled: int = 0) -> float:
    """About how long a sentence will be [s]; letters and digits said one by one take longer than they look."""
    characters = len(text) + 1.5 * spelled
    return 0.6 + 0.0505 * characters * 170 / (sum(config.rate) / 2)


def order_of(
    config: VoiceConfig,
    part: str,
    number: int,
    words: tuple[str, ...],
    variants: Sequence[str],
    rng: random.Random,
    spelled: Container[int] = (),
) -> Order:
    """How sentence `number` of a part will be spoken; the words at the places `spelled` are letters."""
    dialect = config.dialects[number % len(config.dialects)]
    variant = rng.choice(variants)
    noise = "none" if rng.random() < config.clean else rng.choice(config.noises)
    return Order(
        id=f"{dialect}-{variant}-{part}{number:06d}",
        words=words,
        spoken=tuple(
            mini_lexicon.LETTER_A if word == "a" and at in spelled else word.lower() for at, word in enumerate(words)
        ),
        dialect=dialect,
        variant=variant,
        rate=round(rng.uniform(*config.rate)),
        pitch=round(rng.uniform(*config.pitch)),
        lead=round(rng.uniform(0.1, 0.35), 2),
        trail=round(rng.uniform(0.1, 0.35), 2),
        noise=noise,
        snr=round(rng.uniform(*config.snr), 1),
        gain=round(rng.uniform(*config.gain), 1),
        seed=rng.getrandbits(48),
    )


def utterances(
    orders: Mapping[str, Sequence[Order]],
    customs: Mapping[str, Sequence[Mapping[str, Any]]],
    spoken: Iterable[Spoken],
    folder: Path,
) -> Iterator[tuple[str, list[Utterance]]]:
    """The utterances of each part, with what is known of each beside how it was spoken (`customs`)."""
    results = iter(spoken)
    for part in PARTS:
        made = []
        for order, custom in zip(orders[part], customs[part], strict=True):
            result = next(results)
            path = folder / "audio" / f"{order.id}.flac"
            made.append(
                Utterance(
                    id=order.id,
                    path=path,
                    where=str(path),
                    text=" ".join(order.words),
                    speaker=f"{order.dialect}-{order.variant}",
                    gender="female" if order.variant in WOMEN else "male",
                    language=order.dialect,
                    custom={**custom, **_conditions(order)},
                    alignment={"word": result.words, "phone": result.phones},
                )
            )
        yield part, made


def _conditions(order: Order) -> dict[str, Any]:
    """How an utterance was spoken; without noise there is no `snr`."""
    shown = {key: getattr(order, key) for key in ("dialect", "variant", "rate", "pitch", "noise", "snr", "gain")}
    return {key: value for key, value in shown.items() if key != "snr" or order.noise != "none"}


def lexicons(
    config: VoiceConfig, words: Iterable[str], orders: Sequence[Order], spoken: Iterable[Spoken]
) -> dict[str, str]:
    """`lexicon.txt` over all dialects and `lexicon_<dialect>.txt`: words said alone, and as in what was spoken."""
    files, everywhere, words = {}, [], list(words)
    train = list(zip(orders, spoken, strict=False))
    for dialect in config.dialects:
        heard = mini_lexicon.count((o.words, s.pronunciations) for o, s in train if o.dialect == dialect)
        here = mini_lexicon.merge(mini_lexicon.alone(words, dialect, config.stress), heard)
        files[f"lexicon_{dialect}.txt"] = mini_lexicon.render(here, config.prune)
        everywhere.append(here)
    files["lexicon.txt"] = mini_lexicon.render(mini_lexicon.merge(*everywhere), config.prune)
    return files
