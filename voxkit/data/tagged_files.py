"""Files of sentences, tagged or not, as people have them. What a file is, its name and its content tell.

* JSON lines (`.jsonl`, a folder, or any file whose first character is `{`): a line is a sentence, see `tagged_json`, or
  a Lhotse cut or supervision, whose texts are the sentences.
* CoNLL columns (all other files of tagged text): a word a line, its tag last, between them tabs (in at least half of
  the lines) or spaces, and an empty line after each sentence. Where the first column numbers the words, as in CoNLL-U
  and GermEval 2014, the second has them; of GermEval's two columns of tags the first is taken, that of the outer
  entities. Lines before a sentence that begin with `#` and have no tag are comments; `# id = x` and `# group = x` name
  the sentence and its group. A lone `-DOCSTART-` is passed over. The tag `_` is none. Tags are those of `tag_schemes`.

Either may be gzipped (`.gz`). What else there is where tags are not needed, and is not called `.conll`, `.iob` or
`.bio`, is plain text: `is_plain` tells it from these, and `read` is not for it.
"""

from __future__ import annotations

import codecs
import gzip
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from voxkit.data import tagged_json
from voxkit.data.manifests import CUTS, SUPERVISIONS, manifest_files, read_lines, read_text
from voxkit.data.pipe import decoded, printable, require_lasting
from voxkit.data.pronunciations import hidden_character
from voxkit.data.supervisions import is_manifest, kind_of, supervisions
from voxkit.data.tag_schemes import TAGS_READ, bio, is_tag
from voxkit.data.tagging import OUTSIDE, Sentence
from voxkit.errors import Problems, UserError
from voxkit.progress import say
from voxkit.rundir import write_atomic

FORM = "write word<TAB>tag, and an empty line after each sentence"
COLUMN_NAMES = (".conll", ".iob", ".bio")
NO_TAG = "_"
DOCUMENT = "-DOCSTART-"
MANY = 1000  # lines that show what a file is
FEW = 0.05  # of the lines of columns that may be broken, where nothing but spaces is between the columns

_NAMED = re.compile(r"#\s*(id|sent_id|group)\s*=\s*(.*\S)\s*")
_COMMENT = re.compile(r"#(?!\w)")  # else a hashtag
_SHOWN = 5  # places in a note
_ARRAY = re.compile(rb"\s*\[\s*(?:\{.*)?", re.DOTALL)  # a line that only a JSON array has

Line = tuple[int, str | None]  # its number, and its text; None if it is not UTF-8
Mend = Callable[[str], str | None]  # makes another line of a line, or none


def read(
    paths: Sequence[Path], problems: Problems, tagged: bool, only_spaces: bool = False
) -> tuple[list[Sentence], int]:
    """The good sentences of files, in their order; what is wrong with the others is added to `problems`.

    Sentences without an id get the file's name and their first line as one; an id that was there before gets a number.
    Texts without words are passed over.

    Args:
        tagged: every sentence must have tags; else those of JSON are left out of account, those of columns are taken
            where they are there, and no file may be `is_plain`.
        only_spaces: divide texts at white space only. The words of columns and tokens stay as they are.

    Returns:
        The sentences, and how many items there were with the bad ones, for `Problems.settle`.

    Raises:
        UserError: a file is missing or damaged, is no regular one, or (with `tagged`) holds no sentences, or no tags.
    """
    found: list[Sentence] = []
    total = 0
    files = list(map(Path, paths))
    for path, name in zip(files, own_stems(files), strict=True):
        sentences, items = read_one(path, name, problems, tagged, only_spaces)
        if tagged and not items:
            raise UserError(f"{path}: holds no sentences", fix=FORM)
        found += sentences
        total += items
    return with_own_ids(found), total


def read_one(path: Path, name: str, problems: Problems, tagged: bool, only_spaces: bool) -> tuple[list[Sentence], int]:
    """The sentences of a file, whose ids others may have too.

    Args:
        name: of the file, for ids. The other arguments, the result and the errors are those of `read`.
    """
    if _is_json(path):
        return read_json(path, name, problems, tagged, only_spaces)
    return read_conll(path, name, problems, tagged)


