"""What the training loop needs of named entity recognition: sentences to batches, the loss, and F1 on dev."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from voxkit.bundle import Bundle
from voxkit.commands.ner import pronouncing
from voxkit.commands.ner.command import DataConfig, Ner
from voxkit.commands.ner.crf import Scores, negative_log_likelihood
from voxkit.commands.ner.material import tagged, tell_strange
from voxkit.commands.ner.model import NerModel
from voxkit.commands.ner.pronouncing import Pronouncer, assets
from voxkit.commands.ner.tables import FILE, UNKNOWN, Numbers, Tables
from voxkit.commands.ner.tagger import Tagger
from voxkit.data.batching import plan, worst
from voxkit.data.tagged_files import source_file
from voxkit.data.tagging import Sentence, tags_of
from voxkit.errors import UserError
from voxkit.metrics.entities import EntityReport
from voxkit.progress import say
from voxkit.rundir import digest
from voxkit.train.task import Loss, Score

SHOWN = 8  # words in a note
SCORED = 500  # training sentences that are scored where there is no dev set


def identified(data: DataConfig) -> DataConfig:
    """With digests of the inputs, so that a run is not resumed on others under the same names."""
    files = {file: digest(source_file(Path(file))) for file in (*data.train, *data.dev)}
    return data.model_copy(update={"digests": files})


def with_assets(config: Ner, folder: Path) -> Ner:
    """For more training of a model whose assets are in `folder`: with the pronunciations that it has."""
    if "phones" not in config.units:
        return config
    return config.model_copy(update={"phones": pronouncing.with_assets(config.phones, folder)})


@dataclass(frozen=True)
class Batch:
    """`lengths` (B,), `places` (B, T) among the distinct words, `parts` of these as `NerModel.vectors` takes them, and
    `tags` (B, T)."""

    lengths: Tensor
    places: Tensor
    parts: tuple[Tensor, ...]
    tags: Tensor

    def to(self, device: torch.device | str) -> Batch:
        parts = tuple(part.to(device) for part in self.parts)
        return Batch(self.lengths.to(device), self.places.to(device), parts, self.tags.to(device))


def inputs(batch: Batch) -> tuple[Tensor, ...]:
    """What the model is called with."""
    return (batch.lengths, batch.places, *batch.parts)


def first(call: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The first sentence of what the model is called with."""
    lengths, places, *parts = call
    kept, again = torch.unique(places[0, : int(lengths[0])], return_inverse=True)
    return (lengths[:1], again.unsqueeze(0), *(part[kept] for part in parts))


