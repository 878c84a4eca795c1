"""The ways to write tags that files have, and what they are in BIO.

Known are IOB1 and IOB2 (BIO), IOE, BIOES (IOBES), BILOU, and BMES with an O. As conlleval has it, an entity also begins
where a tag goes on with nothing, and goes on only within its label. Read so, a file need not say which of these it is:
what IOB1 and IOB2 write differently, an `I-` after something else, is the beginning of an entity in both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from voxkit.data.tagging import OUTSIDE, entities, tags_of

BEGIN = "BSUW"  # begin, single, unit, whole
END = "ESLUW"  # end, single, last, unit, whole
TAGS_READ = "write O, B-label or I-label (E-, S-, L-, U- and M- are read too)"

_TAG = re.compile(r"O|[BIESLUMW]-\S(.*\S)?")


def is_tag(text: str) -> bool:
    """Whether a text is a tag in one of the schemes.

    >>> is_tag("B-city"), is_tag("O"), is_tag("city"), is_tag("I-")
    (True, True, False, False)
    """
    return _TAG.fullmatch(text) is not None


def bio(tags: Sequence[str]) -> tuple[str, ...]:
    """The BIO tags of the same entities.

    >>> bio(["I-city", "B-city", "E-city", "S-day", "O", "U-day"])
    ('B-city', 'B-city', 'I-city', 'B-day', 'O', 'B-day')
    """
    plain, ended = [], True
    for tag in tags:
        kind, _, label = tag.partition("-")
        begins = ended or kind in BEGIN
        plain.append(f"{'B' if begins else 'I'}-{label}" if kind != OUTSIDE else OUTSIDE)
        ended = kind in END
    return tags_of(entities(plain), len(plain))
