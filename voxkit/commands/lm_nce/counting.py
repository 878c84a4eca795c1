"""Words of corpora counted in bounded memory, and the vocabulary that is made of them."""

from __future__ import annotations

import io
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sentencepiece

from voxkit.commands.lm_nce.vocabulary import MARKS, PIECES, Vocabulary, known_pieces
from voxkit.data.sentences import no_bad_lines, numbered_lines, sentences
from voxkit.errors import DataError, Problems, UserError
from voxkit.progress import say, track
from voxkit.rundir import write_atomic

MOST_WORDS = 2_000_000  # different words of a corpus that are held; the rarest half goes when there are more
AT_ONCE = 20_000  # words that are counted together
SAMPLE = 200_000  # sentences that pieces are learnt from, of all corpora together
LONGEST_SAMPLE = 4000  # letters of a sentence that pieces are learnt from, at most

_MARK = re.compile(r"<(?:unk|/?s|class:[^\s<>]+)>", re.IGNORECASE)
_NOT_WORDS = re.compile(r"<(?:eps|blk|blank|unk|/?s)>|#\d+|<class:[^\s<>]+>", re.IGNORECASE)


def marked(normalise: Callable[[str], str]) -> Callable[[str], str]:
    """A normaliser for texts with marks: it does not see `<unk>` and `<class:NAME>`, which stay, <s> and </s> go.

    >>> marked(str.upper)("<s> the <unk> of <class:town> </s>")
    'THE <unk> OF <class:town>'
    """

    def written(text: str) -> str:
        if "<" not in text:
            return normalise(text)
        pieces = _MARK.split(text)
        marks = [mark if mark.startswith("<class:") else mark.lower() for mark in _MARK.findall(text)]
        found = [normalise(pieces[0])]
        for mark, piece in zip(marks, pieces[1:], strict=True):
            found += [mark if mark not in MARKS[1:] else "", normalise(piece)]
        return " ".join(" ".join(found).split())

    return written


class Punctuation:
    """Counts words that punctuation clings to, which a recogniser does not write."""

    ENDS, NOTABLE = ".,;:!?", 0.02  # share of the words from which it is worth a word

    def __init__(self) -> None:
        self.words = self.found = 0
        self.example = ""

    def add(self, word: str, times: int = 1) -> None:
        self.words += times
        if len(word) > 1 and word[-1] in self.ENDS and word[-2].isalnum():
            self.found += times
            self.example = self.example or word

    def tell(self, name: str, option: str) -> None:
        """Say so of a corpus, if there are many."""
        share = self.found / max(self.words, 1)
        if share >= self.NOTABLE:
            what = f"{share:.1%} of the words of {name} end in punctuation, such as {self.example!r}"
            say(f"notice: {what}: {option} asr_en writes English as recognisers do")


@dataclass
class Counted:
    """What is known of a corpus after it was read once.

    Attributes:
        words: how often each occurs; rare ones are missing where there were more than `MOST_WORDS`.
        total: running words.
        sentences: how many.
        sample: some of the sentences, drawn evenly.
        floor: words that were as rare as this when they were dropped are missing; 0: none is.
    """

    words: Counter[str] = field(default_factory=Counter)
    total: int = 0
    sentences: int = 0
    sample: list[str] = field(default_factory=list)
    floor: int = 0

    def update(self, words: Sequence[str]) -> None:
        """Count words; the rarest go where there are too many different ones."""
        self.words.update(words)
        self.total += len(words)
        while len(self.words) > MOST_WORDS:
            rarest = Counter(self.words.values())
            left = len(self.words)
            for self.floor in sorted(rarest):
                left -= rarest[self.floor]
                if left <= MOST_WORDS // 2:
                    break
            self.words = Counter({word: count for word, count in self.words.items() if count > self.floor})


def count(name: str, given: Iterable[list[str]], sampled: int = 0) -> Counted:
    """Count the words of a corpus.

    Args:
        sampled: sentences to keep in `sample`.
    """
    found, random_state = Counted(), random.Random(name)
    waiting: list[str] = []
    for words in track(given, None, f"counting {name}", "sentences"):
        found.sentences += 1
        waiting += words
        if len(waiting) > AT_ONCE:
            found.update(waiting)
            waiting = []
        if sampled:  # algorithm R of Vitter 1985
            text = " ".join(word for word in words if not _MARK.fullmatch(word))[:LONGEST_SAMPLE]
            if found.sentences <= sampled:
                found.sample.append(text)
            elif (place := random_state.randrange(found.sentences)) < sampled:
                found.sample[place] = text
    found.update(waiting)
    if found.floor:
        say(f"notice: {name} has very many different words: such as were met up to {found.floor} times may be unknown")
    return found


