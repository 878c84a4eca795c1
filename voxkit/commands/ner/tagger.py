"""A trained model that finds entities: in torch, or as a graph that onnxruntime runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from voxkit import bundle
from voxkit.bundle import Bundle
from voxkit.commands.ner.command import Ner
from voxkit.commands.ner.crf import Scores
from voxkit.commands.ner.decoding import Chain, Doubles
from voxkit.commands.ner.model import NerModel
from voxkit.commands.ner.pronouncing import Pronouncer
from voxkit.commands.ner.tables import FILE, Tables
from voxkit.config import from_mapping
from voxkit.data.batching import plan
from voxkit.data.tagging import Entity, Sentence, spoken
from voxkit.errors import UserError
from voxkit.onnx_model import OnnxModel
from voxkit.rundir import digest

WORDS_AT_ONCE = 2000  # of sentences that are tagged together, padding included
REMEMBERED = 100_000  # words whose vectors are kept


class Tagged(NamedTuple):
    """The entities of a sentence in order, and how probable it is that exactly these words are that entity."""

    entities: tuple[Entity, ...]
    confidence: tuple[float, ...]


class Tagger:
    """Finds entities.

    What a word looks like does not depend on its neighbours, so the vectors of words are computed once and kept.

    Args:
        model: in eval mode, on whatever device it is; or an exported one.
        pronounce: where the model hears phones.
    """

    def __init__(
        self,
        model: nn.Module,
        tables: Tables,
        config: Ner,
        pronounce: Pronouncer | None = None,
        path: Path | None = None,
    ) -> None:
        self.model, self.tables, self.config, self.path = model, tables, config, path
        self.asr, self.only_spaces = config.text.asr, config.text.only_spaces
        self.pronounce = pronounce
        self._chain: Chain | None = None
        self._places: dict[str, int] = {}
        self._vectors = torch.empty(0, 0)

    @classmethod
    def load(cls, path: Path, threads: int = 1) -> Tagger:
        """From an experiment or bundle folder of train or quantize, or what export wrote.

        Raises:
            UserError: none there, or one of another system.
        """
        torch.set_num_threads(threads)
        loaded = bundle.load(path)
        if loaded.system != "ner":
            raise UserError(f"{path}: a model of {loaded.system}, not of ner", fix="give a folder of ner train")
        return cls.of_bundle(loaded)

    @classmethod
    def of_bundle(cls, loaded: Bundle) -> Tagger:
        """From a bundle of ner, with all that it brought.

        Raises:
            UserError: assets that are missing, damaged, or those of another model.
        """
        config = from_mapping(Ner, loaded.config, f"{loaded.path}: config")
        tables = Tables.load(loaded.assets / FILE, config.units)
        if isinstance(loaded.model, OnnxModel):
            tables.require_facts(loaded.model.facts, loaded.assets / FILE)
        pronounce = Pronouncer.of_assets(loaded.assets, config.phones) if "phones" in config.units else None
        return cls(loaded.model, tables, config, pronounce, loaded.path)

    def inputs(self, rows: Sequence[Sequence[str]]) -> tuple[Tensor, ...]:
        """What `NerModel.forward` takes for sentences of some words each, which are `prepared`."""
        words = list(dict.fromkeys(word for row in rows for word in row))
        places = _placed(rows, {word: number for number, word in enumerate(words)})
        return (torch.tensor([len(row) for row in rows]), places, *self._parts(words))

    def identity(self) -> str:
        """Of the model, by all files of its bundle."""
        if self.path is None:
            raise ValueError("a model in memory has no files")
        parts = (f"{file.relative_to(self.path)} {digest(file)}\n" for file in bundle.files(self.path))
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def prepared(self, sentence: Sentence) -> Sentence:
        """A sentence in the form that the model reads."""
        return spoken(sentence) if self.asr else sentence

    @torch.inference_mode()
    def tag(self, sentences: Sequence[Sentence], confidence: bool = True) -> list[Tagged]:
        """The entities of sentences that are `prepared`, in their order; none in one without words.

        Args:
            confidence: whether to compute it, too; otherwise there is none.
        """
        found = [Tagged((), ())] * len(sentences)
        some = [place for place, sentence in enumerate(sentences) if sentence.words]
        sizes = np.array([len(sentences[place].words) for place in some])
        for batch in plan(sizes, max(WORDS_AT_ONCE, *sizes), shuffle=False) if some else ():
            places = [some[index] for index in batch]
            scores = self._scores([sentences[place].words for place in places])
            for place, emissions in zip(places, scores.emissions.double().cpu().numpy(), strict=True):
                found[place] = self._decoded(scores, emissions[: len(sentences[place].words)], confidence)
        return found

    def _decoded(self, scores: Scores, emissions: Doubles, confidence: bool) -> Tagged:
        if self._chain is None:  # it is the same for all sentences
            self._chain = Chain(self.tables.tags, *(part.double().cpu().numpy() for part in scores[1:]))
        entities = self._chain.entities(self._chain.best(emissions))
        return Tagged(entities, tuple(self._chain.probabilities(emissions, entities)) if confidence else ())

    def _scores(self, rows: Sequence[Sequence[str]]) -> Scores:
        """What the model says of sentences' words, (B, T, C) and the CRF's."""
        if not isinstance(self.model, NerModel):
            return Scores(*self.model(*self.inputs(rows)))
        places = _placed(rows, self._known(list(dict.fromkeys(word for row in rows for word in row))))
        lengths, device = torch.tensor([len(row) for row in rows]), self._vectors.device
        emissions = self.model.emissions(self._vectors[places.to(device)], lengths.to(device))
        return Scores(emissions, *self.model.crf())

    def _known(self, words: Sequence[str]) -> dict[str, int]:
        """Where the vectors of words are; those of new ones are added."""
        if len(self._places) > REMEMBERED:
            self._places, self._vectors = {}, torch.empty(0, 0)
        new = [word for word in words if word not in self._places]
        if new and isinstance(self.model, NerModel):
            device = next(self.model.parameters()).device
            rows = self.model.vectors(*(part.to(device) for part in self._parts(new)))
            start, end = len(self._places), len(self._places) + len(new)
            if end > len(self._vectors):  # twice the room, so that copying does not add up
                larger = rows.new_zeros(max(2 * len(self._vectors), end, 256), rows.shape[1])
                larger[:start] = self._vectors[:start] if start else larger[:0]
                self._vectors = larger
            self._vectors[start:end] = rows
            self._places |= {word: start + place for place, word in enumerate(new)}
        return self._places

    def _parts(self, words: Sequence[str]) -> list[Tensor]:
        """Distinct words as `NerModel.vectors` takes them."""
        said = self.pronounce(words) if self.pronounce is not None else {}
        phones = [said.get(word, ()) for word in words]
        parts: list[Tensor] = []
        for unit in self.tables.symbols:
            if unit == "words":
                parts.append(torch.tensor([self.tables.word_number(word) for word in words]))
            else:
                parts += map(torch.from_numpy, self.tables.padded(unit, words, phones))
        return parts


def _placed(rows: Sequence[Sequence[str]], known: Mapping[str, int]) -> Tensor:
    """Sentences of at least one word as the places of their words (B, T)."""
    places = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    for number, row in enumerate(rows):
        places[number, : len(row)] = torch.tensor([known[word] for word in row])
    return places
