"""Pronunciation dictionaries in the formats people have: Kaldi's lexicon.txt and lexiconp.txt, TSV, CMUdict."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voxkit.errors import Problems, UserError

BLANK = "<blk>"
RESERVED_WORDS = frozenset({"<eps>", "<s>", "</s>", "#0"})
VARIANT = re.compile(r"(.+)\(\d+\)")
VOWEL_DIGIT = re.compile(r"(?<=[A-Z])\d$")  # the stress in CMUdict's phones
PROBABILITY = "write WORD probability phone ..."
_SILENCE = re.compile(r"<(s|/s|sil)>")  # Sphinx dictionaries list these; CTC has its blank instead
LANGUAGE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")  # a tag such as fre, en-us
_LIKE_PROBABILITY = re.compile(r"([01]\.\d*|\.\d+)(e-?\d+)?|1|\d(\.\d+)?e-\d+")

Line = tuple[int, str, list[str]]  # line number, word, the other columns


@dataclass
class Lexicon:
    """Words and how they are said: `entries[word]` maps each pronunciation (a tuple of phones) to its probability."""

    entries: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)

    def add(self, word: str, phones: tuple[str, ...], probability: float = 1.0) -> None:
        """Add a pronunciation; of two equal ones the more probable counts."""
        known = self.entries.setdefault(word, {})
        known[phones] = max(probability, known.get(phones, 0.0))

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, word: str) -> bool:
        return word in self.entries

    def __iter__(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        """All pronunciations as (word, phones, probability)."""
        for word, pronunciations in self.entries.items():
            for phones, probability in pronunciations.items():
                yield word, phones, probability

    @property
    def phones(self) -> list[str]:
        """Every phone that occurs, sorted."""
        return sorted({phone for _, phones, _ in self for phone in phones})

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        word: Callable[[str], str] = str,
        strip_stress: bool = False,
        max_bad: float = 0.0,
        rejected: Path | None = None,
    ) -> Lexicon:
        """Read a dictionary, gzipped or not.

        A line is `WORD [probability] phone ...`, `WORD<TAB>[probability<TAB>]phone ...`, or as Kaldi's own lexiconp.txt
        has it, `WORD probability<TAB>phone ...`. Whether there are probabilities is decided for the whole file, because
        a phone may be called "1". `WORD(2)` is another pronunciation of `WORD`; lines that start with `;;;` and
        CMUdict's trailing `# comment` are skipped.

        Args:
            word: applied to every word (a text normaliser).
            strip_stress: read CMUdict's `AH0` as `AH`.
            max_bad: share of bad lines that is left out rather than refused.

        Raises:
            DataError: bad lines, every one with its number.
            UserError: no such file, or nothing in it.
        """
        lines, weighted = dictionary(read_text(path, "the lexicon"))
        lexicon, problems = cls(), Problems()
        for number, head, fields in lines:
            where, fix = f"{path}:{number}", "write WORD phone phone ..."
            name = word(base_word(head))
            probability = 1.0
            if weighted and fields:
                try:
                    probability = probability_of(fields[0])
                except ValueError as error:
                    problems.add("bad probability", where, f"{head}:{number}", str(error), PROBABILITY)
                    continue
                fields = fields[1:]
            if len(name.split()) != 1:
                what = "the word contains a space" if name else "no word"
                problems.add("bad word", where, f"{head}:{number}", what, fix)
            elif name in RESERVED_WORDS or name.startswith("#"):
                problems.add(
                    "reserved word", where, f"{head}:{number}", "the name has a meaning in graphs", "rename it"
                )
            elif not fields:
                problems.add("no pronunciation", where, f"{head}:{number}", "no phones after the word", fix)
            elif bad := [phone for phone in fields if is_reserved(phone)]:
                what = f"the phone {bad[0]!r} has a meaning in graphs"
                problems.add("reserved phone", where, f"{head}:{number}", what, "rename it")
            else:
                lexicon.add(name, without_stress(fields) if strip_stress else tuple(fields), probability)
        problems.settle(len(lines), max_bad, rejected)
        if not lexicon:
            raise UserError(f"{path}: no pronunciations in it", fix="give lines of WORD phone phone ...")
        return lexicon


def read_text(path: Path, given: str) -> str:
    """The text of a UTF-8 file, gzipped or not, without a byte order mark; `given` says what should be in it.

    Raises:
        UserError: no such file, damaged, or not UTF-8.
    """
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error}", fix=f"check the path of {given}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error})", fix="convert it with iconv -t UTF-8") from error
    except (EOFError, zlib.error) as error:
        raise UserError(f"{path}: damaged ({error})", fix="get the file again") from error


def is_reserved(phone: str) -> bool:
    """Whether a phone's name has a meaning in graphs."""
    return phone.startswith("#") or phone in ("<eps>", BLANK)