def count_all(
    texts: Mapping[str, str], normalise: Callable[[str], str], problems: Problems, sampled: int = 0
) -> dict[str, Counted]:
    """Count the words of all corpora, by the names of their files.

    Raises:
        DataError: far too many lines of a file are bad.
        UserError: files that cannot be read, or have no sentence, all of them told.
    """
    found: dict[str, Counted] = {}
    wrong: list[UserError] = []
    for name, file in texts.items():
        try:
            found[name] = count(name, sentences(Path(file), normalise, problems), sampled)
        except DataError:
            raise
        except UserError as error:
            wrong.append(error)
    if wrong:
        raise UserError("\n".join(error.message for error in wrong), fix=wrong[0].fix)
    return found


def frequent(counted: Sequence[Counted], most: int, least: int) -> list[str]:
    """Words by the mean over corpora of their relative frequency, so that a large corpus does not drown a small one.

    Args:
        most: words to return at most.
        least: occurrences in all corpora together.
    """
    shares: dict[str, float] = {}
    totals: Counter[str] = Counter()
    for corpus in counted:
        totals.update(corpus.words)
        for word, times in corpus.words.items():
            shares[word] = shares.get(word, 0.0) + times / max(corpus.total, 1)
    words = (word for word in shares if totals[word] >= least and not _NOT_WORDS.fullmatch(word))
    return sorted(words, key=lambda word: (-shares[word], word))[:most]


@no_bad_lines()
def read_words(path: Path, normalise: Callable[[str], str]) -> list[str]:
    """The words of a list: one a line, or `word id` as in words.txt of a lang folder; marks are passed over.

    Words are written by `normalise`; those that are several words then, or none, are left out with a notice.

    Raises:
        DataError: lines that are not UTF-8, or neither a word nor `word id`.
        UserError: it cannot be read, or has no words.
    """
    problems, number = Problems(), 0
    found: dict[str, None] = {}
    strange: list[str] = []
    for number, line in numbered_lines(path, problems):
        fields = line.split()
        if not fields or _NOT_WORDS.fullmatch(fields[0]):
            continue
        if len(fields) > 2 or (len(fields) == 2 and not fields[1].isdecimal()):
            where = f"{path}:{number}"
            problems.add("no word", where, fields[0], "neither a word nor `word id`", "write one word a line")
            continue
        written = normalise(fields[0]).split()
        if len(written) == 1:
            found.setdefault(written[0])
        else:
            strange.append(fields[0])
    problems.settle(number)
    if strange:
        shown = ", ".join(strange[:5])
        say(f"notice: {path}: {len(strange)} words are not one word when normalised, and are left out: {shown}")
    if not found:
        raise UserError(f"{path}: no words in it", fix="give one word a line, or words.txt of a lang folder")
    return list(found)


def learn_pieces(sample: Iterable[str], size: int, folder: Path) -> list[str]:
    """Learn sub-word pieces from sentences (Kudo 2018, unigram model); the model goes to `folder`.

    Args:
        size: pieces at most.

    Raises:
        UserError: the size does not suit the text.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sample),
            model_writer=model,
            model_type="unigram",
            vocab_size=size + 1,  # its own unknown piece
            hard_vocab_limit=False,
            character_coverage=1.0,
            byte_fallback=False,
            normalization_rule_name="identity",
            bos_id=-1,
            eos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).split("] ")[-1].strip()
        what = f"sentencepiece cannot make {size} pieces of these texts: {reason}"
        raise UserError(what, fix="choose another vocabulary.size") from None
    write_atomic(folder / PIECES, model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return known_pieces(processor)


def encoded(texts: Iterable[Sequence[str]], vocabulary: Vocabulary) -> Iterator[tuple[Sequence[str], list[int]]]:
    """Sentences with the tokens of their words."""
    if vocabulary.pieces is None:
        yield from ((words, vocabulary.ids(words)) for words in texts)
        return
    known: dict[str, tuple[int, ...]] = {mark: (number,) for number, mark in enumerate(MARKS)}
    for words in texts:
        ids: list[int] = []
        for word in words:
            if word not in known:
                known[word] = vocabulary.word_ids(word)
            ids += known[word]
        if len(known) > MOST_WORDS:
            known = {mark: (number,) for number, mark in enumerate(MARKS)}
        yield words, ids
