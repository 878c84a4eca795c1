"""`g2p apply`: pronunciations of the words of texts and manifests, as they come through a pipe, or as a lexicon."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxkit.commands.g2p.answers import AUTO, Answer, Answerer
from voxkit.commands.g2p.entries import FORM, Entry, parse, read_files
from voxkit.commands.g2p.pronounce import ONNX, Pronouncer
from voxkit.commands.g2p.tables import FILE
from voxkit.data.lexicon import LANGUAGE, RESERVED_WORDS, VARIANT, Lexicon, dictionary, dictionary_lines, is_reserved
from voxkit.data.pipe import STDIN, Flow, all_of_stdin
from voxkit.data.supervisions import is_manifest
from voxkit.data.text import normaliser
from voxkit.errors import DataError, Problems, UserError
from voxkit.progress import Meter, say
from voxkit.rundir import digest, output, write_atomic

LEXICON, UNPRONOUNCED = "lexicon.txt", "unpronounced.txt"
FLOW = Flow("words", "pronouncing", at_once=1024, long=5000)  # among more words, more are of similar length
_SHOWN = 8  # languages or words in the summary


@dataclass(frozen=True)
class Request:
    """What `g2p apply` was told; see its help."""

    models: tuple[Path, ...]
    words: tuple[Path, ...] = ()
    lang: str = AUTO
    known: Path | None = None
    with_known: bool = False
    nbest: int = 1
    least: float = 0.0
    switch: float | None = None
    beam: int = 5
    normaliser: str = "none"
    threads: int = 1

    @property
    def inputs(self) -> tuple[Path, ...]:
        return self.words or (STDIN,)

    def lexicon(self) -> Lexicon:
        """The words that need no pronunciation."""
        return Lexicon() if self.known is None else Lexicon.read(self.known)

    def answerer(self) -> Answerer:
        """The models, loaded.

        Raises:
            UserError: no model there, or models that do not belong together.
        """
        if self.lang != AUTO and not LANGUAGE.fullmatch(self.lang):
            raise UserError(f"--lang {self.lang!r}: no language tag", fix="name one such as fre or en-us, or auto")
        pronouncer = Pronouncer.load(self.models, self.beam, self.threads)
        return Answerer(pronouncer, self.lang, self.nbest, self.least, self.switch)

    def read(self, answerer: Answerer, paths: Sequence[Path], stdin: bytes | None = None) -> list[list[Entry]]:
        """The words of each file. Of the languages that supervisions name those count that the model knows."""
        return read_files(paths, normaliser(self.normaliser), answerer.known, stdin)


def run(request: Request, out: Path | None = None, interactive: bool = False) -> None:
    """Pronounce words: to standard output, into a folder, or in a conversation.

    Raises:
        UserError, DataError: no model or file there, or bad lines, all of them together; those of a pipe are told when
            it has ended.
    """
    normaliser(request.normaliser)
    if interactive:
        from voxkit.commands.g2p.prompt import converse

        converse(request.answerer())
    elif out is None:
        _stream(request)
    else:
        _write(request, out)


class Summary:
    """Counts answers, and says in the end how many there were."""

    def __init__(self) -> None:
        self.words = self.known = self.failed = 0
        self.languages: Counter[str] = Counter()
        self.shown: dict[str, None] = {}

    def add(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            self.words += 1
            if answer.hypotheses:
                self.languages[answer.language or "of unknown language"] += 1
            else:
                self.fail(answer.word)

    def fail(self, word: str) -> None:
        self.failed += 1
        if len(self.shown) < _SHOWN:
            self.shown[f"{word:.40}"] = None

    def say(self) -> None:
        kinds = [f"{count} {language}" for language, count in self.languages.most_common(_SHOWN)]
        more = len(self.languages) - len(kinds)
        text = f"pronounced {self.words - self.failed} of {self.words} words"
        text += f" ({', '.join(kinds)}{f', {more} more languages' if more else ''})" if kinds else ""
        text += f"; {self.known} are in --known" if self.known else ""
        if self.failed:
            text += f"; {self.failed} not: {' '.join(self.shown)}{' ...' if self.failed > len(self.shown) else ''}"
        say(text)


def _stream(request: Request) -> None:
    """Answer on standard output, line by line."""
    answerer, summary, problems = request.answerer(), Summary(), Problems()
    known = request.lexicon()
    lists = request.read(answerer, [path for path in request.inputs if path != STDIN])  # all, before the first answer
    for some in FLOW.of(request.inputs, lists, parse, problems, FORM):
        new = [entry for entry in some if entry.word not in known]
        answers = answerer(new)
        sys.stdout.write("".join(_lines(answers, request.nbest > 1)))
        sys.stdout.flush()
        summary.known += len(some) - len(new)
        summary.add(answers)
    summary.say()
    if problems:
        raise DataError(problems, total=len(problems))


def _lines(answers: Iterable[Answer], weighted: bool) -> Iterator[str]:
    """One line for each pronunciation; for a word without any, one without phones."""
    for answer in answers:
        last = [answer.language] if answer.tells_language else []
        for found in answer.hypotheses:
            yield _line(answer.word, _share(found.probability) if weighted else None, found.phones, last)
        if not answer.hypotheses:
            yield _line(answer.word, "0" if weighted else None, (), last)


def _line(word: str, share: str | None, phones: Iterable[str], last: Iterable[str] = ()) -> str:
    return "\t".join([word, *([] if share is None else [share]), " ".join(phones), *last]) + "\n"


def _share(probability: float) -> str:
    """A probability as lexicons have them: in (0, 1]."""
    return f"{min(max(probability, sys.float_info.min), 1.0):.6g}"


def _write(request: Request, out: Path) -> None:
    """Write a lexicon into a folder that is complete or absent."""
    stdin = all_of_stdin("words") if STDIN in request.inputs else None
    with output(out, "g2p apply", _spec(request, stdin), resumable=False) as folder:
        if not folder.done:
            known = request.lexicon()
            answerer, summary = request.answerer(), Summary()
            entries = [entry for some in request.read(answerer, request.inputs, stdin) for entry in some]
            lexicon = known if request.with_known else Lexicon()
            weighted = request.nbest > 1 or any(probability != 1 for _, _, probability in lexicon)
            unpronounced = _fill(lexicon, frozenset(known.entries), entries, answerer, summary)
            # phones called 1 would be read as probabilities where there are none
            weighted = weighted or dictionary("".join(_lexicon_lines(lexicon, False)))[1]
            write_atomic(folder.work / LEXICON, "".join(_lexicon_lines(lexicon, weighted)))
            write_atomic(folder.work / UNPRONOUNCED, "".join(f"{word}\t{why}\n" for word, why in unpronounced.items()))
            summary.say()
    print(out / LEXICON)


def _fill(
    lexicon: Lexicon, known: Container[str], entries: Sequence[Entry], answerer: Answerer, summary: Summary
) -> dict[str, str]:
    """Add the entries' pronunciations to a lexicon.

    Returns:
        The words that it could not take, each with the reason.
    """
    distinct = list(dict.fromkeys(entries))
    new = [entry for entry in distinct if entry.word not in known]
    summary.known = len(distinct) - len(new)
    failed = {entry.word: why for entry in new if (why := unfit(entry.word))}
    summary.words = len(failed)
    for word in failed:
        summary.fail(word)
    with Meter(len(new), "pronouncing", "words") as meter:
        for some in FLOW.divided([entry for entry in new if entry.word not in failed]):
            answers = answerer(some)
            for answer in answers:
                sayable = [found for found in answer.hypotheses if not any(map(is_reserved, found.phones))]
                for found in sayable:  # a word is not to be less likely because it is long, or has many
                    lexicon.add(answer.word, found.phones, found.probability / sayable[0].probability)
                if not sayable:
                    silent = not answer.hypotheses
                    failed[answer.word] = answerer.silence(answer) if silent else "its phones have a meaning in graphs"
            summary.add(answers)
            meter.advance(len(some))
    return {word: why for word, why in failed.items() if word not in lexicon}


def unfit(word: str) -> str:
    """Why a word cannot be in a lexicon, whatever its pronunciation; "" if it can.

    >>> unfit("new york"), unfit("word")
    ('it contains a space', '')
    """
    if len(word.split()) != 1:
        return "it contains a space"
    if word in RESERVED_WORDS or word.startswith("#"):
        return "the name has a meaning in graphs"
    if variant := VARIANT.fullmatch(word):
        return f"lexicons have such names for variants of {variant[1]}"
    if not list(dictionary_lines(f"{word}\tx")):
        return "lexicons have such lines for comments and silence"
    return ""


def _lexicon_lines(lexicon: Lexicon, weighted: bool) -> Iterator[str]:
    for word, phones, probability in lexicon:
        yield _line(word, _share(probability) if weighted else None, phones)


def _spec(request: Request, stdin: bytes | None) -> dict[str, Any]:
    """What decides the content."""
    settings = asdict(request)
    for name in ("models", "words", "known", "threads"):
        del settings[name]
    return {
        **settings,
        "models": [identity(path) for path in request.models],
        "inputs": dict(_digests(request.inputs, stdin)),
        "known": None if request.known is None else digest(request.known),
    }


def identity(path: Path) -> str:
    """A model, by its weights and tables."""
    files = [path / name for name in (*ONNX, FILE)]
    if not all(file.exists() for file in files):
        from voxkit.bundle import ASSETS, locate, weights

        folder = locate(path)
        files = [weights(folder), folder / ASSETS / FILE]
    return hashlib.sha256("".join(map(digest, files)).encode()).hexdigest()


def _digests(paths: Iterable[Path], stdin: bytes | None) -> Iterator[tuple[str, str]]:
    for path in paths:
        if path == STDIN:
            yield "-", hashlib.sha256(stdin or b"").hexdigest()
        elif is_manifest(path):
            from voxkit.data.manifests import manifest_files

            yield from ((str(file.resolve()), digest(file)) for file in manifest_files(path))
        else:
            yield str(path.resolve()), digest(path)
