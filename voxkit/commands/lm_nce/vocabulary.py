"""The words or pieces that a language model knows, and the classes that stand for names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import sentencepiece

from voxkit.errors import UserError
from voxkit.rundir import digest, write_atomic

UNKNOWN, BEGIN, END = 0, 1, 2  # ids
MARKS = ("<unk>", "<s>", "</s>")
FILE, PIECES = "vocabulary.json", "pieces.model"  # assets of a bundle


def class_token(name: str) -> str:
    """How a class is written in texts and tables."""
    return f"<class:{name}>"


def known_pieces(processor: sentencepiece.SentencePieceProcessor) -> list[str]:
    """The pieces of a sentencepiece model in its order, without its unknown one."""
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size()) if not processor.is_unknown(i)]


@dataclass(frozen=True)
class Vocabulary:
    """The token of each id: the marks, then the classes, then words or pieces.

    Attributes:
        tokens: (V,) distinct.
        classes: names of classes; that of number n has the id len(MARKS) + n.
        normaliser: what texts are written by before they are looked up.
        pieces: path of the sentencepiece model where tokens are pieces.
    """

    tokens: Sequence[str]
    classes: Sequence[str] = ()
    normaliser: str = "lower"
    pieces: Path | None = None

    @classmethod
    def of(
        cls, words: Sequence[str], classes: Sequence[str] = (), normaliser: str = "lower", pieces: Path | None = None
    ) -> Vocabulary:
        """Marks, classes, and these words or pieces."""
        return cls((*MARKS, *map(class_token, classes), *words), tuple(classes), normaliser, pieces)

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The id of each token."""
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def _processor(self) -> sentencepiece.SentencePieceProcessor:
        return sentencepiece.SentencePieceProcessor(model_file=str(self.pieces))

    def _fits(self) -> bool:
        """Whether the tokens are those of the sentencepiece model."""
        try:
            return list(self.tokens[len(MARKS) + len(self.classes) :]) == known_pieces(self._processor)
        except (OSError, RuntimeError):  # no such model at all
            return False

    def class_id(self, name: str) -> int:
        """The id of a class.

        Raises:
            UserError: the model does not know it.
        """
        try:
            return self.index[class_token(name)]
        except KeyError:
            known = ", ".join(self.classes) or "none"
            raise UserError(
                f"the model knows no class {name!r}", fix=f"its classes: {known}; train with --classes to have more"
            ) from None

    def word_ids(self, word: str) -> tuple[int, ...]:
        """The tokens of a word: one, or its pieces; `<unk>` for a word or piece that is not known."""
        if self.pieces is None:
            return (self._find(word),)
        if word == MARKS[UNKNOWN] or (word in self.index and word.startswith("<class:")):
            return (self.index[word],)
        return tuple(self._find(piece) for piece in self._processor.encode(word, out_type=str))

    def _find(self, token: str) -> int:
        """The id of a word or piece; a mark that stands in a text is none."""
        found = self.index.get(token, UNKNOWN)
        return UNKNOWN if found in (BEGIN, END) else found

    def ids(self, words: Sequence[str]) -> list[int]:
        """The tokens of words, without marks."""
        return [token for word in words for token in self.word_ids(word)]

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens; marks are left out, but not `<unk>`."""
        tokens = [self.tokens[number] for number in ids if number not in (BEGIN, END)]
        return " ".join(tokens) if self.pieces is None else "".join(tokens).replace("\u2581", " ").strip()

    def save(self, folder: Path) -> dict[str, Path]:
        """Write the assets of a bundle into a folder; their paths by name."""
        facts = {"normaliser": self.normaliser, "classes": list(self.classes), "tokens": list(self.tokens)}
        pieces = None if self.pieces is None else digest(self.pieces)
        write_atomic(folder / FILE, json.dumps({**facts, "pieces": pieces}, ensure_ascii=False) + "\n")
        assets = {FILE: folder / FILE}
        if self.pieces is not None:
            if self.pieces != folder / PIECES:
                write_atomic(folder / PIECES, self.pieces.read_bytes())
            assets[PIECES] = folder / PIECES
        return assets

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Read the assets of a bundle.

        Raises:
            UserError: they are missing or damaged, or do not belong together.
        """
        path, pieces = folder / FILE, folder / PIECES
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            tokens, classes, normaliser = facts["tokens"], facts["classes"], facts["normaliser"]
            wanted = facts["pieces"] if "pieces" in facts else digest(pieces) if pieces.exists() else None
            first = [*MARKS, *map(class_token, classes)]
            strings = isinstance(normaliser, str) and all(isinstance(token, str) for token in tokens)
            if not strings or tokens[: len(first)] != first or len(set(tokens)) != len(tokens):
                raise ValueError("not the tokens of a vocabulary")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: cannot be read: {error}", fix="copy the bundle again") from error
        found = cls(tuple(tokens), tuple(classes), normaliser, None if wanted is None else pieces)
        if wanted is not None and (digest(pieces) != wanted or not found._fits()):
            raise UserError(f"{pieces}: does not belong to {FILE} beside it", fix="copy the bundle again")
        return found