def is_plain(path: Path) -> bool:
    """Whether a file, of which no tags are wanted, is text with a sentence a line.

    Raises:
        UserError: no such file, a damaged one, or none that is a regular one.
    """
    return not (_is_json(path) or _has_columns(path))


def stem(path: Path) -> str:
    """A file's or folder's name without its endings.

    >>> stem(Path("a/NER-de-dev.tsv.gz"))
    'NER-de-dev'
    """
    name = printable(Path(path.name.removesuffix(".gz")).stem or path.resolve().name)
    return "".join("_" if hidden_character(letter) else letter for letter in name)


def own_stems(paths: Iterable[Path]) -> list[str]:
    """The stem of each file; one that was there before gets a number.

    >>> own_stems([Path("a/test.txt"), Path("b/test.txt")])
    ['test', 'test-2']
    """
    times, names = Counter[str](), []
    for name in map(stem, paths):
        times[name] += 1
        names.append(name + (f"-{times[name]}" if times[name] > 1 else ""))
    return names


def source_file(path: Path) -> Path:
    """The file that is read for a path: itself, or the manifest in a folder.

    Raises:
        UserError: it is a pipe or a device, or a folder without a manifest.
    """
    return manifest_files(path, (CUTS, SUPERVISIONS))[0] if require_lasting(path).is_dir() else path


def with_own_ids(sentences: Iterable[Sentence]) -> list[Sentence]:
    """The sentences, no two with the same id: one that was there before gets a number."""
    times = Counter[str]()
    own = []
    for sentence in sentences:
        id = sentence.id
        while id in times:
            times[sentence.id] += 1
            id = f"{sentence.id}~{times[sentence.id]}"
        times[id] = 1
        own.append(sentence if id == sentence.id else replace(sentence, id=id))
    return own


def _is_json(path: Path) -> bool:
    if is_manifest(require_lasting(path)):
        return True
    first = next((text.removeprefix(codecs.BOM_UTF8) for _, text in read_text(path)), b"")
    if _ARRAY.fullmatch(first):
        raise UserError(f"{path}: a JSON array", fix=f"write one object a line: jq -c '.[]' {path}")
    return first.lstrip().startswith(b"{")


def read_json(path: Path, name: str, problems: Problems, tagged: bool, only_spaces: bool) -> tuple[list[Sentence], int]:
    """The sentences of JSON lines, of a manifest, or of the manifest in a folder.

    Args:
        name: of the file, for ids. The other arguments, the result and the errors are those of `read`.
    """
    reader = tagged_json.Reader(problems, tagged, only_spaces)
    found: list[Sentence | None] = []
    empty, broken, before = True, 0, len(problems)
    for line in read_lines(manifest_files(path, (CUTS, SUPERVISIONS)) if is_manifest(path) else [path]):
        empty = False
        id = f"{name}:{line.where.rpartition(':')[2]}"
        line = replace(line, where=printable(line.where))
        if line.data is not None and kind_of(line.data) is None:
            found.append(reader.annotated(line.data, id, line.where))
            continue
        known = len(problems)
        given = supervisions(line, problems)
        broken += len(problems) > known
        found += [reader.supervised(one, id, line.where) for one in given if one.get("text") is not None]
    if reader.cut:
        some = " ".join(reader.cut[:_SHOWN])
        say(f"note: entities of {len(reader.cut)} texts begin or end inside of words, which are divided there: {some}")
    if not empty and not found and len(problems) == before:
        fix = "give cuts with supervisions, or supervisions, that have texts"
        problems.add("no texts", printable(path), name, "no supervision in it has a text", fix)
        broken = 1
    return [sentence for sentence in found if sentence is not None], len(found) + broken


@dataclass(frozen=True, slots=True)
class Layout:
    """How the lines of a file of columns are read; `tag` is None where no column has tags."""

    tabs: bool
    columns: int = 0
    word: int = 0
    tag: int | None = None

    def fields(self, line: str) -> list[str]:
        return [field.strip() for field in line.rstrip().split("\t")] if self.tabs else line.split()

    def is_comment(self, line: str | None) -> bool:
        """Whether a line before a sentence is not its first word; `#` and `#word` are words where they have tags."""
        if line is None or not _COMMENT.match(line):
            return False
        fields = self.fields(line)
        return len(fields) != self.columns or (self.tag is not None and not _is_tag_or_none(fields[self.tag]))


