"""The texts that a language model learns from: their vocabulary, weights and tokens, made in passes over the files.

Whatever the size of the texts, memory holds no more than bounded counts of their words (`counting.MOST_WORDS`), the
n-gram models of `weights.sentences` sentences, one at a time, and what is looked at of the tokens, which are on disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from voxkit import __version__, bundle
from voxkit.commands.lm_nce.class_phrases import ClassPhrases
from voxkit.commands.lm_nce.command import LmNce
from voxkit.commands.lm_nce.counting import (
    SAMPLE,
    Counted,
    Punctuation,
    count_all,
    encoded,
    frequent,
    learn_pieces,
    marked,
    read_words,
)
from voxkit.commands.lm_nce.ngram import WEIGHTS, Interpolated, Seen, chances
from voxkit.commands.lm_nce.token_file import TokenFile, TokenWriter
from voxkit.commands.lm_nce.vocabulary import BEGIN, END, FILE, MARKS, PIECES, UNKNOWN, Vocabulary
from voxkit.config import from_mapping, to_dict
from voxkit.data.sentences import digest_of, sentences
from voxkit.data.text import normaliser
from voxkit.errors import Problems, UserError
from voxkit.progress import say, track
from voxkit.rundir import digest, make_folder, read_config, remove, sync_tree, try_lock, write_atomic

FACTS, UNIGRAM, DEV = "corpora.json", "unigram.npy", "dev"
DEV_NAME = "--dev"  # as what is said calls it
LEAST_COVERED = 0.5  # share of running words; there is a warning below
REJECTED = "rejected.jsonl"


@dataclass(frozen=True)
class Corpora:
    """What training needs of its texts; lies in a folder.

    Attributes:
        vocabulary: of V tokens.
        weights: of each corpus, the probability that a sentence is one of its; they sum to one.
        assets: of the bundle, by name.
    """

    folder: Path
    vocabulary: Vocabulary
    weights: Mapping[str, float]
    assets: Mapping[str, Path]
    stems: Mapping[str, str]  # names of the token files

    @classmethod
    def make(
        cls, config: LmNce, folder: Path, kept: Path | None = None, ours: Callable[[], None] | None = None
    ) -> Corpora:
        """Read and weigh the texts of a config, or open what was made for the same one before.

        Args:
            folder: existing, for the list of bad lines that are left out, and for everything if nothing is `kept`.
            kept: where the result stays: complete or absent, and made anew for another config. A process that finds
                another one making it waits. What is damaged is made again.
            ours: raises an error if that place is not this process's to write in.

        Raises:
            UserError: files that cannot be read or are empty, no dev text to find weights by, weights that do not fit.
            DataError: more than `data.max_bad` of the lines are bad.
        """
        home = folder / "tokens" if kept is None else kept
        key = _key(config)
        make_folder(home.parent)
        with _alone(home):
            if ours is not None:
                ours()
            if not _complete(home, key):
                work = home.with_name(f"{home.name}.partial")
                for old in (work, home):
                    remove(old)
                work.mkdir()
                try:
                    _Maker(config, work, folder).make(key)
                    sync_tree(work)
                    os.replace(work, home)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
        return cls.load(home)

    @classmethod
    def load(cls, folder: Path) -> Corpora:
        """What `make` left in a folder."""
        facts = _facts(folder)
        assets = {name: folder / name for name in (FILE, PIECES, WEIGHTS) if (folder / name).exists()}
        return cls(folder, Vocabulary.load(folder), facts["weights"], assets, facts["stems"])

    @cached_property
    def unigram(self) -> NDArray[np.float64]:
        """(V,) probabilities of tokens that are foreseen, ends included, in sentences drawn by the weights.

        Only that of <s> is 0: tokens that are in no corpus count as met half a time.
        """
        return np.asarray(np.load(self.folder / UNIGRAM, allow_pickle=False))

    def tokens(self, name: str) -> TokenFile:
        """The windows of a corpus."""
        return TokenFile(self.folder / self.stems[name], len(self.vocabulary))

    @cached_property
    def dev(self) -> TokenFile | None:
        """The windows of the dev texts, if there are any."""
        return TokenFile(self.folder / DEV, len(self.vocabulary)) if (self.folder / f"{DEV}.tokens").exists() else None


def _facts(folder: Path) -> dict[str, Any]:
    """What is written about a folder; nothing if it is not complete."""
    try:
        return dict(json.loads((folder / FACTS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _complete(folder: Path, key: str) -> bool:
    """Whether all is there as it was written, for a config with this key."""
    facts = _facts(folder)
    if facts.get("key") != key:
        return False
    # one process reads them all, and the others would do so after one another
    main = int(os.environ.get("RANK", "0")) == 0
    try:
        found = _files(folder, read=main)
        sound = {name: one[: len(found[name])] for name, one in facts["files"].items()} == found
    except (OSError, UserError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        say(f"notice: {folder}: damaged; the texts are read again")
    return sound


def _files(folder: Path, read: bool = True) -> dict[str, list[int | str]]:
    """Size and, where they are `read`, digest of each file but FACTS."""
    paths = (path for path in folder.iterdir() if path.name != FACTS)
    return {path.name: [path.stat().st_size, *([digest(path)] if read else [])] for path in paths}


def _key(config: LmNce) -> str:
    """What decides the result: settings and what the files hold."""
    data = config.data
    lists = [file for file in (data.words, data.classes) if file is not None]
    files = [Path(file) for file in (*data.corpora.values(), *data.dev, *lists)]
    files += [] if data.init is None else [bundle.weights(Path(data.init))]
    digests = data.digests or {str(file): digest_of(file) for file in files}
    known = to_dict(config)
    known["data"] = {**known["data"], "digests": digests, "dev_words": None}
    parts = [known[part] for part in ("data", "vocabulary", "classes", "weights")]
    return hashlib.sha256(json.dumps([__version__, *parts, config.batch.longest], sort_keys=True).encode()).hexdigest()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Wait until no other process makes this folder."""
    lock = lock_of(home)
    if lock.is_dir():
        raise UserError(f"{lock}: a folder where a file should be", fix="remove it")
    while True:
        with open(lock, "a", encoding="utf-8") as file:
            while not try_lock(file):
                time.sleep(0.2)
            if _is_still(lock, file):
                yield
                return


