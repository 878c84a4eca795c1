"""A trained language model with text, as `voxkit quantize` calibrates and scores it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from voxkit.bundle import Bundle
from voxkit.commands.lm_nce.command import LmNce
from voxkit.commands.lm_nce.model import LmModel, State, take
from voxkit.commands.lm_nce.perplexity import evaluate, some_windows
from voxkit.commands.lm_nce.reading import read, reader_of
from voxkit.commands.lm_nce.scorer import OnnxScorer, TorchScorer, facts_of, scorer_of
from voxkit.commands.lm_nce.vocabulary import END
from voxkit.config import from_mapping
from voxkit.errors import UserError
from voxkit.onnx_model import OnnxModel
from voxkit.train.task import Score

SENTENCES = 20_000  # that are read, at most
TOGETHER = 32  # sentences that the hypotheses of a call come from
HYPOTHESES = 256  # in a call, about


def first(call: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The first hypothesis of what a model is called with for a step, and the words that are scored after it."""
    words, *state, asked, parents = call
    mine = parents == 0
    return (words[:1], *(part[:1] for part in state), asked[mine], parents[mine])


class InUse:
    """A model with sentences.

    Args:
        loaded: a bundle of lm-nce, in torch.
        files: a text or manifest.

    Raises:
        UserError, DataError: a file that is missing or damaged.
    """

    def __init__(self, loaded: Bundle, files: Path) -> None:
        scorer = scorer_of(loaded)
        if isinstance(scorer, OnnxScorer):
            raise UserError(f"{loaded.path}: is an ONNX graph", fix="give the bundle it came from")
        self.scorer, self.assets = scorer, loaded.assets
        self.config = from_mapping(LmNce, loaded.config, f"{loaded.path}: config")
        self.sentences = list(islice(read(files, scorer.vocabulary), SENTENCES))

    def calibration(self) -> Iterator[tuple[Tensor, ...]]:
        """What the model is called with: steps at all places of sentences, which are mixed, and the words that come."""
        random = torch.Generator().manual_seed(0)
        order = torch.randperm(len(self.sentences), generator=random).tolist()
        for start in range(0, len(order), TOGETHER):
            windows = [w for n in order[start : start + TOGETHER] for w in self.sentences[n].windows(self._longest)]
            yield self._steps([torch.from_numpy(window) for window in windows], random)

    @property
    def _longest(self) -> int:
        return self.config.batch.longest

    @torch.no_grad()
    def _steps(self, windows: Sequence[Tensor], random: torch.Generator) -> tuple[Tensor, ...]:
        lengths = torch.tensor([len(window) - 1 for window in windows])
        padded = pad_sequence(list(windows), batch_first=True, padding_value=END)
        chosen = torch.rand(padded.shape, generator=random) < HYPOTHESES / int(lengths.sum())
        chosen[0, 0] = True  # one at least
        state, model = self.scorer.start(len(windows)), self.scorer.model
        words: list[Tensor] = []
        asked: list[Tensor] = []
        states: list[State] = []
        for place in range(padded.shape[1] - 1):
            rows = torch.nonzero((lengths > place) & chosen[:, place]).squeeze(1)
            if len(rows):
                words.append(padded[rows, place])
                asked.append(padded[rows, place + 1])
                states.append(take(state, rows))
            _, state = model.advance(padded[:, place], state)
        found = torch.cat(words)
        return (found, *self.scorer.join(states), torch.cat(asked), torch.arange(len(found)))

    def score(self, model: nn.Module) -> Score:
        """Perplexity by a model with the same vocabulary: the bundle's own, or what was made of it."""
        vocabulary = self.scorer.vocabulary
        if isinstance(model, OnnxModel):
            reader = reader_of(OnnxScorer(model, self.config, vocabulary))
        elif isinstance(model, LmModel):
            reader = reader_of(TorchScorer(model))
        else:
            raise TypeError(f"scores an LmModel, not a {type(model).__name__}")
        windows = [window for one in self.sentences for window in one.windows(self._longest)]
        found = evaluate(reader, list(some_windows(windows, self.config.data.dev_words)), vocabulary)
        return Score(found.perplexity, "PPL", found.lines("dev"), {"ppl": found.perplexity})

    def facts(self) -> Mapping[str, str]:
        """What a graph of the model says of its words."""
        return facts_of(self.assets)


def in_use(loaded: Bundle, files: Path, folder: Path) -> InUse:
    """What a trained model is calibrated and scored with; see `InUse`."""
    return InUse(loaded, files)
