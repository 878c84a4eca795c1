"""The words to pronounce, as people have them: text, TSV, Lhotse manifests, and what comes through a pipe."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from voxkit.data.lexicon import LANGUAGE
from voxkit.data.pipe import STDIN, decoded
from voxkit.data.pronunciations import hidden_character
from voxkit.data.supervisions import is_manifest, supervisions
from voxkit.errors import Problems
from voxkit.progress import say

FORM = "write word, or word<TAB>language"


class Entry(NamedTuple):
    """A word, and its language where the input names one, else ""."""

    word: str
    language: str = ""


def parse(text: bytes, where: str, problems: Problems) -> Entry | None:
    """A line `word` or `word<TAB>language`; None for an empty one, and for a bad one, which is added to `problems`."""
    line = decoded(text, where, problems)
    if line is None:
        return None
    number = where.rpartition(":")[2]
    word, *more = (column.strip(" \u00a0\u3000") for column in line.split("\t"))
    if not word and not any(more):
        return None
    language = more[0] if more else ""
    if len(more) > 1:
        kind, what, fix = "broken line", f"{len(more) + 1} columns instead of 1 or 2", f"{FORM} (cut -f1 takes one)"
    elif not word:
        kind, what, fix = "no word", "no word before the language", FORM
    elif hidden := hidden_character(word):
        kind, what, fix = "control character", f"it holds the character U+{ord(hidden):04X}", "remove it"
    elif language and not LANGUAGE.fullmatch(language):
        kind, what, fix = "bad language", f"the second column {language!r} is no language tag", f"{FORM}, such as fre"
    else:
        return Entry(word, language)
    problems.add(kind, where, f"{word!r}:{number}", what, fix)
    return None


def read_files(
    paths: Sequence[Path],
    normalise: Callable[[str], str],
    languages: Container[str],
    stdin: bytes | None = None,
) -> list[list[Entry]]:
    """The words of each file. Of all manifests together every word is taken once.

    Args:
        normalise: applied to the texts of manifests.
        languages: those that supervisions may name; what they name else does not count.
        stdin: what came through the pipe, where `-` is among the paths.

    Raises:
        DataError: bad lines, every one with its number.
        UserError: no such file, or a damaged one.
    """
    problems, seen, lists = Problems(), set[Entry](), []
    for path in paths:
        if path == STDIN:
            found = [parse(line, f"stdin:{n}", problems) for n, line in enumerate((stdin or b"").split(b"\n"), start=1)]
        elif is_manifest(path):
            found = list(_spoken(path, normalise, languages, seen, problems))
        else:
            found = _written(path, problems)
        lists.append([entry for entry in found if entry is not None])
    problems.settle(sum(map(len, lists)) + len(problems))
    return lists


def _written(path: Path, problems: Problems) -> list[Entry | None]:
    from voxkit.data.manifests import read_text

    return [parse(text, f"{path}:{number}", problems) for number, text in read_text(path)]


def _spoken(
    path: Path,
    normalise: Callable[[str], str],
    languages: Container[str],
    seen: set[Entry],
    problems: Problems,
) -> Iterator[Entry]:
    """The words of a manifest's texts that were not `seen` before."""
    from voxkit.data.manifests import manifest_files, read_lines

    before, texts, strange = len(problems), 0, set[str]()
    for line in read_lines(manifest_files(path)):
        for supervision in supervisions(line, problems):
            text, language = supervision.get("text"), supervision.get("language")
            if text is not None and not isinstance(text, str):
                problems.add("bad text", line.where, line.id, f"its text is {type(text).__name__}", "write a string")
                continue
            texts += text is not None
            named = language if isinstance(language, str) and language in languages else ""
            if isinstance(language, str) and language and not named:
                strange.add(language)
            for word in normalise(text or "").split():
                entry = Entry(word, named)
                if entry in seen:
                    continue
                seen.add(entry)
                if hidden := hidden_character(word):
                    what = f"{word!r} holds the character U+{ord(hidden):04X}"
                    problems.add("control character", line.where, line.id, what, "remove it")
                else:
                    yield entry
    if strange:
        names = ", ".join(sorted(strange))
        say(f"notice: {path} names languages that the model has not learnt, which do not count: {names}")
    if not texts and len(problems) == before:
        fix = "give cuts with supervisions, or supervisions, that have texts"
        problems.add("no texts", str(path), path.name, "no supervision in it has a text", fix)