def lock_of(home: Path) -> Path:
    """The file that a process holds while it makes this folder."""
    return home.with_name(f".{home.name.lstrip('.')}.lock")


def _is_still(path: Path, file: IO[str]) -> bool:
    """Whether a path is that of an open file: who held it before may have removed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


class _Maker:
    """Makes the folder of a `Corpora`."""

    def __init__(self, config: LmNce, work: Path, folder: Path) -> None:
        self.config, self.work, self.folder = config, work, folder
        initial = None if config.data.init is None else bundle.locate(Path(config.data.init)) / bundle.ASSETS
        self.initial = None if initial is None else Vocabulary.load(initial)
        name = config.data.normaliser if self.initial is None else self.initial.normaliser
        if name != config.data.normaliser:
            say(f"notice: texts are normalised by {name!r}, as those of --init were")
        if self.initial is not None and (idle := _idle(config)):
            say(f"notice: the vocabulary is that of --init: {', '.join(idle)} without effect")
        self.normaliser, self.normalise = name, marked(normaliser(name))
        classes = config.data.classes
        self.seen = Counter[str]()  # sentences that have a phrase, by class
        self.phrases = None if classes is None else ClassPhrases.read(Path(classes), self.normalise)

    def make(self, key: str) -> None:
        """Write everything, FACTS last."""
        data = self.config.data
        for name in data.corpora:
            if name.startswith(DEV_NAME):
                raise UserError(f"{name!r} cannot be the name of a corpus", fix="give it another name")
        dev = {f"{DEV_NAME} {file}": file for file in data.dev}
        problems = Problems()
        sampled = 0
        if self.initial is None and self.config.vocabulary.unit == "piece":
            sampled = max(SAMPLE // max(len(data.corpora), 1), 1)
        counted = count_all({**data.corpora, **dev}, self.normalise, problems, sampled)
        total = sum(one.sentences for one in counted.values()) + len(problems.bad_ids)
        if left_out := problems.settle(total, data.max_bad, self.folder / REJECTED):
            say(f"notice: {len(left_out)} lines are left out: see {REJECTED}")
        for name in data.corpora:
            punctuation = Punctuation()
            for word, times in counted[name].words.items():
                punctuation.add(word, times)
            punctuation.tell(name, "the data.normaliser")
        self.vocabulary = self._vocabulary([counted[name] for name in data.corpora])
        self.vocabulary.save(self.work)
        stems = {name: f"corpus{number}" for number, name in enumerate(data.corpora)}
        self.files = {**{name: [file] for name, file in data.corpora.items()}, DEV_NAME: list(data.dev)}
        self.totals = {name: counted[name].sentences for name in data.corpora}
        self.totals[DEV_NAME] = sum(counted[name].sentences for name in dev)
        written = {name: self._write(name, stem) for name, stem in stems.items()}
        for line in self.phrases.told(self.seen) if self.phrases else ():
            say(line)
        _require_words(data.corpora, written.values())
        if data.dev:
            _require_words(dev, [self._write(DEV_NAME, DEV)])
        weights = self._weights()
        np.save(self.work / UNIGRAM, _unigram(weights, written))
        facts = {"key": key, "weights": weights, "stems": stems, "files": _files(self.work)}
        write_atomic(self.work / FACTS, json.dumps(facts))

    def _texts(self, name: str) -> Iterable[list[str]]:
        """The sentences of a corpus, or of all dev files; without the bad lines, which are known."""
        return chain.from_iterable(sentences(Path(file), self.normalise, Problems()) for file in self.files[name])

    def _vocabulary(self, counted: Sequence[Counted]) -> Vocabulary:
        """That of --init, the listed words, or what is learnt from the corpora."""
        settings, words = self.config.vocabulary, self.config.data.words
        if self.initial is not None:
            for name in self.phrases.classes if self.phrases else ():
                self.initial.class_id(name)
            return self.initial
        classes = self.phrases.classes if self.phrases else ()
        room = settings.size - len(MARKS) - len(classes)
        if room < 1:
            what = f"vocabulary.size={settings.size} has no room for words beside {len(classes)} classes"
            raise UserError(what, fix="make it larger")
        if settings.unit == "piece":
            pieces = learn_pieces(chain.from_iterable(one.sample for one in counted), room, self.work)
            return Vocabulary.of(pieces, classes, self.normaliser, self.work / PIECES)
        known = frequent(counted, room, settings.least) if words is None else read_words(Path(words), self.normalise)
        if not known:
            what = f"no word is met vocabulary.least={settings.least} times in the corpora"
            raise UserError(what, fix="give more text, or set vocabulary.least lower")
        return Vocabulary.of(known, classes, self.normaliser)

    def _write(self, name: str, stem: str) -> TokenWriter:
        """The token file of a corpus; says how much of it the vocabulary covers."""
        total = self.totals[name]
        texts: Iterable[Sequence[str]] = track(self._texts(name), total, f"tokens of {name}", "sentences")
        if self.phrases is not None and name != DEV_NAME:
            texts = self.phrases.put(name, texts, self.config.classes.share, self.seen)
        words = unknown = 0
        whole_words = self.vocabulary.pieces is None
        with TokenWriter(self.work / stem, len(self.vocabulary), self.config.batch.longest) as writer:
            for some, ids in encoded(texts, self.vocabulary):
                writer.add(ids)
                words += len(some)
                if UNKNOWN in ids:
                    unknown += ids.count(UNKNOWN) if whole_words else self._unknown(some)
        share = unknown / max(words, 1)
        if 1 - share < LEAST_COVERED:
            say(f"warning: the vocabulary has only {1 - share:.1%} of the words of {name}: is the normaliser right?")
        else:
            say(f"{name}: {words} words in {total} sentences, {share:.2%} unknown")
        return writer

    def _unknown(self, words: Sequence[str]) -> int:
        """How many words have a piece that is not known."""
        return sum(word == MARKS[UNKNOWN] or UNKNOWN in self.vocabulary.word_ids(word) for word in words)

    def _weights(self) -> dict[str, float]:
        """The weight of each corpus; WEIGHTS has how they were found."""
        names, settings = list(self.config.data.corpora), self.config.weights
        facts: dict[str, object] = {"kind": settings.kind}
        if settings.kind == "given":
            raw = given_weights(settings.given, names)
        elif settings.kind == "uniform":
            raw = dict.fromkeys(names, 1.0)
        elif settings.kind == "size" or len(names) == 1:
            raw = {name: float(self.totals[name]) for name in names}
        else:
            found = self._interpolated()
            raw = dict(found.weights)
            facts |= {"order": settings.order, "perplexity": dict(found.perplexities), "mixture": found.mixture}
        largest = max(raw.values())  # the sum of very large ones is infinite
        total = sum(raw[name] / largest for name in names)
        weights = {name: raw[name] / largest / total for name in names}
        facts["weights"] = weights
        write_atomic(self.work / WEIGHTS, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
        if len(names) > 1:
            say(f"weights ({settings.kind}): " + " ".join(f"{name} {weight:.3f}" for name, weight in weights.items()))
        return weights

    def _interpolated(self) -> Interpolated:
        """Weights of n-gram models of the corpora that make dev likeliest."""
        settings, data = self.config.weights, self.config.data
        if not data.dev:
            raise UserError(
                "weights of corpora are found on text of the domain, and there is no --dev",
                fix="give --dev FILE, or --weights uniform or size",
            )
        words = self.vocabulary.tokens[len(MARKS) + len(self.vocabulary.classes) :]
        dev = list(self._known(self._some(DEV_NAME)))
        found = {}
        for name in data.corpora:
            texts, many = self._some(name), min(self.totals[name], settings.sentences)
            seen = Seen.of(
                track(self._known(texts), many, f"{settings.order}-grams of {name}", "sentences"), settings.order
            )
            found[name] = chances(seen.over(words), dev)
        best = Interpolated.of(found)
        for name, value in best.perplexities.items():
            say(f"{name}: perplexity of dev by its {settings.order}-gram model {value:.2f}")
        say(f"all corpora: perplexity of dev by the mixture of {settings.order}-gram models {best.mixture:.2f}")
        return best

    def _some(self, name: str) -> Iterator[list[str]]:
        """At most `weights.sentences` sentences of a text, at equal distances."""
        total, most = self.totals[name], self.config.weights.sentences
        some = enumerate(self._texts(name))
        return (words for n, words in some if total <= most or (n + 1) * most // total > n * most // total)

    def _known(self, texts: Iterable[Sequence[str]]) -> Iterator[list[str]]:
        """Sentences as tokens, so that models of all corpora have the same words."""
        tokens = self.vocabulary.tokens
        return ([tokens[number] for number in ids] for _, ids in encoded(texts, self.vocabulary))


def _idle(config: LmNce) -> list[str]:
    """What is set of a vocabulary, and is not so in the model to start from, whose vocabulary stays."""
    head = read_config(bundle.locate(Path(config.data.init or "")))
    theirs = to_dict(from_mapping(LmNce, head.get("config") or {}, "--init"))["vocabulary"]
    usual = to_dict(LmNce())["vocabulary"]
    ours = to_dict(config)["vocabulary"]
    return [f"vocabulary.{name}={ours[name]}" for name in ours if ours[name] not in (usual[name], theirs[name])]


def given_weights(given: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Weights by hand, of all corpora; those that are not named have none.

    Raises:
        UserError: names of no corpus, negative or infinite numbers, or no weight above 0.
    """
    wrong = [f"no corpus is called {name!r}" for name in given if name not in names]
    wrong += [f"{name} has the weight {w:g}" for name, w in given.items() if not 0 <= w < float("inf")]
    if not wrong and not max(given.values(), default=0) > 0:
        wrong = ["no corpus has a weight above 0"]
    if wrong:
        raise UserError(f"weights.given: {'; '.join(wrong)}", fix=f"give weights of {', '.join(names)}")
    return {name: given.get(name, 0.0) for name in names}


def _require_words(names: Iterable[str], written: Iterable[TokenWriter]) -> None:
    """Refuse texts of which nothing but ends of sentences is known.

    Raises:
        UserError: they are such.
    """
    if not any(one.counts[UNKNOWN] < one.counts.sum() - one.counts[END] for one in written):
        what = f"the vocabulary has none of the words of {', '.join(names)}"
        raise UserError(what, fix="check --words, --init and data.normaliser")


def _unigram(weights: Mapping[str, float], written: Mapping[str, TokenWriter]) -> NDArray[np.float64]:
    """See `Corpora.unigram`."""
    met = np.sum([one.counts for one in written.values()], axis=0).sum()
    drawn = [weights[name] * one.counts / max(one.windows, 1) for name, one in written.items()]
    expected = np.sum(drawn, axis=0)
    expected *= met / expected.sum()
    expected = np.maximum(expected, 0.5)
    expected[BEGIN] = 0
    return np.asarray(expected / expected.sum())
