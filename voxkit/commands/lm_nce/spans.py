"""Names that belong to a user, such as contacts: phrases that may stand where the model expects their class.

A hypothesis with a user's phrase has several readings: as its words, or with the class in the place of the phrase,
which then costs -ln P(class | words before) - ln P_user(phrase | class), and the words after follow the class. Its
probability is the sum over all readings, each phrase read either way, where phrases do not overlap.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from voxkit.commands.lm_nce.name_table import Phrase, read_names
from voxkit.commands.lm_nce.vocabulary import Vocabulary
from voxkit.data.text import normaliser
from voxkit.errors import UserError


@dataclass(frozen=True)
class Span:
    """Words [start, end) of a hypothesis that are a phrase of a class: its token, and ln P_user(phrase | class)."""

    start: int
    end: int
    token: int
    score: float


@dataclass(frozen=True)
class Reading:
    """Some spans of a hypothesis as classes, in their order, and the sum of their ln P_user(phrase | class)."""

    spans: tuple[Span, ...] = ()
    score: float = 0.0


class Phrases:
    """What one user may mean: ln P_user(phrase | class) of each phrase in each of its classes, by weight.

    Args:
        weights: of the user's own phrases.
        shared: phrases that others may mean too, whose weights are added.
    """

    def __init__(self, weights: Mapping[tuple[int, Phrase], float], shared: Phrases | None = None) -> None:
        self._totals: defaultdict[int, float] = defaultdict(float)
        self._weights: defaultdict[Phrase, dict[int, float]] = defaultdict(dict)
        self._lengths: defaultdict[str, set[int]] = defaultdict(set)
        self._parts: tuple[Phrases, ...] = (self,) if shared is None else (self, *shared._parts)
        for (token, phrase), weight in weights.items():
            self._totals[token] += weight
            self._weights[phrase][token] = weight
            self._lengths[phrase[0]].add(len(phrase))

    def scores(self, phrase: Phrase) -> list[tuple[int, float]]:
        """ln P_user(phrase | class) of each of its classes, by the class's token."""
        found: defaultdict[int, float] = defaultdict(float)
        for part in self._parts:
            for token, weight in part._weights.get(phrase, {}).items():
                found[token] += weight
        return [
            (token, math.log(weight / sum(part._totals.get(token, 0.0) for part in self._parts)))
            for token, weight in sorted(found.items())
        ]

    def spans(self, words: Sequence[str]) -> list[Span]:
        """Where phrases are, overlapping ones too."""
        return [
            Span(start, start + length, token, score)
            for start, word in enumerate(words)
            for length in sorted(set().union(*(part._lengths.get(word, ()) for part in self._parts)))
            if start + length <= len(words)
            for token, score in self.scores(tuple(words[start : start + length]))
        ]

    def readings(self, words: Sequence[str], most: int) -> list[Reading]:
        """The first `most` readings, those with fewer classes first; the first has none."""
        found, grown = [Reading()], [Reading()]
        spans = self.spans(words)
        while spans and grown and len(found) < most:
            grown = [
                Reading((*reading.spans, span), reading.score + span.score)
                for reading in grown
                for span in spans
                if not reading.spans or reading.spans[-1].end <= span.start
            ]
            found += grown
        return found[:most]


class Names:
    """The phrases of all users.

    Args:
        phrases: weight of each (class token, phrase), by user; those of "" are everyone's.

    Attributes:
        users: who has phrases, "" left out.
        phrases: of all users.
    """

    def __init__(self, phrases: Mapping[str, Mapping[tuple[int, Phrase], float]]) -> None:
        self.users = tuple(user for user in phrases if user)
        self.phrases = tuple(dict.fromkeys(phrase for own in phrases.values() for _, phrase in own))
        self._everyone = Phrases(phrases.get("", {}))
        self._of = {user: Phrases(own, self._everyone) for user, own in phrases.items() if user}

    def of(self, user: str) -> Phrases:
        """What a user may mean; one who is not known has everyone's phrases."""
        return self._of.get(user, self._everyone)

    def told(self, words: Set[str] | None, speakers: Set[str]) -> list[str]:
        """How many names there are, and which of them are of no use; the first few of these are named.

        Args:
            words: what a recogniser may say; None if that is not known.
            speakers: whose voices are recognised.
        """
        lines = [f"names: phrases: {len(self.phrases)}, users with phrases of their own: {len(self.users)}"]
        never = [] if words is None else [" ".join(one) for one in self.phrases if not set(one) <= words]
        if never:
            what = "phrases can never be recognised, as the recogniser does not know all their words"
            lines.append(f"warning: {len(never)} of {len(self.phrases)} {what}: {_first(never)}")
        if strangers := [user for user in self.users if user not in speakers]:
            what = "users of names are no speakers of the cuts"
            lines.append(f"warning: {len(strangers)} of {len(self.users)} {what}: {_first(strangers)}")
        return lines

    @classmethod
    def read(cls, path: Path, vocabulary: Vocabulary) -> Names:
        """Read a table of names (see `name_table`).

        Raises:
            UserError: a file that cannot be read, or classes that the model does not know.
            DataError: lines that are not such rows.
        """
        found: defaultdict[str, defaultdict[tuple[int, Phrase], float]] = defaultdict(lambda: defaultdict(float))
        unknown: dict[str, str] = {}
        fix = ""
        for name in read_names(path, normaliser(vocabulary.normaliser)):
            try:
                found[name.user][vocabulary.class_id(name.label), name.phrase] += name.weight
            except UserError as error:
                unknown.setdefault(name.label, f"{name.where}: {error.message}")
                fix = error.fix
        if unknown:
            raise UserError("\n".join(unknown.values()), fix=fix)
        return cls(found)


def _first(items: Sequence[str], most: int = 5) -> str:
    return ", ".join(items[:most]) + (", ..." if len(items) > most else "")
