"""Back-off n-gram language models: Kneser-Ney estimation (kaldingram), ARPA files, perplexity."""

from __future__ import annotations

import contextlib
import gzip
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

from voxkit.errors import Problems, UserError

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
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
        return cls(orders)

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
                    names = (w if w in (BEGIN, END) else normalise(w) for w in fields[1 : size + 1])
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

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> Perplexity:
        """Perplexity of tokenised sentences."""
        total, words, count, oov = 0.0, 0, 0, 0
        for sentence in sentences:
            history: Ngram = (BEGIN,)
            count += 1
            for word in (*sentence, END):
                if (word,) not in self.orders[0]:
                    oov += 1
                    history = ()
                    continue
                total += self.log10(history, word)
                words += word != END
                history = (*history, word)
        return Perplexity(10 ** (-total / max(words + count, 1)), words, count, oov)


def _read_lines(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as file:
            yield from file
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}", fix="give an ARPA file in UTF-8") from error
