"""Back-off n-gram language models: Kneser-Ney estimation (kaldingram), ARPA files, perplexity, mixtures."""

from __future__ import annotations

import contextlib
import gzip
import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxkit.errors import Problems, UserError

MARKS = BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
NEVER = -99.0  # log10 probability that means "not at all" in ARPA files

Ngram = tuple[str, ...]


@dataclass(frozen=True)
class Perplexity:
    """Over words and sentence ends; words outside the vocabulary are counted in `oov` and left out."""

    value: float
    words: int
    sentences: int
    oov: int

    def __str__(self) -> str:
        counts = f"{self.words} words, {self.sentences} sentences, {self.oov} out of vocabulary"
        return f"%PPL {self.value:.2f} [ {counts} ]"


def unseen_mass(counts: Counter[str]) -> float:
    """The probability of words that a text does not have, by how many it has once (Good & Turing; Good 1953)."""
    once = sum(count == 1 for count in counts.values())
    return max(once, 1) / max(counts.total(), 2 * once, 1000)


class Arpa:
    """An n-gram model: `orders[n - 1]` maps n-grams to (log10 probability, log10 back-off weight)."""

    def __init__(self, orders: list[dict[Ngram, tuple[float, float]]]) -> None:
        self.orders = orders

    @property
    def words(self) -> set[str]:
        """The vocabulary without sentence marks and `<unk>`."""
        return {ngram[0] for ngram in self.orders[0]} - {BEGIN, END, UNKNOWN, UNKNOWN.upper()}

    @classmethod
    def estimate(cls, sentences: Iterable[Sequence[str]], order: int) -> Arpa:
        """Kneser-Ney smoothing with interpolation of lower orders left to back-off, as in SRILM's `-ukndiscount`."""
        from kaldingram.train import NgramCounts

        counts = NgramCounts(order, bos_symbol=BEGIN, eos_symbol=END)
        for sentence in sentences:
            counts.add_raw_counts_from_line(" ".join(sentence))
        unigrams = counts.counts[0][()]
        if order == 1:  # nothing predicts the beginning of a sentence, so it takes no part of the mass
            unigrams.total_count -= unigrams.word_to_count[BEGIN]
            unigrams.word_to_count[BEGIN] = 0
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
            counts.cal_discounting_constants()
            # Without n-grams seen twice the discount would be 1 and leave nothing of those seen once.
            counts.d = [min(discount, 0.95) for discount in counts.d]
            counts.cal_f()
            counts.cal_bow()
        orders: list[dict[Ngram, tuple[float, float]]] = []
        for level, histories in enumerate(counts.counts):
            table: dict[Ngram, tuple[float, float]] = {}
            for history, found in histories.items():
                for word, probability in found.word_to_f.items():
                    ngram = (*history, word)
                    weight = found.word_to_bow[word]
                    extended = level + 1 < order and ngram in counts.counts[level + 1]
                    # A history after which every word was seen has no mass left to back off with.
                    back = math.log10(weight) if weight else (NEVER if extended else 0.0)
                    table[ngram] = (math.log10(probability) if probability > 0 else NEVER, back)
            orders.append(table)
        return cls([table for table in orders if table])  # no sentence may be as long as the order

    @classmethod
    def read(cls, path: Path, normalise: Callable[[str], str] = str) -> Arpa:
        """Read an ARPA file, gzipped or not; `normalise` is applied to its words.

        What stands before the line `\\data\\` is a preamble for people: that of the CMU-Cambridge toolkit explains the
        format with sections of its own.

        Raises:
            DataError: lines that are not what the format says, every one with its number.
            UserError: no such file, or no n-grams in it.
        """
        orders: list[dict[Ngram, tuple[float, float]]] = []
        problems, total, inside = Problems(), 0, False
        lines = ((number, line.strip()) for number, line in enumerate(_read_lines(path), start=1))
        for number, line in dropwhile(lambda numbered: numbered[1] != "\\data\\", lines):
            if line.startswith("\\"):
                inside = line.endswith("-grams:")
                if inside and line != f"\\{len(orders) + 1}-grams:":
                    problems.add("bad section", f"{path}:{number}", line, "sections out of order", "sort the sections")
                if inside:
                    orders.append({})
            elif inside and line:
                total += 1
                fields = line.split()
                size = len(orders)
                try:
                    back = float(fields[size + 1]) if len(fields) == size + 2 else 0.0
                    if not size + 1 <= len(fields) <= size + 2:
                        raise ValueError
                    names = (w if w.lower() in MARKS else normalise(w) for w in fields[1 : size + 1])
                    ngram = tuple(UNKNOWN if name.lower() == UNKNOWN else name for name in names)
                    orders[-1][ngram] = (max(float(fields[0]), NEVER), back)
                except ValueError:
                    what = f"not a probability, {size} words and perhaps a back-off weight"
                    problems.add("bad n-gram", f"{path}:{number}", f"line {number}", what, "mend the line")
        problems.settle(total)
        if not orders or not orders[0]:
            raise UserError(f"{path}: no n-grams in it", fix="give a language model in ARPA format")
        return cls(orders)

    def write(self, path: Path) -> None:
        """Write an ARPA file."""
        with open(path, "w", encoding="utf-8") as file:
            file.write("\\data\\\n")
            for size, table in enumerate(self.orders, start=1):
                file.write(f"ngram {size}={len(table)}\n")
            for size, table in enumerate(self.orders, start=1):
                file.write(f"\n\\{size}-grams:\n")
                for ngram, (probability, back) in table.items():
                    tail = f"\t{back:.7f}" if back else ""
                    file.write(f"{probability:.7f}\t{' '.join(ngram)}{tail}\n")
            file.write("\n\\end\\\n")

    def restricted(self, words: set[str], unseen: Iterable[str] = ()) -> Arpa:
        """The model over `words` alone.

        N-grams with other words go (without renormalising, as Kaldi does). The unigram probability of `<unk>`, if
        there is one, is shared equally by the words of `unseen`, which the model does not list.
        """
        allowed = words | {BEGIN, END}
        orders = [{g: v for g, v in table.items() if allowed.issuperset(g)} for table in self.orders]
        sharers = [word for word in unseen if (word,) not in orders[0]]
        if sharers and (UNKNOWN,) in self.orders[0]:
            probability = self.orders[0][(UNKNOWN,)][0] - math.log10(len(sharers))
            orders[0].update({(word,): (probability, 0.0) for word in sharers})
        return Arpa([table for size, table in enumerate(orders) if table or size == 0])

    def with_unknown(self, mass: float) -> Arpa:
        """The model with `mass` of the unigram probability given to `<unk>`, taken from all others in proportion."""
        rest = math.log10(1 - mass)
        unigrams = {g: (p + rest if p > NEVER else p, back) for g, (p, back) in self.orders[0].items()}
        unigrams[(UNKNOWN,)] = (math.log10(mass), 0.0)
        return Arpa([unigrams, *self.orders[1:]])

    def log10(self, history: Ngram, word: str) -> float:
        """log10 P(word | history) with back-off (Katz 1987)."""
        history = history[max(0, len(history) - len(self.orders) + 1) :]
        back = 0.0
        while (value := self.orders[len(history)].get((*history, word))) is None:
            back += self.orders[len(history) - 1].get(history, (0.0, 0.0))[1]
            history = history[1:]
        return back + value[0]

    def scores(self, sentence: Sequence[str]) -> list[float | None]:
        """log10 P of each word and of the sentence's end; None for words outside the vocabulary.

        These are part of the history as `<unk>`, if the model has learnt that, and else its end.
        """
        found: list[float | None] = []
        history: Ngram = (BEGIN,)
        longest = len(self.orders) - 1  # words that matter
        unknown = (UNKNOWN,) in self.orders[0]
        for word in (*sentence, END):
            known = (word,) in self.orders[0]
            found.append(self.log10(history, word) if known else None)
            history = (*history, word) if known else (*history, UNKNOWN) if unknown else ()
            history = history[max(0, len(history) - longest) :]
        return found

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> Perplexity:
        """Perplexity of tokenised sentences."""
        total, words, count, oov = 0.0, 0, 0, 0
        for sentence in sentences:
            scores = self.scores(sentence)
            known = [score for score in scores if score is not None]
            count += 1
            words += len(known) - (scores[-1] is not None)
            oov += len(scores) - len(known)
            total += sum(known)
        return Perplexity(10 ** (-total / max(words + count, 1)), words, count, oov)

    def with_words(self, words: Iterable[str], mass: float) -> Arpa:
        """The model with words that it does not list: they share `mass` of the unigram probability equally.

        It is taken from all others in proportion, and the back-off weights are made anew.
        """
        absent = [word for word in words if (word,) not in self.orders[0]]
        if not absent:
            return self
        rest, share = math.log10(1 - mass), math.log10(mass / len(absent))
        unigrams = {g: (p + rest if p > NEVER else p, back) for g, (p, back) in self.orders[0].items()}
        unigrams.update({(word,): (share, 0.0) for word in absent})
        return Arpa.mixed([Arpa([unigrams, *self.orders[1:]])], [1.0])

    @classmethod
    def mixed(cls, models: Sequence[Arpa], weights: Sequence[float]) -> Arpa:
        """Static linear interpolation: the union of the n-grams, each with sum_c w_c P_c(word | history).

        Back-off weights are such that the probabilities after every history sum to one, as in SRILM's `-mix-lm`
        (Stolcke 2002). Models without weight bring no n-grams.

        Args:
            weights: one of each model, not all 0; they are divided by their sum.
        """
        used = [(model, weight) for model, weight in zip(models, weights, strict=True) if weight > 0]
        shares = np.array([weight for _, weight in used]) / sum(weight for _, weight in used)
        tables: list[tuple[list[Ngram], NDArray[np.float64]]] = []
        backs: list[NDArray[np.float64]] = []
        below = _Rows({(): 0}, np.zeros((1, len(used))), np.ones((1, len(used))), np.ones(1))
        for ngrams in _closed([model.orders for model, _ in used]):
            level, back = below.above(ngrams, [model.orders for model, _ in used], shares)
            backs.append(back)
            tables.append((ngrams, np.maximum(_log10(level.mixture), NEVER)))
            below = level
        backs.append(np.zeros(len(tables[-1][0])))  # nothing is longer
        return cls(
            [
                dict(zip(ngrams, zip(chances.tolist(), back.tolist(), strict=True), strict=True))
                for (ngrams, chances), back in zip(tables, backs[1:], strict=True)
            ]
        )


