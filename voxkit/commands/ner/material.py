"""Tagged sentences that are scored or changed, read and checked. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxkit.data.pipe import printable
from voxkit.data.tagged_files import read, source_file
from voxkit.data.tagging import Sentence, spoken
from voxkit.errors import Problems, UserError
from voxkit.progress import say
from voxkit.rundir import digest

_SHOWN = 10  # labels in a note


def tagged(
    paths: Sequence[Path], max_bad: float, rejected: Path | None, asr_text: bool, only_spaces: bool = False
) -> list[Sentence]:
    """The sentences of files, without those of which nothing is left.

    Args:
        max_bad: the share of bad sentences that is left out.
        rejected: where to list these.
        asr_text: write them as a recogniser does.
        only_spaces: leave punctuation at words where a text is divided.

    Raises:
        DataError: more than `max_bad` of them are bad.
        UserError: no such file, or nothing in it.
    """
    problems = Problems()
    found, total = read(paths, problems, tagged=True, only_spaces=only_spaces)
    problems.settle(total, max_bad, rejected, count=total - len(found))
    kept = [one for one in (map(spoken, found) if asr_text else found) if one.words]
    names = ", ".join(map(str, paths))
    if not kept and found:
        raise UserError(f"{names}: holds nothing but punctuation", fix="leave out --asr-text, or give other sentences")
    if not kept:
        raise UserError(f"{names}: holds no sentences", fix="check the command that made it")
    if len(kept) < len(found):
        say(f"note: {len(found) - len(kept)} sentences without words are left out")
    return kept


def tell_strange(sentences: Sequence[Sentence], labels: Sequence[str]) -> None:
    """Say which labels a model does not know: their entities can only be missed."""
    strange = sorted({entity.label for one in sentences for entity in one.entities()} - set(labels))
    if strange:
        names = " ".join(strange[:_SHOWN]) + (" ..." if len(strange) > _SHOWN else "")
        say(f"note: the model has not learnt {names}; their entities count as missed")


def digests(paths: Sequence[Path]) -> list[dict[str, str]]:
    """What files are, in their order, for the spec of an output folder; of a folder, the manifest in it.

    Raises:
        UserError: one cannot be read, or not again: a pipe.
    """
    return [{printable(file.resolve()): digest(file)} for file in map(source_file, paths)]
