"""Costs of hypotheses by a language model, beside those of the first pass.

cost = acoustic + weights.graph * graph + weights.lm * -ln P(words) + weights.penalty * words
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, repeat
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.lm_nce.command import RescoreWeights
from voxkit.commands.lm_nce.spans import Names, Reading
from voxkit.commands.lm_nce.trie import Trie, TrieScorer
from voxkit.commands.lm_nce.vocabulary import MARKS, UNKNOWN, Vocabulary
from voxkit.data.text import normaliser
from voxkit.decode.folder import Decoded
from voxkit.decode.lattice import Hypothesis

if TYPE_CHECKING:
    from voxkit.commands.lm_nce.scorer import Scorer

Doubles = NDArray[np.float64]
Tokens = tuple[int, ...]
Named = tuple[tuple[str, str], ...]


class WordTable:
    """What the words of a recogniser are to a model.

    Args:
        words: the word of each id; id 0 is no word.
        unknown_penalty: what a word that is `<unk>`, or has it among its pieces, costs on top; None: ln of how many
            words of the table are unknown, as if these shared what the model gives to `<unk>`.

    Attributes:
        tokens: of each word; none where the normaliser leaves nothing of it.
        known: whether the model knows it.
        extra: cost of each word beside that of its tokens.
    """

    def __init__(self, vocabulary: Vocabulary, words: Iterable[str], unknown_penalty: float | None = None) -> None:
        self._vocabulary, self._clean = vocabulary, normaliser(vocabulary.normaliser)
        self.normaliser, self.size = vocabulary.normaliser, len(vocabulary)
        self.words: list[str] = []
        self.tokens: list[Tokens] = []
        self.known: list[bool] = []
        self.spoken: list[tuple[str, ...]] = []
        self.index: dict[str, int] = {}
        for word in words:
            self._add(word)
        if unknown_penalty is None:
            symbols = sum(word.startswith("#") or word in MARKS for word in self.words[1:])  # of the graph
            unknown_penalty = math.log(max(self.known.count(False) - symbols, 1))
        self.unknown_penalty = unknown_penalty
        self.extra = [0.0 if known else unknown_penalty for known in self.known]

    def _add(self, word: str) -> None:
        clean = tuple(self._clean(word).split()) if self.words else ()
        tokens = tuple(token for one in clean for token in self._vocabulary.word_ids(one))
        self.index[word] = len(self.words)
        self.words.append(word)
        self.tokens.append(tokens)
        self.known.append(UNKNOWN not in tokens)
        self.spoken.append(clean)


@dataclass(frozen=True)
class Heard:
    """A recognised cut with its list of hypotheses, best first, in ids of a `WordTable`."""

    found: Decoded
    hypotheses: Sequence[Hypothesis]

    @property
    def speaker(self) -> str:
        return str(self.found.supervision.get("speaker") or "")


@dataclass
class Count:
    """What the trie saves, and how many utterances have a user's phrase in their hypotheses."""

    words: int = 0
    prefixes: int = 0
    named: int = 0

    def add(self, other: Count) -> None:
        """Add what a part has."""
        self.words, self.prefixes = self.words + other.words, self.prefixes + other.prefixes
        self.named += other.named

    @property
    def saved(self) -> float:
        """Share of the words that need not be scored."""
        return 1 - self.prefixes / max(self.words, 1)


@dataclass(frozen=True)
class Scores:
    """A list with its costs.

    Attributes:
        parts: (H, 4) acoustic, graph, -ln P by the language model, words.
        names: of each hypothesis (class, phrase) where its likeliest reading has a class.
    """

    heard: Heard
    parts: Doubles
    names: Sequence[Named] = ()

    def costs(self, weights: RescoreWeights) -> Doubles:
        """(H,) the weighted costs."""
        found: Doubles = self.parts @ np.array([1.0, weights.graph, weights.lm, weights.penalty])
        return found