Orders = list[dict[Ngram, tuple[float, float]]]


@dataclass(frozen=True)
class _Rows:
    """The n-grams of one order in C models and in their mixture.

    Attributes:
        row: of each n-gram.
        chances: (R, C) P_c(word | history), backed off where a model does not list the n-gram.
        backs: (R, C) back-off weights of n-grams as histories; 1 where there is none.
        mixture: (R,) of the chances.
    """

    row: dict[Ngram, int]
    chances: NDArray[np.float64]
    backs: NDArray[np.float64]
    mixture: NDArray[np.float64]

    def above(
        self, ngrams: list[Ngram], models: Sequence[Orders], shares: NDArray[np.float64]
    ) -> tuple[_Rows, NDArray[np.float64]]:
        """N-grams that are one word longer; and the mixture's back-off weights (R,) [log10] of these ones."""
        size, order = len(ngrams), len(ngrams[0])
        find = self.row.__getitem__
        history = np.fromiter((find(ngram[:-1]) for ngram in ngrams), np.int64, size)
        suffix = np.fromiter((find(ngram[1:]) for ngram in ngrams), np.int64, size) if order > 1 else history
        chances, backs = self.backs[history] * self.chances[suffix], np.ones((size, len(models)))
        row = {ngram: number for number, ngram in enumerate(ngrams)}
        for column, orders in enumerate(models):
            table = orders[order - 1] if order <= len(orders) else {}
            where = np.fromiter((row[ngram] for ngram in table), np.int64, len(table))
            values = np.array(list(table.values()), dtype=np.float64).reshape(-1, 2)
            chances[where, column] = np.where(values[:, 0] > NEVER, 10 ** values[:, 0], 0)
            backs[where, column] = np.where(values[:, 1] > NEVER, 10 ** values[:, 1], 0)
        mixture = chances @ shares
        # what is left of 1 after each history, and what shorter histories leave to the words that are not listed
        listed = np.bincount(history, mixture, minlength=len(self.row))
        rest = 1 - np.bincount(history, self.mixture[suffix], minlength=len(self.row))
        full = (rest < 1e-12) | (listed > 1)  # no word is left to get it
        mixture /= np.where(full, listed, 1.0)[history]
        weights = np.where(full, 0.0, (1 - listed) / np.where(full, 1.0, rest))
        without = np.bincount(history, minlength=len(self.row)) == 0
        return _Rows(row, chances, backs, mixture), np.where(without, 0.0, np.maximum(_log10(weights), NEVER))


def _log10(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """log10, of 0 too."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log10(values))


def _closed(models: Sequence[Orders]) -> list[list[Ngram]]:
    """The n-grams of several models by order, with the first and the last words of each where these were missing."""
    longest = max(map(len, models))
    tables: list[dict[Ngram, None]] = [{} for _ in range(longest)]
    for orders in models:
        for level, table in enumerate(orders):
            tables[level].update(dict.fromkeys(table))
    for level in range(longest - 1, 0, -1):
        shorter = tables[level - 1]
        for ngram in tables[level]:
            shorter.setdefault(ngram[:-1])
            shorter.setdefault(ngram[1:])
    return [list(table) for table in tables]


def _read_lines(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as file:
            yield from file
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}", fix="give an ARPA file in UTF-8") from error
