"""What the training loop needs of grapheme-to-phoneme conversion: words to batches, the loss, and dev error rates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxkit.commands.g2p.command import G2p
from voxkit.commands.g2p.material import chosen, fitting, judged, read, rewritten
from voxkit.commands.g2p.material import identified as identified
from voxkit.commands.g2p.model import G2pModel, build
from voxkit.commands.g2p.pronounce import Pronouncer
from voxkit.commands.g2p.tables import ANY, END, FILE, PAD, START, UNKNOWN, WORD_END, Tables, spell
from voxkit.commands.g2p.torch_scorer import TorchScorer
from voxkit.data.batching import plan, worst
from voxkit.data.pronunciations import Pronunciation
from voxkit.metrics.pronunciation import PronunciationReport
from voxkit.progress import say
from voxkit.train.task import Loss, Score

SCORED = 500  # training words that are scored where there is no dev set


@dataclass(frozen=True)
class Batch:
    """`letters` (B, T), `lengths` (B,), `language` (B,), `phones` (B, U) that end with the end and are padded with the
    start, and `owners` (B, L), the share of each language in those that have the word."""

    letters: Tensor
    lengths: Tensor
    language: Tensor
    phones: Tensor
    owners: Tensor

    def to(self, device: torch.device | str) -> Batch:
        parts = (self.letters, self.lengths, self.language, self.phones, self.owners)
        return Batch(*(part.to(device) for part in parts))


class G2pTask:
    """Cross-entropy of phones and of the word's languages. A `voxkit.train.task.Task`."""

    system = "g2p"
    batch_option = "--set batch.words"

    def __init__(self, config: G2p, folder: Path) -> None:
        """Read and check the data.

        Args:
            folder: an existing folder for the tables, and for the lists of rows that are left out.

        Raises:
            UserError, DataError: files that are missing or damaged, languages that are not in them.
        """
        self.config = config
        data = config.data
        items = read(data.train, data.max_bad, folder / "rejected_train.jsonl")
        items = chosen(items, data.languages, data.words, "the training data")
        self.items = rewritten(items, config.phones, data.max_bad, folder / "rejected_train_phones.jsonl")
        self.tables = Tables.learn(self.items, config.letters, config.phones)
        self.tables.save(folder / FILE)
        self.items = fitting(self.items, self.tables, data.max_bad, folder / "rejected_long.jsonl")
        self.assets: Mapping[str, Path] = {FILE: folder / FILE}
        if data.dev:
            dev = read(data.dev, data.max_bad, folder / "rejected_dev.jsonl")
            dev = chosen(dev, data.languages, None, "the dev data")
            self.dev = rewritten(dev, config.phones, data.max_bad, folder / "rejected_dev_phones.jsonl")
            self.scored = "dev"
            _tell_strange(self.dev, self.tables)
        else:
            self.dev, self.scored = _some(self.items), "train"
        self.letters = [self.tables.letter_ids(item.word, item.language) for item in self.items]
        self.phones = [[*self.tables.phone_ids(item.phones, item.language), END] for item in self.items]
        self.language = np.array([self.tables.language_ids[item.language] for item in self.items])
        self.sizes = np.array([len(a) + len(b) for a, b in zip(self.letters, self.phones, strict=True)])
        self.owners = _owners(self.items, self.tables, config)

    def model(self) -> G2pModel:
        return build(self.config, self.tables)

    def batches(self, split: str, epoch: int) -> TrainBatches:
        """The epoch's batches; what is drawn and what is hidden follows from (seed, epoch, batch)."""
        return TrainBatches(self, epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The sum over words of the phones' smoothed cross-entropy and of the weighted divergence of languages, per
        phone."""
        log_probs, languages = model(batch.letters, batch.lengths, batch.language, batch.phones)
        real = batch.phones != START
        right = -log_probs.gather(2, batch.phones.unsqueeze(2)).squeeze(2)
        allowed = torch.from_numpy(self.tables.allowed).to(log_probs.device)[batch.language]  # (B, V)
        spread = -(log_probs * allowed.unsqueeze(1)).sum(2) / allowed.sum(1, keepdim=True)
        smoothing = self.config.label_smoothing
        phones = (((1 - smoothing) * right + smoothing * spread) * real).sum()
        divergence = torch.xlogy(batch.owners, batch.owners).sum() - (batch.owners * languages).sum()
        parts = {"phones": (right.detach() * real).sum(), "languages": divergence.detach()}
        return Loss(phones + self.config.language_loss * divergence, real.sum(), parts)

    def score(self, model: nn.Module) -> Score:
        """Error rates of the dev words (of some training words if there are none), without a beam."""
        if not isinstance(model, G2pModel):
            raise TypeError(f"scores a G2pModel, not a {type(model).__name__}")
        report = PronunciationReport(judged(Pronouncer([TorchScorer(model)], beam=1), self.dev))
        rates = report.macro
        over = f"macro over {len(report.by_language)} languages, {report.total.words} words"
        lines = [f"%{name.upper()} {rate:.2f} [ {over} ] {self.scored}" for name, rate in rates._asdict().items()]
        return Score(rates.wer, "WER", lines, rates._asdict())


def make(config: G2p, folder: Path) -> G2pTask:
    """The task of a config; its tables and lists go to `folder`."""
    return G2pTask(config, folder)


class TrainBatches:
    """The batches of one epoch, drawn by language."""

    def __init__(self, task: G2pTask, epoch: int) -> None:
        self.task = task
        config = task.config
        seed = config.train.seed
        self.items = drawn(task.language, config.temperature, np.random.default_rng([seed, epoch]))
        sizes = task.sizes[self.items]
        words = config.batch.words
        self.plan = plan(sizes, float(sizes.max() * words), words, seed=seed, epoch=epoch, buckets=config.batch.buckets)
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.plan)

    def ids(self, i: int) -> list[str]:
        items = (self.task.items[index] for index in self.items[self.plan[i]])
        return [f"{item.language}:{item.word}" for item in items]

    def worst(self) -> int:
        return worst(self.plan, self.sizes)

    def __getitem__(self, i: int) -> Batch:
        task, indices = self.task, self.items[self.plan[i]]
        letters = _padded([task.letters[index] for index in indices], PAD)
        hidden = (torch.rand(letters.shape) < task.config.hide_letters) & (letters > WORD_END)
        language = torch.from_numpy(task.language[indices])
        language[torch.rand(len(indices)) < task.config.hide_language] = ANY
        return Batch(
            letters.masked_fill(hidden, UNKNOWN),
            torch.tensor([len(task.letters[index]) for index in indices]),
            language,
            _padded([task.phones[index] for index in indices], START),
            torch.from_numpy(task.owners[indices]),
        )


def drawn(language: NDArray[np.int64], temperature: float, draw: np.random.Generator) -> NDArray[np.int64]:
    """Indices of the items of an epoch, as many as there are.

    Of a language with n of them, in proportion to n ** (1 / temperature): all of its items equally often but for one
    time, and who has that is drawn anew.
    """
    if temperature == 1.0:
        return np.arange(len(language))
    kinds, counts = np.unique(language, return_counts=True)
    shares = counts ** (1 / temperature)
    wanted = np.maximum(np.round(len(language) * shares / shares.sum()), 1).astype(int)
    chosen_ones = []
    for kind, count in zip(kinds, wanted, strict=True):
        members = np.flatnonzero(language == kind)
        whole, rest = divmod(int(count), len(members))
        chosen_ones += [np.tile(members, whole), draw.permutation(members)[:rest]]
    return np.concatenate(chosen_ones)


def _some(items: Sequence[Pronunciation]) -> list[Pronunciation]:
    """All pronunciations of every so many-th word."""
    words = list(dict.fromkeys((item.language, item.word) for item in items))
    few = set(words[:: max(1, len(words) // SCORED)])
    return [item for item in items if (item.language, item.word) in few]


def _owners(items: Sequence[Pronunciation], tables: Tables, config: G2p) -> NDArray[np.float32]:
    """(items, L): the share of each language in those whose training words have the spelling."""
    spelt = ["".join(spell(item.word, "", config.letters)) for item in items]
    languages: dict[str, set[int]] = defaultdict(set)
    for word, item in zip(spelt, items, strict=True):
        languages[word].add(tables.language_ids[item.language])
    shares = np.zeros((len(items), len(tables.languages)), dtype=np.float32)
    for row, word in enumerate(spelt):
        shares[row, list(languages[word])] = 1 / len(languages[word])
    return shares


def _tell_strange(items: Sequence[Pronunciation], tables: Tables) -> None:
    """Say which phones and languages are scored but not learnt: such words can only be wrong."""
    phones = sorted(
        {
            phone
            for item in items
            for phone, number in zip(item.phones, tables.phone_ids(item.phones, item.language), strict=True)
            if number < 0
        }
    )
    languages = sorted({item.language for item in items} - set(tables.languages))
    for what, names in (("phones", phones), ("languages", languages)):
        if names:
            say(f"note: {len(names)} {what} of the dev data are not in the training data: {' '.join(names[:10])}")


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    table = torch.full((len(rows), max(map(len, rows))), value, dtype=torch.int64)
    for number, row in enumerate(rows):
        table[number, : len(row)] = torch.tensor(row)
    return table
