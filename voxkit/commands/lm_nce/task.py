"""What the training loop needs of language models: sentences of weighted corpora, the loss, and perplexity on dev."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from voxkit import bundle
from voxkit.commands.lm_nce.command import LmNce
from voxkit.commands.lm_nce.corpora import Corpora, lock_of
from voxkit.commands.lm_nce.drawing import drawn
from voxkit.commands.lm_nce.in_use import first as first
from voxkit.commands.lm_nce.in_use import in_use as in_use
from voxkit.commands.lm_nce.model import LmModel
from voxkit.commands.lm_nce.noise import Noise
from voxkit.commands.lm_nce.objective import log_expected, nce, sampled
from voxkit.commands.lm_nce.perplexity import Window, evaluate, some_windows
from voxkit.commands.lm_nce.vocabulary import END, Vocabulary
from voxkit.config import diff, from_mapping, to_dict
from voxkit.data.batching import plan, worst
from voxkit.errors import UserError
from voxkit.progress import say
from voxkit.rundir import CONFIG, RunDir
from voxkit.train import run
from voxkit.train.initial import start_from, weights_of
from voxkit.train.settings import resumable
from voxkit.train.task import Loss, Score

EPOCH = 200_000  # sentences, where the config does not say
NEVER = 20.0  # the bias of a word that never comes is so far below that of the rarest one
COMMAND, TOKENS = "lm-nce train", ".tokens"


@dataclass(frozen=True)
class Batch:
    """`inputs` (B, T) words, `targets` (B, T) the word after each, and `real` (B, T) whether there is one."""

    inputs: Tensor
    targets: Tensor
    real: Tensor

    def to(self, device: torch.device | str) -> Batch:
        return Batch(self.inputs.to(device), self.targets.to(device), self.real.to(device))


def inputs(batch: Batch) -> tuple[Tensor, ...]:
    """What the model is called with."""
    return (batch.inputs, batch.targets, batch.real)


class LmTask:
    """Noise contrastive estimation, cross-entropy, or cross-entropy over samples. A `voxkit.train.task.Task`."""

    system = "lm_nce"
    batch_option = "--set batch.words"

    def __init__(
        self, config: LmNce, folder: Path, kept: Path | None = None, ours: Callable[[], None] | None = None
    ) -> None:
        """Read and check the data.

        Args:
            folder: an existing folder for the assets.
            kept: where the tokens are kept for a run that goes on; none: in `folder`.
            ours: raises an error if that is not this run's to write in; other processes may have come first.

        Raises:
            UserError, DataError: files that are missing or damaged, weights that cannot be found, a model to start
                from that is of another shape.
        """
        self.config = config
        self.initial = initial(config)
        self.corpora = Corpora.make(config, folder, kept, ours)
        self.assets: Mapping[str, Path] = self.corpora.assets
        self.noise = Noise.of(self.corpora.unigram, config.objective.alpha)
        self.weights = {name: weight for name, weight in self.corpora.weights.items() if weight > 0}
        self.texts = {name: self.corpora.tokens(name) for name in self.weights}
        self.sizes = {name: len(text) for name, text in self.texts.items()}
        self.epoch = config.batch.epoch or min(sum(self.sizes.values()), EPOCH)
        words, dev = config.data.dev_words, self.corpora.dev
        self.scored = "train" if dev is None else "dev"
        self.dev = list(self._some_of_train(words) if dev is None else some_windows(dev, words))
        if dev is None:
            say("note: there is no --dev: what is scored, and chooses the weights, are sentences that are learnt from")

    def _some_of_train(self, words: int) -> Iterator[Window]:
        """Of each corpus a share of the words, sentences at equal distances."""
        for name, text in self.texts.items():
            share = words * self.weights[name]
            step = max(1, int((text.sizes.sum(dtype=np.int64) - len(text)) // max(share, 1)))
            yield from (np.array(text[place]) for place in range(0, len(text), step))

    def model(self) -> LmModel:
        """A new model: outputs begin as the words' frequency, or all alike, so that ln Z is about 0."""
        model = LmModel(self.config, self.corpora.vocabulary)
        if self.config.objective.bias == "unigram":
            unigram = self.corpora.unigram
            least = unigram[unigram > 0].min() * math.exp(-NEVER)
            with torch.no_grad():
                model.output.bias.copy_(torch.from_numpy(np.log(np.maximum(unigram, least))))
        start_from(model, self.initial)
        return model

    def account(self) -> str:
        """How large the model is, and what it has learnt from."""
        count = sum(part.numel() for part in LmModel(self.config, self.corpora.vocabulary).parameters())
        unit = "pieces" if self.corpora.vocabulary.pieces is not None else "words"
        shares = " ".join(f"{name} {weight:.3f}" for name, weight in self.corpora.weights.items())
        return f"{count / 1e6:.2f} M parameters; {len(self.corpora.vocabulary)} {unit}; corpora: {shares}"

    def batches(self, split: str, epoch: int) -> TrainBatches:
        """The epoch's batches."""
        return TrainBatches(self, epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The sum over words of what `objective.kind` makes small, per word."""
        aim, count = self.config.objective, batch.real.sum()
        if aim.kind == "softmax":
            (total,) = model(batch.inputs, batch.targets, batch.real)
            return Loss(total, count)
        self.noise = noise = self.noise.to(batch.inputs.device)
        words, targets = noise.draw(aim.noise), batch.targets[batch.real]
        if aim.kind == "sampled":
            words = torch.unique(words)
        target, others = model(batch.inputs, batch.targets, batch.real, words)
        logs = noise.log_q[targets], noise.log_q[words]
        if aim.kind == "sampled":
            expected = [log_expected(log_q, aim.noise) for log_q in logs]
            return Loss(sampled(target, others, targets, words, *expected), count)
        right, wrong = nce(target, others, *(log_q + math.log(aim.noise) for log_q in logs))
        return Loss(right + wrong, count, {"noise": wrong.detach()})

    def score(self, model: nn.Module) -> Score:
        """Perplexity of dev sentences (of some training sentences if there are none), and ln Z."""
        if not isinstance(model, LmModel):
            raise TypeError(f"scores an LmModel, not a {type(model).__name__}")
        found = evaluate(model, self.dev, self.corpora.vocabulary, model.output.weight.device)
        values = {"ppl": found.perplexity, "self_ppl": found.self_perplexity}
        values |= {"mean_ln_z": found.mean_ln_z, "var_ln_z": found.var_ln_z}
        return Score(found.perplexity, "PPL", found.lines(self.scored), values)


class TrainBatches:
    """The batches of one epoch."""

    def __init__(self, task: LmTask, epoch: int) -> None:
        self.texts, batch, seed = task.texts, task.config.batch, task.config.train.seed
        found = drawn(task.sizes, task.weights, task.epoch, seed, epoch)
        self.names = list(found)
        self.corpus = np.repeat(np.arange(len(found)), [len(places) for places in found.values()])
        self.places = np.concatenate(list(found.values()))
        sizes = [self.texts[name].sizes[places] for name, places in found.items()]
        self.sizes = np.concatenate(sizes).astype(np.int64) - 1
        most = max(batch.words, int(self.sizes.max(initial=1)))
        self.plan = plan(self.sizes, most, seed=seed, epoch=epoch, buckets=batch.buckets)

    def __len__(self) -> int:
        return len(self.plan)

    def ids(self, i: int) -> list[str]:
        return [f"{self.names[self.corpus[item]]}:{self.places[item]}" for item in self.plan[i]]

    def worst(self) -> int:
        return worst(self.plan, self.sizes)

    def __getitem__(self, i: int) -> Batch:
        items = self.plan[i]
        table = np.full((len(items), int(self.sizes[items].max()) + 1), END, dtype=np.int64)
        for row, item in enumerate(items):
            window = self.texts[self.names[self.corpus[item]]][int(self.places[item])]
            table[row, : len(window)] = window
        real = np.arange(table.shape[1] - 1) < self.sizes[items][:, None]
        whole = torch.from_numpy(table)
        return Batch(whole[:, :-1].contiguous(), whole[:, 1:].contiguous(), torch.from_numpy(real))


def initial(config: LmNce) -> Mapping[str, Tensor] | None:
    """The weights of the model to start from, if there is one.

    Raises:
        UserError: it is not one of lm-nce, or has another shape; with the difference.
    """
    if config.data.init is None:
        return None
    found = bundle.load(Path(config.data.init))
    if found.system != "lm_nce":
        raise UserError(f"--init {found.path}: made by {found.system}, not by lm-nce", fix="give a language model")
    theirs = to_dict(from_mapping(LmNce, found.config, str(found.path)))["model"]
    ours = to_dict(config)["model"]
    changed = diff({**theirs, "dropout": ours["dropout"]}, ours, "model.")
    if changed:
        raise UserError(
            f"--init {found.path}: its model is not of the kind that is to be trained\n  " + "\n  ".join(changed),
            fix=f"take the model: section of {found.path / CONFIG}, or another --init",
        )
    return weights_of(found)


def retrained(config: LmNce, home: Path, train: Path | None, dev: Path | None) -> LmNce:
    """A config to go on from a bundle, with its words and classes, on one text.

    Raises:
        UserError: the phrases of its classes are not there any more.
    """
    classes = config.data.classes
    if Vocabulary.load(home / bundle.ASSETS).classes and not (classes and Path(classes).is_file()):
        raise UserError(
            f"{home}: its classes are learnt from the phrases in {classes}, which is gone", fix="put the file back"
        )
    texts = {} if train is None else {"train": str(train)}
    scored = () if dev is None else (str(dev),)
    data = {"corpora": texts, "dev": scored, "init": str(home), "words": None}
    weigh = config.weights.model_copy(update={"kind": "size", "given": {}})
    return config.model_copy(update={"data": config.data.model_copy(update=data), "weights": weigh})


def make(config: LmNce, folder: Path) -> LmTask:
    """The task of a config; its assets and tokens go to `folder`."""
    return LmTask(config, folder)


def train(settings: LmNce, out: Path) -> None:
    """Train in an experiment folder, which also keeps the tokens of the texts, OUT/.tokens, for when it goes on.

    Raises:
        UserError, DataError, Interrupted: see `voxkit.train.run.train`. Bad data leave nothing behind.
    """
    main, new = int(os.environ.get("RANK", "0")) == 0, not out.exists()
    _require_ours(settings, out)
    task = partial(LmTask, settings, kept=out / TOKENS, ours=lambda: _require_ours(settings, out))
    try:
        run.train(COMMAND, settings, settings.train, out, lambda folder: task(folder=folder))
    except BaseException:
        if main and not (out / CONFIG).exists():  # tokens stay if they are complete
            lock_of(out / TOKENS).unlink(missing_ok=True)
            if new:
                with suppress(OSError):
                    out.rmdir()
        raise


def _require_ours(settings: LmNce, out: Path) -> None:
    """Raise a UserError if a folder is of another run: no texts are read for one that is refused."""
    if out.is_dir() and any(not name.startswith(".") for name in os.listdir(out)):
        RunDir.require_same(out, COMMAND, settings, resumable=resumable())
