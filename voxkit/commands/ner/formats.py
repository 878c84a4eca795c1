"""The ways to write the entities of a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from voxkit.commands.ner.results import Answer
from voxkit.data.tagged_files import conll_lines

INLINE = "inline"  # where no other is asked for
ENTITIES = "entities"  # the field of a JSON object, or among the custom ones of a supervision

_BREAK = re.compile(r"\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")  # where a text would go on in another line
_SPECIAL = re.compile(r"[\\\[\]]")
_SPECIAL_IN_LABEL = re.compile(r"[\\()]")


def inline(answer: Answer) -> str:
    r"""The text as it is with its entities marked: `play [yesterday](track)`.

    A backslash is set before the brackets and backslashes of the text itself, and before parentheses in labels. A line
    break is a space, so that a text is a line.
    """
    text, place, pieces = answer.sentence.text, 0, []
    for found in answer.found():
        label = _SPECIAL_IN_LABEL.sub(r"\\\g<0>", found.label)
        pieces += [_escaped(text[place : found.start]), f"[{_escaped(found.text)}]({label})"]
        place = found.end
    return "".join([*pieces, _escaped(text[place:]), "\n"])


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", _BREAK.sub(" ", text))


def tsv(answer: Answer) -> str:
    """A row for each entity: sentence, start and end in characters, label, confidence, text."""
    id = " ".join(answer.sentence.id.split())
    rows = [
        (id, str(found.start), str(found.end), found.label, f"{found.confidence:.4f}", " ".join(found.text.split()))
        for found in answer.found()
    ]
    return "".join("\t".join(row) + "\n" for row in rows)


def jsonl(answer: Answer) -> str:
    """An object: id, text and entities (label, text, confidence, start and end in characters), and group if any."""
    one = answer.sentence
    data = {"id": one.id, "text": one.text, ENTITIES: [found._asdict() for found in answer.found()]}
    return json.dumps({**data, **({"group": one.group} if one.group else {})}, ensure_ascii=False) + "\n"


def conll(answer: Answer) -> str:
    """The words as the model read them, each with its BIO tag; nothing for a sentence without words."""
    return "".join(f"{line}\n" for line in conll_lines(answer.tagged())) if answer.sentence.words else ""


FORMATS: dict[str, tuple[Callable[[Answer], str], str]] = {  # what writes each, and how its files end
    INLINE: (inline, "txt"),
    "tsv": (tsv, "tsv"),
    "jsonl": (jsonl, "jsonl"),
    "conll": (conll, "conll"),
}
