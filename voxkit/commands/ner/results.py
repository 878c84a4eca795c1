"""What `ner apply` finds: the entities of sentences, and where they are in their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from voxkit.commands.ner.tagger import Tagger
from voxkit.data.tagging import Entity, Sentence, divided, spoken, tags_of

AT_ONCE = 64  # sentences; among more of them, more are of similar length


class Found(NamedTuple):
    """An entity of a text: the characters `start` to `end`, which is not one of them."""

    label: str
    text: str
    confidence: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A sentence as the model read it, and its entities, in the order of the words, with their confidences."""

    sentence: Sentence
    entities: tuple[Entity, ...] = ()
    confidence: tuple[float, ...] = ()

    def found(self) -> list[Found]:
        """The entities in the sentence's text."""
        return [
            Found(entity.label, self.sentence.surface(entity), confidence, *self.sentence.span(entity))
            for entity, confidence in zip(self.entities, self.confidence, strict=True)
        ]

    def tagged(self) -> Sentence:
        """The sentence with the tags of the entities."""
        one = self.sentence
        tags = tags_of(self.entities, len(one.words))
        return Sentence(one.id, one.words, tags, one.where, one.text, one.spans, one.group)


class Finder:
    """Finds entities in sentences.

    Args:
        asr_text: write sentences as a recogniser does, whatever the model was trained on.
        least: confidence that an entity must have.
    """

    def __init__(self, tagger: Tagger, asr_text: bool = False, least: float = 0.0) -> None:
        self.tagger, self.asr_text, self.least = tagger, asr_text, least

    def prepared(self, sentence: Sentence) -> Sentence:
        """As the model reads it; the text and places in it stay."""
        ready = self.tagger.prepared(sentence)
        return spoken(ready) if self.asr_text and not self.tagger.asr else ready

    def divided(self, id: str, text: str, where: str) -> Sentence:
        """A sentence of a text; see `tagging.divided`."""
        return divided(id, text, where, self.tagger.only_spaces)

    def __call__(self, sentences: Sequence[Sentence]) -> list[Answer]:
        """The answers to sentences, in their order; there is nothing in one without words."""
        ready = [self.prepared(sentence) for sentence in sentences]
        answers = list(map(Answer, ready))
        places = [place for place, sentence in enumerate(ready) if sentence.words]
        found = self.tagger.tag([ready[place] for place in places]) if places else []
        for place, tagged in zip(places, found, strict=True):
            shares = map(rounded, tagged.confidence)
            sure = [pair for pair in zip(tagged.entities, shares, strict=True) if pair[1] >= self.least]
            answers[place] = Answer(ready[place], tuple(one for one, _ in sure), tuple(share for _, share in sure))
        return answers


def rounded(probability: float) -> float:
    """To six digits, as it is written."""
    return float(f"{min(max(probability, 0.0), 1.0):.6g}")
