"""The default backend: a beam search over HLG (kaldi-decoder) that makes word lattices."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from voxkit.data.lang import Lang
from voxkit.decode.lattice import Hypothesis, Lattice
from voxkit.decode.raw import RawLattice, word_lattice
from voxkit.decode.scores import BEST_ONLY, NARROWER, NARROWEST, Scores, scaled, width
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

    def __call__(self, log_probs: ArrayLike) -> Lattice:
        """Search.

        Args:
            log_probs: (T, V) float log-probabilities, column 0 the blank.

        Returns:
            The lattice within `lattice_beam` of the best path. Outputs that say next to nothing (an untrained network)
            would keep the whole graph alive, so both beams narrow where they are flat or the lattice grows past
            `max_states`. If no path reaches the end of a sentence, those that
            are alive at the last frame count as ended.

        Raises:
            ValueError: the shape does not fit the token table, or a value is NaN.
        """
        return self._search(log_probs, self.config.lattice_beam)

    def batch(self, utterances: Sequence[ArrayLike]) -> list[Lattice]:
        """The lattices of many utterances, each (T, V)."""
        return [self(log_probs) for log_probs in utterances]

    def best_path(self, log_probs: ArrayLike) -> Hypothesis:
        """The best hypothesis alone, faster than by way of a lattice. `log_probs` (T, V)."""
        return self.best_lattice(log_probs).best_path()

    def best_lattice(self, log_probs: ArrayLike) -> Lattice:
        """The lattice of (nearly) nothing but the best path. `log_probs` (T, V)."""
        return self._search(log_probs, BEST_ONLY)

    def with_config(self, config: SearchConfig) -> KaldiDecoder:
        """A decoder with other beams and scales over the same graph, which is not loaded again."""
        return KaldiDecoder(self.lang, config, graph=self._graph)

    def words(self, hypothesis: Hypothesis) -> str:
        """The text of a hypothesis."""
        return " ".join(self.lang.words[word] for word in hypothesis.words)

    def _search(self, log_probs: ArrayLike, lattice_beam: float) -> Lattice:
        scores = scaled(log_probs, len(self.lang.tokens), self.config)
        num_frames = len(scores)
        if num_frames == 0:
            return Lattice.empty(0)
        narrow = width(scores, len(self.lang.tokens))
        while True:
            raw = self._raw_lattice(scores, self.config.beam * narrow, lattice_beam * narrow)
            if raw is None:
                return Lattice.empty(num_frames)
            if raw.num_states <= self.config.max_states * num_frames or narrow < NARROWEST:
                break
            narrow *= NARROWER
        file = Path(self._scratch.name) / "raw.fst"
        # its binary form: reading the arcs one by one through Python costs ten times as much
        if not raw.write(str(file)):
            raise UserError(f"{file}: cannot be written", fix="is the disk full? TMPDIR names another one")
        return word_lattice(RawLattice.from_openfst(file.read_bytes()), len(self.lang.tokens), num_frames)

    def _raw_lattice(self, scores: Scores, beam: float, lattice_beam: float) -> Any:
        import kaldi_decoder

        options = kaldi_decoder.LatticeSimpleDecoderConfig(beam=beam, lattice_beam=lattice_beam)
        decoder = kaldi_decoder.LatticeSimpleDecoder(self._graph, options)
        decoder.decode(kaldi_decoder.DecodableCtc(scores))
        found, raw = decoder.get_raw_lattice()
        return raw if found else None