def read_conll(
    path: Path, name: str, problems: Problems, tagged: bool, mend: Mend | None = None
) -> tuple[list[Sentence], int]:
    """The good sentences of a file of columns, and how many there were with the bad ones.

    Args:
        name: of the file, for ids.
        tagged: every sentence must have tags.
        mend: what to read in the place of each line, None for nothing.

    Raises:
        UserError: no such file, a damaged one, or one without tags where they are needed.
    """
    blocks = list(_blocks(read_text(path), mend))
    layout = _layout(blocks)
    if tagged and blocks and layout.tag is None:
        number, line = next((row for block in blocks for row in block if row[1]), (1, ""))
        raise UserError(
            f"{path}:{number}: no tag at the end of {line!r:.80}, nor of most lines", fix=f"{FORM}; {TAGS_READ}"
        )
    found, total = [], 0
    for block in blocks:
        about, rows = _parted(block, layout)
        if rows:
            total += 1
            id = about.get("id") or f"{name}:{rows[0][0]}"
            sentence = _of_rows(rows, layout, path, id, about.get("group", ""), problems, tagged)
            found += [] if sentence is None else [sentence]
    return found, total


def _blocks(lines: Iterable[tuple[int, bytes]], mend: Mend | None) -> Iterator[list[Line]]:
    """Lines between which none is empty, together."""
    block: list[Line] = []
    last, unread = 0, Problems()  # that a line cannot be read is told where its sentence is known
    for number, raw in lines:
        if block and number > last + 1:
            yield block
            block = []
        last = number
        text = decoded(raw, str(number), unread)
        mended = mend(text) if mend is not None and text is not None else text
        if mended is not None or text is None:
            block.append((number, mended))
    if block:
        yield block


def _layout(blocks: Iterable[Sequence[Line]]) -> Layout:
    """What the lines of a file show, most of them."""
    groups = [[text for _, text in block if text and ("\t" in text or not _COMMENT.match(text))] for block in blocks]
    lines = [line for group in groups for line in group]
    plain = Layout(tabs=2 * sum("\t" in line for line in lines) >= len(lines))
    table = [plain.fields(line) for line in lines]
    columns = Counter(map(len, table)).most_common(1)[0][0] if table else 0
    if columns < 2 or 2 * sum(_is_tag_or_none(fields[-1]) for fields in table) < len(table):
        return replace(plain, columns=columns)
    numbered = sum(_is_numbered([plain.fields(line)[0] for line in group]) for group in groups)
    if columns == 2 or 2 * numbered < len(groups):
        return replace(plain, columns=columns, tag=columns - 1)
    nested = columns == 4 and 2 * sum(len(row) == 4 and _is_tag_or_none(row[2]) for row in table) >= len(table)
    return replace(plain, columns=columns, word=1, tag=2 if nested else columns - 1)


def _is_numbered(first: Sequence[str]) -> bool:
    """Whether the first fields of a sentence's lines count them; comments do not."""
    counted = [field for field in first if not field.startswith("#")]
    return bool(counted) and counted == [str(number) for number in range(1, len(counted) + 1)]


def _parted(block: Sequence[Line], layout: Layout) -> tuple[dict[str, str], Sequence[Line]]:
    """What the comments before a sentence name, and its words' lines."""
    about: dict[str, str] = {}
    first = 0
    while first < len(block) and layout.is_comment(block[first][1]):
        if named := _NAMED.fullmatch(block[first][1] or ""):
            about["group" if named[1] == "group" else "id"] = named[2]
        first += 1
    rows = block[first:]
    is_document = not about and len(rows) == 1 and (rows[0][1] or "").startswith(DOCUMENT)
    return about, [] if is_document else rows


