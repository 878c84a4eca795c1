"""The lang folder: what `make-graph` writes, `train-am` trains against and `decode` reads.

lang.yaml     units ("phone", "char" or "bpe") and the text normaliser
tokens.txt    the network's outputs in order, `<blk>` (CTC's blank) first
words.txt     `<eps>` first, then the words; `#0` (LM back-off) last
lexicon.txt   word, probability, tokens
spm.model     sentencepiece model (char and bpe)
HLG.fst       decoding graph, where a language model was given
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from voxkit.data.lexicon import BLANK, Lexicon
from voxkit.data.text import normaliser
from voxkit.errors import UserError

Units = Literal["phone", "char", "bpe"]
EPSILON, BACKOFF, BOUNDARY = "<eps>", "#0", "▁"
SETTINGS, TOKENS, WORDS, LEXICON, PIECES, GRAPH = (
    "lang.yaml",
    "tokens.txt",
    "words.txt",
    "lexicon.txt",
    "spm.model",
    "HLG.fst",
)
_REQUIRED = {"phone": (SETTINGS, TOKENS, WORDS, LEXICON), "char": (SETTINGS, TOKENS, WORDS, PIECES)}
_REQUIRED["bpe"] = _REQUIRED["char"]


class Lang:
    """Tokens, words and pronunciations of a lang folder, or of the part of it that a bundle carries.

    Attributes:
        units: what a token is.
        tokens: V names; index 0 is the blank.
        words: names; index 0 is `<eps>`. Word ids in graphs and lattices count in this list.
        normalise: the text normaliser that words and transcripts went through; `normaliser` is its name.
    """

    def __init__(self, path: Path, units: Units, tokens: list[str], words: list[str], normaliser_name: str) -> None:
        self.path, self.units, self.tokens, self.words = path, units, tokens, words
        self.normaliser = normaliser_name
        self.normalise: Callable[[str], str] = normaliser(normaliser_name)
        self.token_ids = {token: index for index, token in enumerate(tokens)}
        self.word_ids = {word: index for index, word in enumerate(words)}

    @classmethod
    def load(cls, path: Path) -> Lang:
        """Read a lang folder.

        Raises:
            UserError: files are missing or damaged.
        """
        path = Path(path)
        try:
            settings = yaml.safe_load((path / SETTINGS).read_text(encoding="utf-8"))
            units = cast(Units, settings["units"])
            missing = [name for name in _REQUIRED[units] if not (path / name).exists()]
            if missing:
                raise UserError(f"{path}: {', '.join(missing)} missing", fix="make the folder again with make-graph")
            tokens, words = (_read_symbols(path / name) for name in (TOKENS, WORDS))
            lang = cls(path, units, tokens, words, settings["normaliser"])
        except FileNotFoundError as error:
            raise UserError(
                f"{path}: not a lang folder ({Path(error.filename).name} missing)",
                fix="make one with make-graph",
            ) from error
        except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: damaged lang folder ({error})", fix="make it again with make-graph") from error
        if not tokens or tokens[0] != BLANK or not words or words[0] != EPSILON:
            raise UserError(f"{path}: the tables must begin with {BLANK} and {EPSILON}", fix="make the folder again")
        return lang

    def save(self, lexicon: Lexicon | None = None) -> None:
        """Write the tables (and the lexicon) into `path`."""
        settings = {"units": self.units, "normaliser": self.normaliser}
        (self.path / SETTINGS).write_text(yaml.safe_dump(settings), encoding="utf-8")
        for name, symbols in ((TOKENS, self.tokens), (WORDS, self.words)):
            text = "".join(f"{symbol} {index}\n" for index, symbol in enumerate(symbols))
            (self.path / name).write_text(text, encoding="utf-8")
        if lexicon is not None:
            text = "".join(f"{word} {probability:.6g} {' '.join(tokens)}\n" for word, tokens, probability in lexicon)
            (self.path / LEXICON).write_text(text, encoding="utf-8")

    @cached_property
    def lexicon(self) -> Lexicon:
        """Pronunciations of the word list, tokens by name."""
        lexicon = Lexicon()
        if (self.path / LEXICON).exists():
            with open(self.path / LEXICON, encoding="utf-8") as file:
                for line in file:
                    word, probability, *tokens = line.split()
                    lexicon.add(word, tuple(tokens), float(probability))
        return lexicon

    @cached_property
    def _pieces(self) -> Any:
        from sentencepiece import SentencePieceProcessor

        return SentencePieceProcessor(model_file=str(self.path / PIECES))

    def pronunciations(self, word: str) -> list[tuple[list[int], float]]:
        """Token ids and probability of every pronunciation; none if the word cannot be said with these tokens.

        Characters and sub-words spell any word whose letters were seen.
        """
        if self.units == "phone":
            known = self.lexicon.entries.get(word, {})
            return [([self.token_ids[token] for token in tokens], p) for tokens, p in known.items()]
        ids = [self.token_ids.get(piece, -1) for piece in self._pieces.encode(word, out_type=str)]
        return [(ids, 1.0)] if ids and min(ids) > 0 else []

    def oov(self, text: str) -> list[str]:
        """The words of a text, in order, that have no pronunciation."""
        return [word for word in text.split() if not self._sayable(word)]

    def __contains__(self, word: object) -> bool:
        """Whether a word of a transcript can be said, once normalised."""
        return isinstance(word, str) and not self.oov(self.normalise(word))

    def _sayable(self, word: str) -> bool:
        return word in self.lexicon if self.units == "phone" else bool(self.pronunciations(word))

    def spell(self, ids: Iterable[int]) -> str:
        """Token ids as text: characters and sub-words joined to words, phones with spaces between them."""
        names = [self.tokens[index] for index in ids]
        return " ".join(names if self.units == "phone" else "".join(names).replace(BOUNDARY, " ").split())

    @property
    def graph(self) -> Path:
        """The decoding graph.

        Raises:
            UserError: the folder was made without a language model.
        """
        if not (self.path / GRAPH).exists():
            raise UserError(
                f"{self.path}: has no decoding graph ({GRAPH})",
                fix="make it with voxkit make-graph and --text or --arpa, or decode without --graph",
            )
        return self.path / GRAPH

    def assets(self) -> dict[str, Path]:
        """The small files that a bundle must carry so that it can decode greedily."""
        return {name: self.path / name for name in _REQUIRED[self.units]}


def _read_symbols(path: Path) -> list[str]:
    symbols = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        symbol, index = line.split()
        if int(index) != number:
            raise ValueError(f"{path.name}:{number + 1}: {index} where {number} should be")
        symbols.append(symbol)
    return symbols


def train_pieces(words: Counter[str], units: Units, size: int, path: Path) -> list[str]:
    """Train sentencepiece on words with counts; write the model to `path` and return its pieces.

    Text is taken as it is (no Unicode normalisation), and pieces do not cross words.

    Raises:
        UserError: the size does not suit the text.
    """
    import io

    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(_repeat(words)),
            model_writer=model,
            model_type="char" if units == "char" else "bpe",
            vocab_size=1 << 16 if units == "char" else size,
            use_all_vocab=units == "char",
            hard_vocab_limit=units != "char",
            character_coverage=1.0,
            normalization_rule_name="identity",
            bos_id=-1,
            eos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).split("] ")[-1].strip()
        raise UserError(
            f"sentencepiece cannot make {size} pieces: {reason}", fix="choose another --vocab-size"
        ) from None
    path.write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size()) if not processor.is_unknown(i)]


def _repeat(words: Counter[str]) -> Iterable[str]:
    """Each word about as often as it occurs, but not millions of times: counts are damped by their square root."""
    for word, count in sorted(words.items()):
        yield " ".join([word] * math.ceil(math.sqrt(count)))
