"""The default backend: a beam search over HLG (kaldi-decoder) that makes word lattices."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.data.lang import Lang
from voxkit.decode.lattice import Hypothesis, Lattice
from voxkit.decode.raw import RawLattice, word_lattice
from voxkit.decode.settings import SearchConfig
from voxkit.errors import UserError


class KaldiDecoder:
    """Log-probabilities of a CTC network to word lattices.

    >>> decoder = KaldiDecoder(Lang.load(path), SearchConfig(acoustic_scale=1.3))  # doctest: +SKIP
    >>> decoder(log_probs).best_path().words  # doctest: +SKIP
    (17, 4)

    Args:
        lang: the lang folder, or its path.
        config: beams and scales.
        graph: an HLG in memory instead of the folder's own (`voxkit.decode.graph.build`).

    Raises:
        UserError: the folder has no graph, or it is damaged.
    """

    def __init__(self, lang: Lang | Path, config: SearchConfig | None = None, graph: Any = None) -> None:
        import kaldi_decoder
        import kaldifst

        self.lang = lang if isinstance(lang, Lang) else Lang.load(lang)
        self.config = config or SearchConfig()
        if graph is None:
            graph = kaldifst.StdVectorFst.read(str(self.lang.graph))
            if graph is None:
                raise UserError(f"{self.lang.graph}: damaged", fix="make it again with voxkit make-graph")
        self._graph = graph
        memory = Path("/dev/shm")
        self._scratch = tempfile.TemporaryDirectory(
            prefix="voxkit-", dir=memory if os.access(memory, os.W_OK) else None, ignore_cleanup_errors=True
        )
        self._options = kaldi_decoder.LatticeSimpleDecoderConfig(
            beam=self.config.beam, lattice_beam=self.config.lattice_beam
        )
        self._exact = kaldi_decoder.LatticeSimpleDecoderConfig(beam=self.config.beam, lattice_beam=0.01)

    def __call__(self, log_probs: ArrayLike) -> Lattice:
        """Search.

        Args:
            log_probs: (T, V) float log-probabilities, column 0 the blank.

        Returns:
            The lattice within `lattice_beam` of the best path. If no path reaches the end of a sentence, those that
            are alive at the last frame count as ended.

        Raises:
            ValueError: the shape does not fit the token table, or a value is NaN.
        """
        return self._search(log_probs, self._options)

    def best_path(self, log_probs: ArrayLike) -> Hypothesis:
        """The best hypothesis alone, faster than by way of a lattice. `log_probs` (T, V)."""
        return self.best_lattice(log_probs).best_path()

    def best_lattice(self, log_probs: ArrayLike) -> Lattice:
        """The lattice of (nearly) nothing but the best path. `log_probs` (T, V)."""
        return self._search(log_probs, self._exact)

    def words(self, hypothesis: Hypothesis) -> str:
        """The text of a hypothesis."""
        return " ".join(self.lang.words[word] for word in hypothesis.words)

    def _search(self, log_probs: ArrayLike, options: Any) -> Lattice:
        import kaldi_decoder

        scores = self._scores(log_probs)
        num_frames = len(scores)
        if num_frames == 0:
            return Lattice.empty(0)
        decoder = kaldi_decoder.LatticeSimpleDecoder(self._graph, options)
        decoder.decode(kaldi_decoder.DecodableCtc(scores))
        found, raw = decoder.get_raw_lattice()
        if not found:
            return Lattice.empty(num_frames)
        file = Path(self._scratch.name) / "raw.fst"
        raw.write(str(file))  # its binary form: reading the arcs one by one through Python costs ten times as much
        return word_lattice(RawLattice.from_openfst(file.read_bytes()), len(self.lang.tokens), num_frames)

    def _scores(self, log_probs: ArrayLike) -> NDArray[np.float32]:
        """(T, 2V - 1): scaled scores, those of the tokens once more for their word-initial labels."""
        scores = np.array(log_probs, dtype=np.float32)
        if scores.ndim != 2 or scores.shape[1] != len(self.lang.tokens):
            raise ValueError(f"log-probabilities of shape {scores.shape} do not fit {len(self.lang.tokens)} tokens")
        if np.isnan(scores).any():
            raise ValueError("NaN among the log-probabilities")
        scores[:, 0] -= self.config.blank_penalty
        scores *= self.config.acoustic_scale
        return np.ascontiguousarray(np.concatenate([scores, scores[:, 1:]], axis=1))
