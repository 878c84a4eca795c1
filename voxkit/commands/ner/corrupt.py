"""`ner corrupt`: tagged sentences with typing errors, misheard words or made-up names, to test models on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxkit.commands.ner.made_names import new_names
from voxkit.commands.ner.material import digests, tagged
from voxkit.commands.ner.misheard import Confusions, Neighbours, misheard
from voxkit.commands.ner.typos import typos
from voxkit.data.lexicon import VOWEL_DIGIT, Lexicon
from voxkit.data.pipe import require_lasting
from voxkit.data.tagged_files import write_conll
from voxkit.data.tagging import Sentence
from voxkit.errors import UserError
from voxkit.progress import say
from voxkit.rundir import digest, output, write_atomic

SENTENCES, CHANGES, SUMMARY = "sentences.conll", "changes.tsv", "summary.txt"
CONFUSIONS = "confusions.tsv"  # as `voxkit decode` calls it
REJECTED, REJECTED_TRAIN = "rejected.jsonl", "rejected_train.jsonl"
_HEAD = ("sentence", "before", "after")  # of the changes


@dataclass(frozen=True)
class Corruption:
    """What `ner corrupt` was told; see its help."""

    test: tuple[Path, ...]
    kind: str = "typos"
    share: float = 0.2
    seed: int = 0
    lexicon: Path | None = None
    g2p: Path | None = None
    confusions: Path | None = None
    labels: tuple[str, ...] = ()
    known: tuple[Path, ...] = ()
    asr_text: bool = False
    max_bad: float = 0.0

    def require(self) -> None:
        """Raise a UserError if options are missing, or are given that the kind has no use for."""
        given = {
            "--lexicon": (self.lexicon is not None, ("misheard",)),
            "--g2p": (self.g2p is not None, ("misheard",)),
            "--confusions": (self.confusions is not None, ("misheard",)),
            "--label": (bool(self.labels), ("names",)),
            "--train": (bool(self.known), ("misheard", "names")),
        }
        for name, (there, kinds) in given.items():
            if there and self.kind not in kinds:
                raise UserError(f"{name} is not for --kind {self.kind}", fix=f"leave it out, or give --kind {kinds[0]}")
        if self.kind == "misheard" and self.lexicon is None and self.confusions is None:
            raise UserError("--kind misheard needs words that may be heard", fix="give --lexicon, --confusions or both")
        if self.g2p is not None and self.lexicon is None:
            raise UserError("--g2p says words that --lexicon lacks, and there is none", fix="give --lexicon too")

    def spec(self) -> dict[str, Any]:
        """What decides the result."""
        files = {"lexicon": self.lexicon, "confusions": self.confusions and _list(self.confusions)}
        return {
            "test": digests(self.test),
            "train": digests(self.known),
            "kind": self.kind,
            "share": None if self.kind == "names" else self.share,
            "seed": self.seed,
            **{name: None if path is None else digest(require_lasting(path)) for name, path in files.items()},
            "g2p": None if self.g2p is None else _identity(self.g2p),
            "labels": sorted(self.labels),
            "asr_text": self.asr_text,
            "max_bad": self.max_bad,
        }

    def changed(self, sentences: Sequence[Sentence], known: Sequence[Sentence]) -> tuple[list[Sentence], int]:
        """The sentences with other words, and how many words were chosen but stay, as there is no other for them.

        What sounds alike is the likelier the more often the training has it; without training all of it is as likely.
        The sentences themselves have no say in this, so that part of a set is changed as the whole is. Names are made
        of all the names in the sentences, so that there this does not hold.

        Args:
            known: the sentences of training.

        Raises:
            UserError, DataError: a lexicon, model or list of confusions that is missing or damaged; labels that no
                entity has, or entities of which no names can be made.
        """
        if self.kind == "typos":
            return typos(sentences, self.share, self.seed), 0
        words = [word for sentence in known for word in sentence.words]
        if self.kind == "names":
            return new_names(sentences, self.labels or None, self.seed, frozenset(words)), 0
        neighbours = None if self.lexicon is None else self._neighbours(self.lexicon, words)
        confusions = None if self.confusions is None else Confusions.read(_list(self.confusions))
        return misheard(sentences, self.share, self.seed, neighbours, confusions)

    def _neighbours(self, lexicon: Path, words: Iterable[str]) -> Neighbours:
        """The words of a lexicon, weighed by those of a text. A stress does not tell words apart."""
        entries = Lexicon.read(lexicon, strip_stress=True)
        if self.g2p is None:
            return Neighbours(entries, words)
        from voxkit.commands.ner.pronouncing import Pronouncer

        said = Pronouncer(None, self.g2p)

        def pronounce(new: Sequence[str]) -> list[list[str]]:
            found = said(new)
            return [[VOWEL_DIGIT.sub("", phone) for phone in found[word]] for word in new]

        return Neighbours(entries, words, pronounce)


def run(corruption: Corruption, out: Path) -> None:
    """Write the changed sentences into a folder that is complete or absent, and tell how much changed.

    Raises:
        UserError, DataError: no such file, bad sentences in it, or options that do not go together.
    """
    corruption.require()
    with output(out, "ner corrupt", corruption.spec(), resumable=False) as place:
        if not place.done:
            asr, most = corruption.asr_text, corruption.max_bad
            before = tagged(corruption.test, most, place.work / REJECTED, asr)
            known = tagged(corruption.known, most, place.work / REJECTED_TRAIN, asr) if corruption.known else []
            after, stayed = corruption.changed(before, known)
            write_conll(after, place.work / SENTENCES)
            rows = list(_changes(before, after))
            if not rows:
                say("note: nothing has changed: --kind and its options leave no word to change; see --help")
            write_atomic(place.work / CHANGES, "".join("\t".join(row) + "\n" for row in [_HEAD, *rows]))
            write_atomic(place.work / SUMMARY, _told(before, len(rows), stayed))
    print((out / SUMMARY).read_text(encoding="utf-8"), end="")
    print(out / SENTENCES)


def _told(before: Iterable[Sentence], changed: int, stayed: int) -> str:
    """The share of words that have changed indeed, and how many were to change but have nothing to change into."""
    words = sum(len(sentence.words) for sentence in before)
    told = f"changed {changed} of {words} words ({100 * changed / words:.1f} %)\n"
    return f"{told}{stayed} more were chosen and stay: no other is known for them\n" if stayed else told


def _changes(before: Iterable[Sentence], after: Iterable[Sentence]) -> Iterator[tuple[str, str, str]]:
    """The sentence of each word that has changed, the word, and what it has become."""
    for old, new in zip(before, after, strict=True):
        for was, became in zip(old.words, new.words, strict=True):
            if was != became:
                yield old.id, was, became


def _list(path: Path) -> Path:
    """The file of confusions in a folder of `voxkit decode`."""
    return path / CONFUSIONS if path.is_dir() else path


def _identity(path: Path) -> str:
    """A model of `voxkit g2p`, by its weights."""
    from voxkit import bundle

    return digest(bundle.weights(path))
