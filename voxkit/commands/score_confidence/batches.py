"""Utterances as batches for the embedding nets; log-mel frames are computed once and kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from voxkit.commands.score_confidence.features import Floats
from voxkit.commands.score_confidence.material import Material
from voxkit.commands.score_confidence.model import Batch
from voxkit.commands.score_confidence.vocabulary import Vocabulary
from voxkit.data import audio
from voxkit.data.audio import AudioError
from voxkit.data.checks import to_cut
from voxkit.data.feature_config import FeatureConfig
from voxkit.data.features import Extractor, pad_features
from voxkit.errors import Problems
from voxkit.progress import track


@dataclass(frozen=True, eq=False)
class Sound:
    """Log-mel frames of utterances, half as precise as they are computed to take half the memory."""

    frames: Sequence[torch.Tensor]  # (T, F) float16 of each utterance
    frame_shift: float

    @classmethod
    def of(cls, material: Material, config: FeatureConfig, shown: bool = True) -> Sound:
        """Compute the features of all utterances from their audio.

        Args:
            shown: whether to show how far it is.

        Raises:
            DataError: audio that is missing or cannot be decoded; every such cut is named.
        """
        extractor, problems, frames = Extractor(config), Problems(), []
        everything = material.utterances
        for utterance in track(everything, len(everything), "log-mel frames", "cuts") if shown else everything:
            try:
                samples = audio.load(to_cut(utterance.cut), config.sampling_rate)
                frames.append(extractor(samples).half())
            except AudioError as error:
                problems.add(error.kind, "audio", utterance.id, error.what, error.fix)
        problems.settle(len(everything))
        return cls(frames, config.frame_shift)


class Batcher:
    """Makes batches of some utterances of a material.

    Args:
        features: (N, D) standardised.
        sound: None leaves the frames out.
    """

    def __init__(self, material: Material, features: Floats, vocabulary: Vocabulary, sound: Sound | None) -> None:
        self.material, self.features, self.vocabulary, self.sound = material, features, vocabulary, sound

    @property
    def frames(self) -> Sequence[torch.Tensor]:
        """(T, F) of each utterance; none without sound."""
        return () if self.sound is None else self.sound.frames

    def __call__(self, chosen: NDArray[np.int64]) -> Batch:
        """The batch of utterances by their indices (B,)."""
        material = self.material
        utterances = [material.utterances[index] for index in chosen]
        places = material.places(chosen)
        words = [word for utterance in utterances for word in utterance.words]
        rivals = [word for utterance in utterances for word in utterance.rivals]
        known = {word: row for row, word in enumerate(dict.fromkeys([*words, *rivals]))}
        spelled = [torch.tensor(self.vocabulary.letters(word)) for word in known]
        letters = torch.nn.utils.rnn.pad_sequence(spelled or [torch.zeros(1)], batch_first=True, padding_value=-1)
        if self.sound is None:
            frames, lengths, rate = torch.zeros(len(chosen), 0, 1), torch.zeros(len(chosen), dtype=torch.int64), 1.0
        else:
            frames, lengths = pad_features([self.sound.frames[index] for index in chosen])
            rate = 1 / self.sound.frame_shift
        spans = np.concatenate([utterance.spans for utterance in utterances]) * rate
        kind = material.kind[places].astype(np.int64)
        rival_right = np.concatenate([utterance.rival_right for utterance in utterances])
        return Batch(
            frames=frames,
            lengths=lengths,
            counts=torch.tensor([len(utterance.words) for utterance in utterances]),
            words=torch.tensor([self.vocabulary.word(word) for word in words], dtype=torch.int64),
            letters=letters.long(),
            claimed=torch.tensor([known[word] for word in words], dtype=torch.int64),
            rival=torch.tensor([known[word] for word in rivals], dtype=torch.int64),
            spans=torch.from_numpy(np.stack([spans[:, 0], np.ceil(spans[:, 1])], axis=1).astype(np.int64)),
            features=torch.from_numpy(self.features[places]),
            kind=torch.from_numpy(kind),
            rival_right=torch.from_numpy(rival_right.astype(np.int64)),
        )
