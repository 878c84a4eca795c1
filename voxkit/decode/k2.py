"""The k2 backend: many utterances at once, on GPU too, to the same word lattices as `voxkit.decode.kaldi`.

k2's search (`intersect_dense_pruned`) wants an arc for every frame, so it runs over `voxkit.decode.frame_graph`, in
single precision; what it leaves is mapped back to HLG's arcs and merged to words exactly as the other backend's
lattices are.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from voxkit.data.lang import Lang
from voxkit.decode.frame_graph import FrameGraph, Hlg
from voxkit.decode.lattice import Hypothesis, Lattice
from voxkit.decode.raw import RawLattice, word_lattice
from voxkit.decode.scores import BEST_ONLY, NARROWER, NARROWEST, Scores, scaled, width
from voxkit.decode.settings import SearchConfig
from voxkit.errors import UserError
from voxkit.nn.k2_package import load_k2

_MOST_ACTIVE = 10_000  # search states a frame, past which k2 narrows the beam by itself
_SLACK = 1e-4  # of beams, for single precision


class K2Decoder:
    """Log-probabilities of a CTC network to word lattices, like `voxkit.decode.kaldi.KaldiDecoder`.

    >>> decoder = K2Decoder(Lang.load(path), SearchConfig(acoustic_scale=1.3), device="cuda")  # doctest: +SKIP
    >>> [lattice.best_path().words for lattice in decoder.batch(utterances)]  # doctest: +SKIP
    [(17, 4), (3,)]

    Args:
        lang: the lang folder, or its path.
        config: beams and scales.
        graph: an HLG in memory instead of the folder's own (`voxkit.decode.graph.build`).
        device: where the search runs.

    Raises:
        UserError: there is no k2 that works, or the folder has no graph, or it is damaged.
    """

    def __init__(
        self,
        lang: Lang | Path,
        config: SearchConfig | None = None,
        graph: Any = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.lang = lang if isinstance(lang, Lang) else Lang.load(lang)
        self.config = config or SearchConfig()
        self.device = torch.device(device)
        self._k2 = load_k2(self.device.type == "cuda")
        try:
            self._graph = FrameGraph(Hlg.from_openfst(_bytes_of(graph) if graph else self.lang.graph.read_bytes()))
        except ValueError as error:
            raise UserError(
                f"{self.lang.graph}: damaged ({error})", fix="make it again with voxkit make-graph"
            ) from error
        self._searched = self._fsa()

    def __call__(self, log_probs: ArrayLike) -> Lattice:
        """Search one utterance, (T, V) float log-probabilities; see `batch`."""
        return self.batch([log_probs])[0]

    def batch(self, utterances: Sequence[ArrayLike]) -> list[Lattice]:
        """Search.

        Args:
            utterances: of each (T, V) float log-probabilities, column 0 the blank.

        Returns:
            The lattices within `lattice_beam` of the best paths, narrowed as `KaldiDecoder` does. If no path reaches
            the end of a sentence, those that are alive at the last frame count as ended.

        Raises:
            ValueError: a shape does not fit the token table, or a value is NaN.
        """
        return self._search(utterances, self.config.lattice_beam)

    def best_path(self, log_probs: ArrayLike) -> Hypothesis:
        """The best hypothesis alone, faster than by way of a lattice. `log_probs` (T, V)."""
        return self.best_lattice(log_probs).best_path()

    def best_lattice(self, log_probs: ArrayLike) -> Lattice:
        """The lattice of (nearly) nothing but the best path. `log_probs` (T, V)."""
        return self._search([log_probs], BEST_ONLY)[0]

    def with_config(self, config: SearchConfig) -> K2Decoder:
        """A decoder with other beams and scales over the same graph, which is not loaded again."""
        other = copy.copy(self)
        other.config = config
        return other

    def words(self, hypothesis: Hypothesis) -> str:
        """The text of a hypothesis."""
        return " ".join(self.lang.words[word] for word in hypothesis.words)

    def _search(self, utterances: Sequence[ArrayLike], lattice_beam: float) -> list[Lattice]:
        num_tokens = len(self.lang.tokens)
        scores = [scaled(log_probs, num_tokens, self.config) for log_probs in utterances]
        found = [Lattice.empty(len(frames)) for frames in scores]
        pending = {index: width(frames, num_tokens) for index, frames in enumerate(scores) if len(frames)}
        while pending:
            narrow = max(pending.values())
            chosen = [index for index, value in pending.items() if value == narrow]
            beams = self.config.beam * narrow, lattice_beam * narrow
            for index, raw in zip(chosen, self._raw_lattices([scores[i] for i in chosen], *beams), strict=True):
                frames = len(scores[index])
                if len(raw.arcs) > self.config.max_states * frames and narrow >= NARROWEST:
                    pending[index] *= NARROWER
                    continue
                found[index] = word_lattice(raw, num_tokens, frames)
                del pending[index]
        return found

    def _raw_lattices(self, scores: Sequence[Scores], beam: float, lattice_beam: float) -> list[RawLattice]:
        padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(frames) for frames in scores], batch_first=True)
        segments = torch.tensor([[index, 0, len(frames)] for index, frames in enumerate(scores)], dtype=torch.int32)
        lattices = self._k2.intersect_dense_pruned(
            self._searched,
            self._k2.DenseFsaVec(padded.to(self.device), segments),
            search_beam=beam,
            output_beam=lattice_beam,
            min_active_states=0,
            max_active_states=_MOST_ACTIVE,
            allow_partial=True,
            frame_idx_name="frame",
        )
        shape = lattices.arcs.shape()
        first_arc = shape.row_splits(2)[shape.row_splits(1).long()].tolist()
        arcs = lattices.arcs.values()[:, :2].cpu().numpy()
        way, frame = (column.cpu().numpy().astype(np.int64) for column in (lattices.way - 1, lattices.frame))
        kept = self._within(lattices, lattice_beam)
        found = []
        for frames, (begin, end) in zip(scores, pairwise(first_arc), strict=True):
            chosen = begin + np.flatnonzero(kept[begin:end])
            parts = arcs[chosen, 0], arcs[chosen, 1], way[chosen], frame[chosen]
            found.append(self._graph.expand(*parts, frames) if len(chosen) else RawLattice([[]], {}))
        return found

    def _within(self, lattices: Any, beam: float) -> NDArray[np.bool_]:
        """Which arcs are on a path that costs at most `beam` more than the best: k2 itself leaves some more."""
        lattices.scores = lattices.scores.masked_fill(lattices.way == 0, 0.0)  # ends that it added cost nothing
        forward, backward, best = (
            score(use_double_scores=True, log_semiring=False)
            for score in (lattices.get_forward_scores, lattices.get_backward_scores, lattices.get_tot_scores)
        )
        shape = lattices.arcs.shape()
        src = shape.row_ids(2).long()
        utterance = shape.row_ids(1).long()[src]
        dst = lattices.arcs.values()[:, 1] + shape.row_splits(1).long()[utterance]
        through = forward[src] + lattices.scores + backward[dst]
        within: NDArray[np.bool_] = (through >= best[utterance] - beam - _SLACK).cpu().numpy()
        return within

    def _fsa(self) -> Any:
        """The graph as k2 has it; every arc knows its number in `way`, counted from 1 (what k2 adds gets 0)."""
        graph = self._graph
        columns = [torch.from_numpy(column).int() for column in (graph.src, graph.dst, graph.label)]
        score = torch.from_numpy(graph.score).view(torch.int32)
        fsa = self._k2.Fsa(torch.stack([*columns, score], dim=1).to(self.device))
        fsa.way = torch.arange(1, len(graph.src) + 1, dtype=torch.int32, device=self.device)
        return self._k2.create_fsa_vec([fsa])


def _bytes_of(graph: Any) -> bytes:
    """A kaldifst graph in OpenFst's binary form."""
    with tempfile.TemporaryDirectory(prefix="voxkit-") as folder:
        file = Path(folder) / "graph.fst"
        if not graph.write(str(file)):
            raise UserError(f"{file}: cannot be written", fix="is the disk full? TMPDIR names another one")
        return file.read_bytes()
