"""From cuts to words: the network, the search, and what they cost."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from voxkit import bundle
from voxkit.bundle import Bundle
from voxkit.commands.decode.command import Decode
from voxkit.config import from_mapping
from voxkit.data.audio import Samples
from voxkit.data.feature_config import FeatureConfig
from voxkit.data.features import Extractor, pad_features
from voxkit.data.lang import Lang
from voxkit.decode.alignment import oracle
from voxkit.decode.confusion import ConfusionNetwork, confusion_network
from voxkit.decode.greedy import GreedyDecoder
from voxkit.decode.k2 import K2Decoder
from voxkit.decode.kaldi import KaldiDecoder
from voxkit.decode.lattice import Hypothesis, Lattice
from voxkit.errors import UserError

if TYPE_CHECKING:
    from lhotse.cut import Cut

LogProbs = NDArray[np.float32]


@dataclass(frozen=True)
class Timed:
    """A hypothesis as text, with the times [s] at which each word starts and ends, and its posterior if known."""

    words: list[str]
    starts: list[float]
    ends: list[float]
    acoustic: float
    graph: float
    posteriors: list[float] | None = None

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Recognised:
    """What was heard in one cut: hypotheses, best first, and the lattice they come from."""

    id: str
    hypotheses: list[Timed]
    lattice: Lattice | None = None
    confusion: ConfusionNetwork | None = None


@dataclass
class Cost:
    """CPU time by stage [s] for so much audio [s]."""

    audio: float = 0.0
    stages: dict[str, float] = field(default_factory=lambda: {"features": 0.0, "network": 0.0, "search": 0.0})

    def add(self, other: Cost) -> None:
        self.audio += other.audio
        for name, seconds in other.stages.items():
            self.stages[name] = self.stages.get(name, 0.0) + seconds

    def line(self, path: object) -> str:
        """`%RTF 0.0123 [ 4.4 s / 356.9 s, features 0.0021, network 0.0070, search 0.0032 ] path`"""
        total, seconds = sum(self.stages.values()), max(self.audio, 1e-9)
        detail = ", ".join(f"{name} {value / seconds:.4f}" for name, value in self.stages.items())
        return f"%RTF {total / seconds:.4f} [ {total:.1f} s / {self.audio:.1f} s, {detail} ] {path}"


class Recogniser:
    """A trained model with its decoder. One core: set torch's threads before many of these run side by side.

    Args:
        exp: experiment or bundle folder.
        graph: lang folder with a graph; None to decode greedily.

    Raises:
        UserError: folders that are not what they should be, or do not go together.
    """

    def __init__(self, exp: Path, graph: Path | None, config: Decode) -> None:
        torch.set_num_threads(1)
        try:
            loaded = bundle.load(exp, config.device)
        except RuntimeError as error:
            raise UserError(f"device {config.device}: {error}", fix="use -s device=cpu") from error
        self.config = config
        if loaded.system != "train_am":
            raise UserError(f"{exp}: a model of {loaded.system}, not of train-am", fix="give an acoustic model")
        self.model = loaded.model
        self.device = next(self.model.parameters(), torch.empty(0)).device  # ONNX graphs have none: the CPU
        self.frame_shift = _frame_shift(loaded)
        self.extractor = Extractor(from_mapping(FeatureConfig, loaded.config["features"], str(loaded.path)))
        own = Lang.load(loaded.assets)
        self.lang = own if graph is None else Lang.load(graph)
        if self.lang.tokens != own.tokens:
            raise UserError(
                f"{graph}: its {len(self.lang.tokens)} tokens are not the {len(own.tokens)} of {exp}",
                fix="make the graph with the lexicon and units that the model was trained with",
            )
        greedy = config.method == "greedy" or (config.method == "auto" and graph is None)
        self.method = "greedy" if greedy else "lattice" if config.method == "auto" else config.method
        self.decoder: GreedyDecoder | KaldiDecoder | K2Decoder
        if greedy:
            self.decoder = GreedyDecoder(self.lang, config.search)
        elif config.backend == "kaldi":
            self.decoder = KaldiDecoder(self.lang, config.search)
        else:
            self.decoder = K2Decoder(self.lang, config.search, device=config.device)
        self._decoders: dict[tuple[float, float], KaldiDecoder | K2Decoder] = {}

    def __call__(self, cuts: Sequence[Cut], samples: Sequence[Samples]) -> tuple[list[Recognised], Cost]:
        """Recognise a batch of lhotse cuts, given their audio at the model's sampling rate."""
        log_probs, cost = self.log_probs(cuts, samples)
        begun = time.process_time()
        lattices = self.decoder.batch(log_probs)
        found = [self._recognise(cut.id, lattice) for cut, lattice in zip(cuts, lattices, strict=True)]
        ended = time.process_time()
        cost.stages["search"] += ended - begun
        if self.config.makes_confusion:
            found = [self._with_confusion(item) for item in found]
            cost.stages["confusion"] = time.process_time() - ended
        return found, cost

    def log_probs(self, cuts: Sequence[Cut], samples: Sequence[Samples]) -> tuple[list[LogProbs], Cost]:
        """Log posteriors (T', V) of each cut.

        Raises:
            UserError: a network that does not give numbers.
        """
        marks = [time.process_time()]
        features, lengths = pad_features([self.extractor(array) for array in samples])
        marks.append(time.process_time())
        with torch.inference_mode():
            output, frames = self.model(features.to(self.device), lengths.to(self.device))
        arrays = output.float().cpu().numpy()
        marks.append(time.process_time())
        found = [array[:count] for array, count in zip(arrays, frames.tolist(), strict=True)]
        for cut, array in zip(cuts, found, strict=True):
            if np.isnan(array).any():
                raise UserError(f"{cut.id}: the network's output is not a number", fix="train the model again")
        stages = {"features": marks[1] - marks[0], "network": marks[2] - marks[1], "search": 0.0}
        return found, Cost(sum(cut.duration for cut in cuts), stages)

    def texts(self, frames: LogProbs, scales: Sequence[tuple[float, float]]) -> list[str]:
        """The best text for each pair of acoustic scale and blank penalty."""
        decoders = [self._scaled(*point) for point in scales]
        return [decoder.words(decoder.best_path(frames)) for decoder in decoders]

    def _scaled(self, scale: float, penalty: float) -> KaldiDecoder | K2Decoder:
        if isinstance(self.decoder, GreedyDecoder):
            raise TypeError("only the search over a graph has scales")
        if (scale, penalty) not in self._decoders:
            search = self.config.search.model_copy(update={"acoustic_scale": scale, "blank_penalty": penalty})
            self._decoders[scale, penalty] = self.decoder.with_config(search)
        return self._decoders[scale, penalty]

    def _recognise(self, cut_id: str, lattice: Lattice) -> Recognised:
        best = lattice.nbest(self.config.nbest) if self.method == "nbest" else [lattice.best_path()]
        timed = [self._timed(hypothesis) for hypothesis in best]
        return Recognised(cut_id, timed, None if self.method == "greedy" else lattice)

    def _with_confusion(self, found: Recognised) -> Recognised:
        """Add the confusion network and the posteriors of the best hypothesis; that of least risk, if asked for.

        Raises:
            UserError: a lattice and a hypothesis that are too long for the memory.
        """
        if found.lattice is None:
            raise TypeError("confusion networks come from lattices")
        mbr = self.method == "mbr"
        best = found.hypotheses[0]
        said = [self.lang.word_ids[word] for word in best.words]
        try:
            network = confusion_network(found.lattice, mbr, words=said)
        except UserError as error:
            raise UserError(f"{found.id}: no confusion network: {error.message}", fix=error.fix) from error
        posteriors, starts, ends = network.spoken()
        if mbr:  # its costs are those of the path that has these words, or most of them
            ids = network.hypothesis.tolist()
            near = oracle(found.lattice, ids).path
            words = [self.lang.words[word] for word in ids]
            best = Timed(words, self._seconds(starts), self._seconds(ends), near.acoustic, near.graph)
        best = replace(best, posteriors=[round(value, 6) for value in posteriors.tolist()])
        return replace(found, hypotheses=[best, *found.hypotheses[1:]], confusion=network)

    def _timed(self, hypothesis: Hypothesis) -> Timed:
        starts, ends = (self._seconds(frames) for frames in (hypothesis.starts, hypothesis.ends))
        words = [self.lang.words[word] for word in hypothesis.words]
        return Timed(words, starts, ends, hypothesis.acoustic, hypothesis.graph)

    def _seconds(self, frames: Iterable[float]) -> list[float]:
        return [round(float(frame) * self.frame_shift, 4) for frame in frames]


def _frame_shift(loaded: Bundle) -> float:
    """Seconds between two output frames of a model; by the config where it is a graph."""
    known = getattr(loaded.model, "frame_shift", None)
    if known is None:
        known = loaded.config["features"]["frame_shift"] * loaded.config["model"]["subsampling"]
    return float(known)