def dictionary(text: str) -> tuple[list[Line], bool]:
    """The lines of a dictionary, and whether the first column after the word is a probability.

    A last column of language tags, as TSV files of pronunciations have it, is left out.
    """
    lines = list(dictionary_lines(_without_languages(text)))
    if has_probabilities(lines):
        return lines, True
    parted = ((number, *_parted(head, fields)) for number, head, fields in lines)
    kaldi = [line for line in parted if not _SILENCE.fullmatch(line[1])]
    return (kaldi, True) if has_probabilities(kaldi) else (lines, False)


def _without_languages(text: str) -> str:
    """`word<TAB>[probability<TAB>]phone phone ...<TAB>language` without the last column, if all lines are like that."""
    lines = [line.rstrip("\r\n \ufeff") for line in text.split("\n")]
    rows = [line.split("\t") for line in lines if line.strip() and not line.startswith(";;;")]
    size = len(rows[0]) if rows else 0
    weighted = [len(row) > 2 and bool(_LIKE_PROBABILITY.fullmatch(row[1].strip())) for row in rows]
    if (
        size != (4 if all(weighted) else 3)
        or any(len(row) != size or not LANGUAGE.fullmatch(row[-1].strip()) for row in rows)
        or not any(" " in row[-2].strip() for row in rows)  # phones in columns of their own
    ):
        return text
    return "\n".join(line.rpartition("\t")[0] or line for line in lines)


def _parted(head: str, fields: list[str]) -> tuple[str, list[str]]:
    """Kaldi's `WORD probability<TAB>phone ...`: what is before the tab in two."""
    word, *last = head.rsplit(maxsplit=1) if head else [head]
    return word, [*last, *fields]


def dictionary_lines(text: str) -> Iterator[Line]:
    """Every line that is not empty, a comment or a silence."""
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip("\r\n \ufeff")
        if not line.strip() or line.startswith(";;;"):
            continue
        head, _, rest = line.partition("\t") if "\t" in line else _first_word(line)
        if not _SILENCE.fullmatch(head.strip()):
            yield number, head.strip(), rest.split(" # ")[0].split()


def base_word(head: str) -> str:
    """The word that `WORD(2)` is another pronunciation of; any other word is its own.

    >>> base_word("the(2)"), base_word("f(x)")
    ('the', 'f(x)')
    """
    variant = VARIANT.fullmatch(head)
    return variant[1].strip(" ") if variant else head


def without_stress(phones: Iterable[str]) -> tuple[str, ...]:
    """CMUdict's phones without the digits of stress: `AH0` becomes `AH`."""
    return tuple(VOWEL_DIGIT.sub("", phone) for phone in phones)


def probability_of(field: str) -> float:
    """A probability in (0, 1].

    Raises:
        ValueError: it is none.
    """
    try:
        probability = float(field)
    except ValueError:
        probability = -1.0
    if not 0 < probability <= 1:
        raise ValueError(f"{field!r} is not a probability in (0, 1], which the other lines have here")
    return probability


def _first_word(line: str) -> tuple[str, str, str]:
    head, *rest = line.split(maxsplit=1)
    return head, " ", rest[0] if rest else ""


def has_probabilities(lines: Iterable[Line]) -> bool:
    """Whether the first column after the word holds probabilities: in most of the lines it looks like one."""
    looks = [len(fields) > 1 and bool(_LIKE_PROBABILITY.fullmatch(fields[0])) for _, _, fields in lines if fields]
    return 2 * sum(looks) > len(looks)
