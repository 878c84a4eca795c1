"""What the training loop needs of an acoustic model: cuts to batches, the loss, and dev error rates."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voxkit.commands.train_am.command import AugmentConfig, TrainAm
from voxkit.commands.train_am.model import AcousticModel, build
from voxkit.data.batching import plan, worst
from voxkit.data.features import Extractor, pad_features
from voxkit.data.lang import GRAPH, Lang
from voxkit.data.manifests import check_cuts, open_cuts
from voxkit.errors import UserError
from voxkit.metrics.edit import Errors, errors
from voxkit.nn.graph_ctc import GraphBatch, batch_graphs, graph_ctc_loss, label_graph
from voxkit.progress import say
from voxkit.train.task import Loss, Score


@dataclass(frozen=True)
class Batch:
    """`features` (B, T, F), `lengths` (B,), the transcripts' graphs, and a weight for each utterance (B,)."""

    features: Tensor
    lengths: Tensor
    graphs: GraphBatch
    weights: Tensor

    def to(self, device: torch.device | str) -> Batch:
        return Batch(self.features.to(device), self.lengths.to(device), self.graphs.to(device), self.weights.to(device))


class AcousticTask:
    """CTC over the pronunciations of the transcripts. A `voxkit.train.task.Task`."""

    system = "train_am"
    batch_option = "--set batch.max_duration"

    def __init__(self, config: TrainAm, run: Path) -> None:
        """Check and index the data.

        Args:
            run: the experiment folder; cuts that are left out are listed there in `rejected.jsonl`.

        Raises:
            UserError, DataError: inputs that are missing or damaged, words without pronunciation.
        """
        self.config = config
        self.lang = Lang.load(Path(config.data.lang))
        self.assets: Mapping[str, Path] = self.lang.assets()
        self.extractor = Extractor(config.features)
        self.train_cuts = self._open(config.data.train, run / "rejected.jsonl")
        if config.data.dev:
            self.scored, self.dev_cuts = "dev", self._open(config.data.dev, run / "rejected_dev.jsonl")
        else:
            self.scored, self.dev_cuts = "train", self.train_cuts[:: max(1, len(self.train_cuts) // 100)]
        self.noises = [] if config.data.noise is None else list(open_cuts(config.data.noise))
        audio = config.augment
        self.changes_audio = audio.speeds != (1.0,) or audio.volume > 0 or bool(self.noises and audio.noise)
        if self.changes_audio and any(cut.has_features for cut in self.train_cuts):
            say("note: the cuts have features, but the audio is to be augmented: they are computed anew")
        graphs = [label_graph(self._slots(cut)) for cut in self.train_cuts]
        fastest = max(config.augment.speeds)
        shift, factor = config.features.frame_shift, config.model.subsampling
        feasible = [
            int(cut.duration / fastest / shift / factor) >= graph.min_frames
            for cut, graph in zip(self.train_cuts, graphs, strict=True)
        ]
        if not all(feasible):
            dropped = [cut.id for cut, fits in zip(self.train_cuts, feasible, strict=True) if not fits]
            say(f"left out: {len(dropped)} cuts too short for their transcripts: {' '.join(dropped[:5])} ...")
        self.train_cuts = [cut for cut, fits in zip(self.train_cuts, feasible, strict=True) if fits]
        self.graphs = [graph for graph, fits in zip(graphs, feasible, strict=True) if fits]
        if not self.train_cuts:
            raise UserError("no cut is left to train on", fix="check transcripts, durations and model.subsampling")

    def model(self) -> AcousticModel:
        """A new model that normalises with the statistics of the training set."""
        model = build(self.config, len(self.lang.tokens))
        total, square = torch.zeros(2, self.extractor.dim, dtype=torch.float64)
        frames = 0
        step = max(1, len(self.train_cuts) // 500)
        for cut in self.train_cuts[::step]:
            features = self.features(cut).double()
            total, square = total + features.sum(0), square + features.square().sum(0)
            frames += len(features)
        mean = total / frames
        model.mean.copy_(mean)
        model.deviation.copy_((square / frames - mean**2).clamp(min=1e-4).sqrt())
        return model

    def batches(self, split: str, epoch: int) -> TrainBatches:
        """The epoch's batches; speeds, volumes and noises are drawn from (seed, epoch, cut)."""
        return TrainBatches(self, epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The sum over utterances of weight * -log P(transcript), per weighted output frame."""
        log_probs, lengths = model(batch.features, batch.lengths)
        losses = graph_ctc_loss(log_probs, lengths, batch.graphs)
        return Loss((losses * batch.weights).sum(), (lengths * batch.weights).sum())

    def score(self, model: nn.Module) -> Score:
        """Error rates of the dev cuts, or of some training cuts if there are none.

        PER is that of greedily decoded units; WER is there where it is clear how words are found.
        """
        from voxkit.decode.greedy import greedy

        to_text = self._decoder()
        edits, total = 0, 0
        words = Errors()
        for cuts, log_probs in self.posteriors(model, self.dev_cuts):
            for cut, frames in zip(cuts, log_probs, strict=True):
                slots = self._slots(cut)
                edits += distance_to_graph(slots, greedy(frames))
                total += sum(len(slot[0][0]) for slot in slots)
                if to_text is not None:
                    words += errors(self._text(cut).split(), to_text(frames).split())
        rate = 100 * edits / max(total, 1)
        name = {"phone": "PER", "char": "CER", "bpe": "TER"}[self.lang.units]
        lines, values = [f"%{name} {rate:.2f} [ {edits} / {total} ] {self.scored}"], {name.lower(): rate}
        if to_text is not None:
            lines, values = [words.line("WER", self.scored), *lines], {"wer": words.rate, **values}
        return Score(rate, name, lines, values)

    def _decoder(self) -> Callable[[np.ndarray], str] | None:
        """Log posteriors to text: through the graph if the lang folder has one, else by spelling where units spell."""
        if (self.lang.path / GRAPH).exists():
            from voxkit.decode.kaldi import KaldiDecoder

            decoder = KaldiDecoder(self.lang)
            return lambda frames: decoder.words(decoder.best_path(frames))
        if self.lang.units == "phone":
            return None
        from voxkit.decode.greedy import greedy

        return lambda frames: self.lang.spell(greedy(frames))

    @torch.no_grad()
    def posteriors(self, model: nn.Module, cuts: Sequence[Any]) -> list[tuple[list[Any], list[np.ndarray]]]:
        """Log posteriors (T', V) of each cut, batch by batch."""
        device = next(model.parameters()).device
        order = plan([cut.duration for cut in cuts], self.config.batch.max_duration, 64, seed=0, epoch=0, shuffle=False)
        found = []
        for indices in order:
            chosen = [cuts[i] for i in indices]
            features, lengths = pad_features([self.features(cut) for cut in chosen])
            log_probs, lengths = model(features.to(device), lengths.to(device))
            frames = [row[:length].cpu().numpy() for row, length in zip(log_probs, lengths.tolist(), strict=True)]
            found.append((chosen, frames))
        return found

    def features(self, cut: Any) -> Tensor:
        """(T, F): the cut's own features if it has any, else computed from its audio."""
        if cut.has_features:
            return torch.from_numpy(cut.load_features()).float()
        return self.extractor(cut.load_audio()[0])

    def _open(self, path: str, rejected: Path) -> list[Any]:
        data, rate = self.config.data, self.config.features.sampling_rate
        good = check_cuts(
            open_cuts(path),
            path,
            sampling_rate=rate,
            need_text=True,
            vocabulary=self.lang,
            max_bad=data.max_bad,
            rejected=rejected if os.environ.get("RANK", "0") == "0" else None,  # all processes see the same cuts
        )
        cuts = list(good.trim_to_supervisions(keep_overlapping=False))
        if any(cut.has_features and cut.num_features != self.extractor.dim for cut in cuts):
            raise UserError(
                f"{path}: its features are not of the kind that the config asks for ({self.extractor.dim} channels)",
                fix="give train-am the --config of featurize's features, or cuts without features",
            )
        return cuts

    def _text(self, cut: Any) -> str:
        return self.lang.normalise(cut.supervisions[0].text)

    def _slots(self, cut: Any) -> list[list[tuple[list[int], float]]]:
        return [self.lang.pronunciations(word) for word in self._text(cut).split()]


class TrainBatches:
    """One epoch, loaded batch by batch; a pure function of (seed, epoch, i)."""

    def __init__(self, task: AcousticTask, epoch: int) -> None:
        self.task, self.epoch = task, epoch
        config = task.config
        self.seed = config.train.seed
        draw = np.random.default_rng([self.seed, epoch])
        self.speeds = draw.choice(config.augment.speeds, size=len(task.train_cuts))
        self.durations = np.array([cut.duration for cut in task.train_cuts]) / self.speeds
        batch = config.batch
        self.plan = plan(
            self.durations, batch.max_duration, batch.max_cuts, seed=self.seed, epoch=epoch, buckets=batch.buckets
        )

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, i: int) -> Batch:
        task = self.task
        features, lengths = pad_features([self._features(int(index)) for index in self.plan[i]])
        graphs = batch_graphs([task.graphs[index] for index in self.plan[i]])
        weights = [float((task.train_cuts[k].supervisions[0].custom or {}).get("weight", 1.0)) for k in self.plan[i]]
        return Batch(features, lengths, graphs, torch.tensor(weights))

    def ids(self, i: int) -> list[str]:
        return [self.task.train_cuts[index].id for index in self.plan[i]]

    def worst(self) -> int:
        return worst(self.plan, self.durations)

    def _features(self, index: int) -> Tensor:
        task, cut = self.task, self.task.train_cuts[index]
        if not task.changes_audio:
            return task.features(cut)
        draw = np.random.default_rng([self.seed, self.epoch, index])
        return task.extractor(augment(cut, float(self.speeds[index]), task.config.augment, task.noises, draw))


def augment(
    cut: Any, speed: float, config: AugmentConfig, noises: Sequence[Any], draw: np.random.Generator
) -> np.ndarray:
    """The samples (N,) of a cut with another speed and level and, given noises, perhaps one of them mixed in."""
    if speed != 1.0:
        cut = cut.perturb_speed(speed)
    if noises and draw.random() < config.noise:
        noise = noises[int(draw.integers(len(noises)))]
        if noise.duration > cut.duration:
            noise = noise.truncate(offset=draw.uniform(0, noise.duration - cut.duration), duration=cut.duration)
        cut = cut.mix(noise, snr=draw.uniform(*config.snr)).truncate(duration=cut.duration)
    samples: np.ndarray = cut.load_audio()[0]
    return samples * np.float32(10 ** (draw.uniform(-config.volume, config.volume) / 20))


def distance_to_graph(slots: Sequence[Sequence[tuple[Sequence[int], float]]], units: Sequence[int]) -> int:
    """The fewest edits between a unit sequence and any choice of one pronunciation per slot."""
    row = np.arange(len(units) + 1)
    given = np.asarray(units, dtype=np.int64)
    ramp = np.arange(len(units) + 1)
    for slot in slots:
        ends = []
        for ids, _ in slot:
            current = row
            for unit in ids:
                best = current + 1  # the unit is missing
                best[1:] = np.minimum(best[1:], current[:-1] + (given != unit))
                current = np.minimum.accumulate(best - ramp) + ramp  # units too many
            ends.append(current)
        row = np.min(ends, axis=0)
    return int(row[-1])