@dataclass
class Rescorer:
    """A language model that scores lists.

    Args:
        most: readings of a hypothesis with names.
    """

    scorer: Scorer
    table: WordTable
    names: Names | None = None
    most: int = 32
    count: Count = field(default_factory=Count)

    def __post_init__(self) -> None:
        self._score = TrieScorer(self.scorer)
        vocabulary = self.scorer.vocabulary
        self._class_of = {vocabulary.class_id(name): name for name in vocabulary.classes}

    def __call__(self, lists: Sequence[Heard]) -> list[Scores]:
        """Score some lists together."""
        sequences: list[list[int]] = []
        added: list[float] = []  # ln P of what is not in the tokens
        owners: list[int] = []  # numbers of the hypotheses that the sequences are readings of
        named: list[Named] = []
        total = 0
        for heard in lists:
            before = len(sequences)
            for hypothesis in heard.hypotheses:
                for tokens, score, names in self._sequences(hypothesis.words, heard.speaker):
                    sequences.append(tokens)
                    added.append(score)
                    owners.append(total)
                    named.append(names)
                total += 1
            self.count.named += any(named[before:])
        trie = Trie(sequences)
        self.count.add(Count(trie.words, trie.prefixes))
        scores = self._score(trie) + added
        found = np.full(total, -np.inf)
        np.logaddexp.at(found, owners, scores)
        best = {owners[place]: named[place] for place in np.argsort(scores).tolist()}
        bounds = list(accumulate((len(heard.hypotheses) for heard in lists), initial=0))
        return [
            Scores(heard, _parts(heard.hypotheses, -found[begin:end]), [best[number] for number in range(begin, end)])
            for heard, begin, end in zip(lists, bounds[:-1], bounds[1:], strict=True)
        ]

    def _sequences(self, words: Sequence[int], user: str) -> Iterator[tuple[list[int], float, Named]]:
        """The readings of a hypothesis: tokens, ln P beside theirs, and what classes stand for."""
        table = self.table
        tokens = [token for word in words for token in table.tokens[word]]
        yield tokens, -sum(table.extra[word] for word in words), ()
        if self.names is None:
            return
        spoken = [one for word in words for one in table.spoken[word]]
        for reading in self.names.of(user).readings(spoken, self.most)[1:]:
            names = [(span.token, " ".join(spoken[span.start : span.end])) for span in reading.spans]
            yield *self._read(words, reading), tuple((self._class_of[token], phrase) for token, phrase in names)

    def _read(self, words: Sequence[int], reading: Reading) -> tuple[list[int], float]:
        """A hypothesis with classes in place of spans."""
        vocabulary, table = self.scorer.vocabulary, self.table
        spoken = [
            (one, table.extra[word] if first else 0.0)
            for word in words
            for first, one in zip(chain([True], repeat(False)), table.spoken[word], strict=False)
        ]
        tokens: list[int] = []
        score, place = reading.score, 0
        for span in (*reading.spans, None):
            for one, extra in spoken[place : None if span is None else span.start]:
                tokens += vocabulary.word_ids(one)
                score -= extra
            if span is not None:
                tokens.append(span.token)
                place = span.end
        return tokens, score


def _parts(hypotheses: Sequence[Hypothesis], model: Doubles) -> Doubles:
    """(H, 4): see `Scores`."""
    rows = [(one.acoustic, one.graph, 0.0, len(one.words)) for one in hypotheses]
    parts = np.array(rows, dtype=np.float64).reshape(-1, 4)
    parts[:, 2] = model
    return parts


@dataclass
class Cost:
    """CPU time of rescoring [s], for so much audio [s]; `alone` of utterances that were rescored by themselves.

    Attributes:
        lists: taking the hypotheses out of lattices.
        model: the language model, over many utterances together, and the choice.
    """

    audio: float = 0.0
    utterances: int = 0
    lists: float = 0.0
    model: float = 0.0
    alone: list[float] = field(default_factory=list)

    def add(self, other: Cost) -> None:
        """Add what a part took."""
        self.audio, self.utterances = self.audio + other.audio, self.utterances + other.utterances
        self.lists, self.model = self.lists + other.lists, self.model + other.model
        self.alone += other.alone

    def lines(self, path: object) -> list[str]:
        """`%RTF` of all utterances, in batches, and `%LATENCY` in CPU milliseconds of those that were alone."""
        seconds, total = max(self.audio, 1e-9), self.lists + self.model
        each = 1000 * total / max(self.utterances, 1)
        detail = f"lists {self.lists / seconds:.5f}, model {self.model / seconds:.5f}, {each:.2f} ms an utterance"
        found = [f"%RTF {total / seconds:.5f} [ {total:.2f} s / {self.audio:.1f} s, {detail} ] {path}"]
        if self.alone:
            times = 1000 * np.array(self.alone)
            middle, high = np.quantile(times, [0.5, 0.95])
            detail = f"median {middle:.2f}, 95 % {high:.2f}, {len(times)} utterances one at a time"
            found.append(f"%LATENCY {times.mean():.2f} ms [ {detail} ] {path}")
        return found


class Clock:
    """CPU time since the last look [s]."""

    def __init__(self) -> None:
        self._last = time.process_time()

    def __call__(self) -> float:
        before, self._last = self._last, time.process_time()
        return self._last - before
