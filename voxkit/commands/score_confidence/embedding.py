"""Training of the embedding nets, each on the speakers outside its fold, and what they say of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from voxkit.commands.score_confidence.batches import Batcher, Sound
from voxkit.commands.score_confidence.command import PartConfig, TrainConfidence
from voxkit.commands.score_confidence.features import Floats
from voxkit.commands.score_confidence.material import RIGHT, Material
from voxkit.commands.score_confidence.model import (
    AcousticNet,
    Batch,
    HypothesisNet,
    Kind,
    acoustic_net,
    hypothesis_net,
)
from voxkit.commands.score_confidence.vocabulary import Vocabulary
from voxkit.data.batching import plan, worst
from voxkit.metrics.calibration import Judged
from voxkit.train.task import Loss, Score

Indices = NDArray[np.int64]


class Reader:
    """Utterances of a material as the nets read them; the frames are computed when first asked for.

    Args:
        mean, deviation: (D,) to standardise the decoder features with.
        shown: whether to show how far the frames are.
    """

    def __init__(
        self,
        material: Material,
        mean: Floats,
        deviation: Floats,
        vocabulary: Vocabulary,
        settings: TrainConfidence,
        shown: bool = True,
    ) -> None:
        self.material, self.vocabulary, self.settings, self.shown = material, vocabulary, settings, shown
        self.features = ((material.features - mean) / deviation).astype(np.float32)
        self._batchers: dict[Kind, Batcher] = {}

    def batcher(self, kind: Kind) -> Batcher:
        if kind not in self._batchers:
            sound = Sound.of(self.material, self.settings.features, self.shown) if kind == "acoustic" else None
            self._batchers[kind] = Batcher(self.material, self.features, self.vocabulary, sound)
        return self._batchers[kind]

    def sizes(self, kind: Kind) -> tuple[NDArray[np.float64], float]:
        """(U,) what each utterance costs in a batch, and how much a batch may: audio [s], or words."""
        if kind == "hypothesis":
            return np.diff(self.material.bounds).astype(np.float64), self.settings.hypothesis_net.max_words
        shift = self.settings.features.frame_shift
        seconds = np.array([len(frames) * shift for frames in self.batcher(kind).frames])
        return seconds, max(self.settings.acoustic_net.max_duration, seconds.max(initial=0))

    def planned(self, kind: Kind, chosen: Indices) -> list[Indices]:
        """Batches of those of the chosen utterances that have words, with little padding."""
        chosen = chosen[np.diff(self.material.bounds)[chosen] > 0]
        sizes, limit = self.sizes(kind)
        return [chosen[some] for some in plan(sizes[chosen], limit, shuffle=False)]

    @torch.no_grad()
    def embed(self, net: AcousticNet | HypothesisNet, chosen: Indices, found: Floats) -> None:
        """Write the embeddings of the words of some utterances into their rows of `found` (N, E)."""
        kind: Kind = "acoustic" if isinstance(net, AcousticNet) else "hypothesis"
        batcher = self.batcher(kind)
        for some in self.planned(kind, chosen):
            found[self.material.places(some)] = net.eval().embedding(batcher(some)).numpy()

    def averaged(self, nets: Sequence[AcousticNet | HypothesisNet]) -> Floats:
        """(N, E) the embeddings of all words, averaged over the nets."""
        everything = np.arange(len(self.material.utterances))
        found = np.zeros((len(nets), len(self.material.kind), nets[0].size), dtype=np.float32)
        for net, rows in zip(nets, found, strict=True):
            self.embed(net, everything, rows)
        return found.mean(axis=0)


class EmbeddingTask:
    """A net that tells right from substituted from inserted words. A `voxkit.train.task.Task`.

    Args:
        heard, held_out: indices of the utterances to learn from and to score on; all have words.
    """

    system = "score_confidence"
    MATCH = 0.5  # weight of the question whether claimed word and rival were said

    def __init__(
        self, config: PartConfig, assets: Mapping[str, Path], reader: Reader, heard: Indices, held_out: Indices
    ) -> None:
        self.config, self.assets, self.reader = config, assets, reader
        self.kind: Kind = "acoustic" if config.part == "acoustic" else "hypothesis"
        self.heard, self.held_out = heard, held_out
        self.batcher = reader.batcher(self.kind)
        self.batch_option = f"--set {self.kind}_net.max_" + ("duration" if self.kind == "acoustic" else "words")

    @property
    def seed(self) -> int:
        net = self.config.acoustic_net if self.kind == "acoustic" else self.config.hypothesis_net
        return net.train.seed

    def model(self) -> nn.Module:
        """A new net; the acoustic one normalises by the frames that it will hear."""
        if self.kind == "hypothesis":
            return hypothesis_net(self.config, self.reader.vocabulary)
        net = acoustic_net(self.config, self.reader.vocabulary)
        some = self.heard[:: max(1, len(self.heard) // 500)]
        frames = torch.cat([self.batcher.frames[index] for index in some]).float()
        net.mean.copy_(frames.mean(dim=0))
        net.deviation.copy_(frames.std(dim=0).clamp(min=1e-3))
        return net

    def batches(self, split: str, epoch: int) -> EmbeddingBatches:
        return EmbeddingBatches(self, epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Cross entropy of the outcomes, and of whether claimed words and their rivals were said, per word."""
        outcome, match = model(batch)
        known = batch.kind >= 0
        total = nn.functional.cross_entropy(outcome[known], batch.kind[known], reduction="sum")
        if match is not None:
            said = torch.stack([batch.kind == RIGHT, batch.rival_right == 1], 1)[known, : match.shape[1]]
            odds = match[known]
            total = total + self.MATCH * nn.functional.binary_cross_entropy_with_logits(
                odds, said.to(odds.dtype), reduction="sum"
            )
        return Loss(total, known.sum())

    def score(self, model: nn.Module) -> Score:
        """NCE and EER of the held-out words."""
        device = next(model.parameters()).device
        confidence, right = [np.zeros(0)], [np.zeros(0, dtype=bool)]
        for some in self.reader.planned(self.kind, self.held_out):
            batch = self.batcher(some).to(device)
            known = batch.kind >= 0
            probability = model(batch)[0].softmax(1)[:, RIGHT]
            confidence.append(probability[known].double().cpu().numpy())
            right.append((batch.kind == RIGHT)[known].cpu().numpy())
        found = Judged.of(np.clip(np.concatenate(confidence), 0, 1), np.concatenate(right)).measures()
        return Score(-found.nce, "-NCE", [f"%NCE {found.nce:.2f} %EER {found.eer:.2f}"], {"eer": found.eer})


class EmbeddingBatches:
    """One epoch; a pure function of (seed, epoch, i)."""

    def __init__(self, task: EmbeddingTask, epoch: int) -> None:
        self.task = task
        sizes, limit = task.reader.sizes(task.kind)
        self.costs = sizes[task.heard]
        self.plan = plan(self.costs, limit, seed=task.seed, epoch=epoch, buckets=10)

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, i: int) -> Batch:
        return self.task.batcher(self.task.heard[self.plan[i]])

    def ids(self, i: int) -> list[str]:
        utterances = self.task.reader.material.utterances
        return [utterances[index].id for index in self.task.heard[self.plan[i]]]

    def worst(self) -> int:
        return worst(self.plan, self.costs)