class NerTask:
    """The CRF's negative log likelihood. A `voxkit.train.task.Task`."""

    system = "ner"
    batch_option = "--set batch.words"

    def __init__(self, config: Ner, folder: Path) -> None:
        """Read and check the data.

        Args:
            folder: an existing folder for the tables, and for the lists of sentences that are left out.

        Raises:
            UserError, DataError: files that are missing or damaged, or hold no entities.
        """
        self.config = config
        data = config.data
        self.sentences = sentences(data.train, config, folder / "rejected_train.jsonl")
        self.sentences = some_of(self.sentences, data.share)
        if not any(sentence.entities() for sentence in self.sentences):
            raise UserError(f"{', '.join(data.train)}: holds no entities", fix="give tagged sentences")
        phones = assets(config.phones, folder) if "phones" in config.units else {}
        self.pronounce = Pronouncer.of_assets(folder, config.phones) if phones else None
        said = self.said([word for sentence in self.sentences for word in sentence.words])
        if said and not all(said.values()):
            silent = [word for word, phones in said.items() if not phones]
            say(f"note: {len(silent)} of {len(said)} words have no phones: {' '.join(silent[:SHOWN])} ...")
        self.tables = Tables.learn(self.sentences, config, said)
        self.tables.save(folder / FILE)
        self.assets: Mapping[str, Path] = {FILE: folder / FILE, **phones}
        if data.dev:
            self.dev, self.scored = sentences(data.dev, config, folder / "rejected_dev.jsonl"), "dev"
            tell_strange(self.dev, self.tables.labels)
        else:
            say("note: there is no --dev: what is scored, and chooses the weights, are sentences that are learnt from")
            self.dev, self.scored = self.sentences[:: -(-len(self.sentences) // SCORED)], "train"
        self._number_words(said)
        self.tags = [np.array(self.tables.tag_numbers(one.tags or ()), dtype=np.int64) for one in self.sentences]
        self.sizes = np.array([len(sentence.words) for sentence in self.sentences])

    def said(self, words: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The phones of words, where the model hears them."""
        return self.pronounce(words) if self.pronounce is not None else {}

    def _number_words(self, said: Mapping[str, Sequence[str]]) -> None:
        """Each distinct word of the training data, and which of them the sentences have."""
        distinct = {word: place for place, word in enumerate(said or _distinct(self.sentences))}
        self.words = list(distinct)
        self.places = [np.array([distinct[word] for word in one.words], dtype=np.int64) for one in self.sentences]
        self.symbols: list[tuple[Numbers, Numbers]] = []  # of each subword unit
        for unit in self.config.subword_units():
            self.symbols.append(self.tables.padded(unit, self.words, [said.get(word, ()) for word in self.words]))
        self.numbers: Numbers | None = None
        if "words" in self.config.units:
            self.numbers = np.array([self.tables.word_number(word) for word in self.words], dtype=np.int64)
            seen = np.array(self.tables.counts, dtype=np.float64)[self.numbers]
            self.hidden = self.config.words.hide / np.maximum(self.config.words.hide + seen, 1e-9)

    def model(self) -> NerModel:
        return NerModel(self.config, self.tables)

    def account(self) -> str:
        """What the model reads."""
        kinds = ", ".join(f"{len(names)} {unit}" for unit, names in self.tables.symbols.items())
        return f"vocabulary: {kinds} ({self.tables.subwords} subword symbols); {len(self.tables.labels)} labels"

    def batches(self, split: str, epoch: int) -> TrainBatches:
        """The epoch's batches."""
        return TrainBatches(self, epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The sum of negative log likelihoods, per word."""
        found: Scores = model(*inputs(batch))
        return Loss(negative_log_likelihood(found, batch.tags, batch.lengths).sum(), batch.lengths.sum())

    def score(self, model: nn.Module) -> Score:
        """F1 on the dev sentences (on some training sentences if there are none)."""
        return _scored(Tagger(model, self.tables, self.config, self.pronounce), self.dev, self.scored)


def make(config: Ner, folder: Path) -> NerTask:
    """The task of a config; its tables and lists go to `folder`."""
    return NerTask(config, folder)


class InUse:
    """A trained model with sentences: what they are to it is told by its own tables, whatever labels they have.

    Args:
        loaded: a bundle of ner.
        files: tagged sentences.
        folder: an existing folder for the list of sentences that are left out.

    Raises:
        UserError, DataError: files that are missing or damaged, or assets of the bundle that are.
    """

    def __init__(self, loaded: Bundle, files: Path, folder: Path) -> None:
        self.tagger = Tagger.of_bundle(loaded)
        self.sentences = sentences([str(files)], self.tagger.config, folder / "rejected.jsonl")

    def calibration(self) -> Iterator[tuple[Tensor, ...]]:
        """What the model is called with for the sentences, which are mixed."""
        batch = self.tagger.config.batch
        sizes = np.array([len(sentence.words) for sentence in self.sentences])
        for some in plan(sizes, max(batch.words, int(sizes.max())), seed=0, epoch=0, buckets=batch.buckets):
            yield self.tagger.inputs([self.sentences[place].words for place in some])

    def score(self, model: nn.Module) -> Score:
        """F1 of a model with the same tables: the bundle's own, or what was made of it."""
        tagger = self.tagger
        tell_strange(self.sentences, tagger.tables.labels)
        return _scored(Tagger(model, tagger.tables, tagger.config, tagger.pronounce), self.sentences, "dev")

    def facts(self) -> dict[str, str]:
        """What a graph of the model says of its numbers."""
        return self.tagger.tables.facts()


def in_use(loaded: Bundle, files: Path, folder: Path) -> InUse:
    """What a trained model is calibrated and scored with; see `InUse`."""
    return InUse(loaded, files, folder)


def _scored(tagger: Tagger, dev: Sequence[Sentence], name: str) -> Score:
    found = [
        tags_of(one.entities, len(sentence.words))
        for one, sentence in zip(tagger.tag(dev, confidence=False), dev, strict=True)
    ]
    report = EntityReport(dev, found, replications=0)
    return Score(100 - report.micro.f1, "100-F1", report.lines(name)[:1], {"f1": report.micro.f1})


class TrainBatches:
    """The batches of one epoch; rare words are unknown now and then."""

    def __init__(self, task: NerTask, epoch: int) -> None:
        self.task = task
        batch, seed = task.config.batch, task.config.train.seed
        most = max(batch.words, int(task.sizes.max()))
        self.plan = plan(task.sizes, most, seed=seed, epoch=epoch, buckets=batch.buckets)

    def __len__(self) -> int:
        return len(self.plan)

    def ids(self, i: int) -> list[str]:
        return [self.task.sentences[index].id for index in self.plan[i]]

    def worst(self) -> int:
        return worst(self.plan, self.task.sizes)

    def __getitem__(self, i: int) -> Batch:
        task, indices = self.task, self.plan[i]
        lengths = task.sizes[indices]
        places, tags = np.zeros((2, len(indices), int(lengths.max())), dtype=np.int64)
        for row, index in enumerate(indices):
            places[row, : lengths[row]], tags[row, : lengths[row]] = task.places[index], task.tags[index]
        distinct, again = np.unique(places, return_inverse=True)
        parts = []
        if task.numbers is not None:
            hidden = torch.rand(len(distinct)).numpy() < task.hidden[distinct]
            parts.append(np.where(hidden, UNKNOWN, task.numbers[distinct]))
        for symbols, counts in task.symbols:
            parts += [symbols[distinct, : counts[distinct].max()], counts[distinct]]
        return Batch(
            torch.from_numpy(lengths),
            torch.from_numpy(again.reshape(places.shape)),
            tuple(map(torch.from_numpy, parts)),
            torch.from_numpy(tags),
        )


def sentences(files: Sequence[str], config: Ner, rejected: Path) -> list[Sentence]:
    """Tagged sentences in the form that the model reads; see `voxkit.commands.ner.material.tagged`."""
    text = config.text
    return tagged([Path(file) for file in files], config.data.max_bad, rejected, text.asr, text.only_spaces)


def some_of(found: Sequence[Sentence], share: float) -> list[Sentence]:
    """A share of the sentences, one at least, in their order; fewer are a part of more."""
    if share == 1.0:
        return list(found)
    order = sorted(range(len(found)), key=lambda place: _shuffled(found[place]))
    return [found[place] for place in sorted(order[: max(1, round(share * len(found)))])]


def _shuffled(sentence: Sentence) -> bytes:
    return hashlib.blake2b(f"{sentence.id}\t{sentence.text}".encode(), digest_size=8).digest()


def _distinct(found: Sequence[Sentence]) -> list[str]:
    return list(dict.fromkeys(word for sentence in found for word in sentence.words))