def _of_rows(
    rows: Sequence[Line], layout: Layout, path: Path, id: str, group: str, problems: Problems, tagged: bool
) -> Sentence | None:
    """The sentence of some lines; None if anything is wrong with it, all of which is added to `problems`."""
    words, tags, before, name = [], [], len(problems), printable(path)
    for number, line in rows:
        if fault := _fault(line, layout):
            problems.add(fault[0], f"{name}:{number}", id, *fault[1:])
            continue
        fields = layout.fields(line or "")
        words.append(fields[layout.word])
        tags.append(fields[layout.tag] if layout.tag is not None else NO_TAG)
    where = f"{name}:{rows[0][0]}"
    if hidden := hidden_character(id + group):
        what = f"its id or group holds the character U+{ord(hidden):04X}"
        problems.add("control character", where, repr(id)[1:-1], what, "remove it")
    if len(problems) > before:
        return None
    if NO_TAG not in tags:
        return Sentence.of(id, words, bio(tags), where, group)
    if tagged or set(tags) != {NO_TAG}:
        number = rows[tags.index(NO_TAG)][0]
        problems.add("not tagged", f"{name}:{number}", id, f"{words[tags.index(NO_TAG)]!r} has no tag", TAGS_READ)
        return None
    return Sentence.of(id, words, None, where, group)


def _fault(line: str | None, layout: Layout) -> tuple[str, str, str] | None:
    """What is wrong with a word's line: the kind, what it is, and what to do."""
    if line is None:
        return "not UTF-8", "not UTF-8 text", "convert it with iconv -t UTF-8"
    if hidden := hidden_character(line.replace("\t", " ")):
        return "control character", f"it holds the character U+{ord(hidden):04X}", "remove it"
    fields = layout.fields(line)
    if len(fields) != layout.columns:
        named = f"{len(fields)} column{'s' if len(fields) != 1 else ''}"
        return "broken line", f"{named} instead of {layout.columns}: {line!r:.80}", FORM
    if not fields[layout.word]:
        return "no word", "no word before the tag", FORM
    if layout.tag is not None and not _is_tag_or_none(fields[layout.tag]):
        return "bad tag", f"the tag {fields[layout.tag]!r} of {fields[layout.word]!r}", TAGS_READ
    return None


def _is_tag_or_none(text: str) -> bool:
    return text == NO_TAG or is_tag(text)


def _has_columns(path: Path) -> bool:
    """Whether a file that need not have tags is one of columns.

    Texts may end in words like tags, such as S-Bahn. Lines of columns have tabs between them; or they have as many
    words each, a tag last, of which some have a label and some are `O`.
    """
    if path.name.lower().removesuffix(".gz").endswith(COLUMN_NAMES):
        return True
    blocks = list(_blocks(islice(read_text(path), MANY), None))
    layout = _layout(blocks)
    if layout.tag is None or layout.tabs:
        return layout.tag is not None
    rows = [layout.fields(line) for block in blocks for _, line in block if line and not _COMMENT.match(line)]
    good = [row[-1] for row in rows if len(row) == layout.columns and is_tag(row[-1])]
    return len(rows) - len(good) <= FEW * len(rows) and {OUTSIDE} < set(good)


def write_conll(sentences: Iterable[Sentence], path: Path) -> None:
    """Write word<TAB>tag, with ids and groups as comments, so that `read` gives back the same ids, words and tags.

    Words without tags get `_`. The file is gzipped if its name ends in .gz, and whole or not there.

    Raises:
        UserError: a word or tag that could not be read back.
    """
    text = "".join(f"{line}\n" for sentence in sentences for line in conll_lines(sentence))
    write_atomic(path, gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode())


def conll_lines(sentence: Sentence) -> list[str]:
    """The lines of a sentence without their ends, the empty one after it with them; raises as `write_conll`."""
    tags = sentence.tags if sentence.tags is not None else (NO_TAG,) * len(sentence.words)
    rows = [f"{word}\t{tag}" for word, tag in zip(sentence.words, tags, strict=True)]
    layout = Layout(tabs=True, columns=2, tag=1)
    for row, word, tag in zip(rows, sentence.words, tags, strict=True):
        if _fault(row, layout) or layout.fields(row) != [word, tag]:
            raise UserError(f"{sentence.where}: {word!r} with the tag {tag!r} cannot be written as columns", fix=FORM)
    id, group = (" ".join(name.split()) for name in (sentence.id, sentence.group))
    comments = [f"# {name} = {value}" for name, value in (("id", id), ("group", group)) if value]
    return [*comments, *rows, ""]
