"""Corpora of plain text for language models: sentences found in prose, and parts written as a sentence a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from voxkit.data.corpora.tagged import first_files, require_some
from voxkit.data.corpora.writing import REJECTED
from voxkit.data.manifests import read_lines
from voxkit.data.sentences import numbered_lines
from voxkit.errors import Problems, UserError
from voxkit.rundir import write_atomic

Item = TypeVar("Item")
Texts = Mapping[str, Sequence[str]]  # the lines of each file that is written, by its name without .txt

_SHORT = "Mr Mrs Ms Dr St Mme Mlle Mons Messrs Prof Rev Hon Capt Col Gen Lt Sgt Jr Sr Esq vs etc al cf approx ca No Vol"
_SHORTENED = re.compile(rf"(?:^|[^\w.])(?:{'|'.join(_SHORT.split())}|[A-Z]|(?:[A-Za-z]\.)+[A-Za-z])\.$")
_END = re.compile(r"""(?:[.!?\u2026]+["'\u201d\u2019)\]]*)(?=\s+["'\u201c\u2018(\[]*[A-Z0-9\u00c0-\u00de<])""")
_SPACES = re.compile(r"\s+")
_UNTOKENISED = (
    (re.compile(r" ?@([-,.])@ ?"), r"\1"),
    (re.compile(r"(?<=\w) (?=(?:n't|'(?:s|m|d|re|ve|ll|S))\b)"), ""),
    (re.compile(r" (?=[.,;:!?%)\]\u2026](?:\s|$))"), ""),
    (re.compile(r"(?<=[(\[]) "), ""),
)


def one_line(text: str) -> str:
    """A text with single spaces between its words.

    >>> one_line(" Thanks \\n  again .")
    'Thanks again .'
    """
    return _SPACES.sub(" ", text).strip()


def untokenised(text: str) -> str:
    """A text as people write it, from the tokens of a treebank: endings of verbs and punctuation with their words.

    >>> untokenised("I do n't think it 's red @-@ tipped ( or 1 @.@ 5 kg ) , no .")
    "I don't think it's red-tipped (or 1.5 kg), no."
    """
    for pattern, replacement in _UNTOKENISED:
        text = pattern.sub(replacement, text)
    return text


def split(text: str) -> list[str]:
    """The sentences of a text: they end in a full stop or the like and a capital or a digit follows.

    Neither initials nor common abbreviations end a sentence.

    >>> split("Mr. Bennet made no answer. \\u201cYou want to tell me!\\u201d Then J. B. left... or so.")
    ['Mr. Bennet made no answer.', '\\u201cYou want to tell me!\\u201d', 'Then J. B. left... or so.']
    """
    sentences, begin = [], 0
    for found in _END.finditer(text):
        if found[0] == "." and _SHORTENED.search(text[begin : found.end()]):
            continue
        sentences.append(text[begin : found.end()].strip())
        begin = found.end()
    return [sentence for sentence in (*sentences, text[begin:].strip()) if sentence]


def shares(items: Sequence[Item], dev: float, test: float) -> dict[str, Sequence[Item]]:
    """The first items as `train`, then `dev`, and at the end `test`.

    >>> shares("abcdefghij", 0.1, 0.2)
    {'train': 'abcdefg', 'dev': 'h', 'test': 'ij'}
    """
    first, second = (round(len(items) * share) for share in (1 - dev - test, 1 - test))
    return {"train": items[:first], "dev": items[first:second], "test": items[second:]}


def text_lines(path: Path, problems: Problems) -> list[str]:
    """The lines of a text file, plain or gzipped.

    Raises:
        UserError: it cannot be read, or is empty.
    """
    lines = [line for _, line in numbered_lines(path, problems)]
    require_some(len(lines) + len(problems), path)
    return lines


def records(path: Path, id: str, turns: str, text: str, problems: Problems) -> list[dict[str, Any]]:
    """The dialogues of a file, one a line as JSON, that are well formed, sorted by id.

    Args:
        id, turns, text: keys of a dialogue's id, of the list of its turns, and of the text of a turn.
        problems: gets the others.
    """
    found: list[dict[str, Any]] = []
    for line in read_lines([path]):
        form = f'write {{"{id}": "...", "{turns}": [{{"{text}": "..."}}, ...]}}'
        if line.data is None:
            problems.add("broken JSON line", line.where, line.where, line.error, form)
            continue
        several = line.data.get(turns)
        whole = isinstance(several, list) and all(
            isinstance(turn, dict) and isinstance(turn.get(text), str) for turn in several
        )
        if whole and isinstance(line.data.get(id), str):
            found.append(line.data)
            problems.good += 1
        else:
            problems.add("bad dialogue", line.where, line.where, "no id, or not all of its turns have texts", form)
    return sorted(found, key=lambda dialogue: str(dialogue[id]))


def found_files(folder: Path, names: Mapping[str, Iterable[str]]) -> dict[str, Path]:
    """The file of each part, plain or gzipped.

    Raises:
        UserError: one is missing.
    """
    found = first_files(folder, names)
    for part, wanted in names.items():
        if part not in found:
            raise UserError(f"{folder}: no {' or '.join(wanted)}", fix="put the file of the corpus there")
    return found


def write(texts: Texts, folder: Path, problems: Problems, max_bad: float = 0.0) -> str:
    """Write `<part>.txt` for every part that has lines; nothing is written when too much is bad.

    Args:
        problems: what reading the corpus found.
        max_bad: the share of bad items to go on without; they are listed in `rejected.jsonl`.

    Returns:
        The sizes of the parts in words.

    Raises:
        DataError: more than `max_bad` of the items have problems.
        UserError: there is no text.
    """
    good = sum(map(len, texts.values()))
    problems.settle((problems.good or good) + len(problems.bad_ids), max_bad, folder / REJECTED)
    if not good:
        raise UserError("the corpus has no text", fix="check its folder")
    for part, lines in texts.items():
        if lines:
            write_atomic(folder / f"{part}.txt", "".join(f"{line}\n" for line in lines))
    return ", ".join(
        f"{part} {len(lines)} lines with {sum(len(line.split()) for line in lines)} words"
        for part, lines in texts.items()
    )
