"""Selection by entropy reduction: utterances that the recogniser was unsure of, and that the rest of the pool confirms.

After Chen and Leutnant, "Acoustic model bootstrapping with semi-supervised learning" (Interspeech 2019), as far as a
summary of it tells: at every position the two most probable words are taken, other data support or contradict the
estimate, and what counts is how far the entropy falls. The formulas are this project's own reading of that. For a
bin whose label has the share p of what the label and its rival have together, within [1 - ceiling, ceiling]:

    p_new = (m p + n+) / (m + n+ + n-)    n+, n-: sums of likeness * certainty of the neighbours for and against it
    gain  = H(p) - H(p_new)               H is `evidence.uncertainty`
    worth = gain * enough / (enough + r)  if gain > 0, else gain; r: sum of likeness of neighbours labelled or chosen

and for an utterance with E expected wrong words (`EntropyReduction.expected_errors`):

    score = sum of worth / seconds - lambda E / words

The factor with r makes the next block look elsewhere. It lowers gains only: having chosen the like of a bin before
takes nothing from what speaks against its label.

An utterance is refused, and never chosen, if its gains (not their worth) add up to less than 0: then the pool
contradicts more than it confirms, which must not hang on what was chosen before. With `least`, it is also refused if
sum of gain / seconds - lambda E / words is below that. A negative score by itself refuses nothing: the utterance
comes late, and is taken if the budget is not filled by then.

The certainty of a neighbour is p in the pool and 1 if it is labelled. From the block in which it was chosen it is
max(p, p_new): the label is trained on as it stands, so what confirmed it adds to its weight, and what contradicted it,
in an utterance that was worth choosing all the same, takes none away.

Labelled data that is known by transcripts alone gives bins of the pair {word, no word} at the highest odds. Such bins
say nothing about bins that two words contest. A decode of these cuts (`--labelled-decode`) gives bins with the
recogniser's rivals at the recogniser's odds, and with the labels of the transcripts: the only bins that tell how often
a label at such odds is right. They tell most if that recogniser was not trained on the cuts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.select_data.bins import Bins, Floats, Ints
from voxkit.commands.select_data.command import EntropyConfig
from voxkit.commands.select_data.evidence import Index, uncertainty, updated
from voxkit.commands.select_data.sounds import Sounds

Doubles = NDArray[np.float64]

TOLD = 3  # bins that a reason names


class EntropyReduction:
    """Scores of U utterances; a `choose.Method`.

    One scoring of N bins takes O(N S) for the S steps of the index (some 16), whatever the number of utterances that
    are alike; making the index takes O(N log N). At its peak it holds some 250 bytes a bin.

    Args:
        bins: of the pool, and of labelled data under negative utterance numbers.
        durations: (U,) of the pool's utterances [s].
        words: (U,) number of words of each hypothesis, at least 1.
        voices: (U + L,) speakers of the pool's and then of the labelled utterances, see `evidence.Index`.
        sounds: of the words in the table.
        names: the table.
    """

    def __init__(
        self,
        bins: Bins,
        durations: Doubles,
        words: Ints,
        voices: Ints,
        sounds: Sounds,
        names: list[str],
        config: EntropyConfig,
    ) -> None:
        self.config, self.names = config, names
        self.index = Index(bins, voices, sounds, config.similarity, config.ceiling)
        self.durations, self.words = durations, words
        bins = self.index.bins
        self.labelled = bins.utterance < 0
        self.share = np.where(self.labelled, 1, np.clip(bins.share, 1 - config.ceiling, config.ceiling))
        self.share = self.share.astype(np.float32)
        self.certainty = self.share.copy()  # what a bin counts as a neighbour
        self.resolved = self.labelled.copy()
        self._by_utterance: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None
        self.score = self._scored()

    def _scored(self) -> Doubles:
        """(U,) the scores now; -inf for what is contradicted."""
        self.sums, covered = self.index.sums(self.certainty, self.resolved)
        self.posterior = updated(self.share, self.config.prior, self.sums)
        fresh = self.config.enough / (self.config.enough + covered.same + covered.other)
        self.gain = uncertainty(self.share) - uncertainty(self.posterior)
        cost = self.config.error_cost * self.expected_errors() / self.words
        whole = self._summed(self.gain)
        score = self._summed(np.where(self.gain > 0, self.gain * fresh, self.gain)) / self.durations - cost
        refused = whole < 0
        if self.config.least is not None:
            refused |= whole / self.durations - cost < self.config.least
        score[refused] = -np.inf
        return score

    def _summed(self, values: Floats) -> Doubles:
        """(U,) the sum over the bins of each utterance of the pool."""
        mine = ~self.labelled
        sums = np.bincount(self.index.bins.utterance[mine], values[mine], minlength=len(self.durations))
        return sums.astype(np.float64)

    def expected_errors(self) -> Doubles:
        """(U,) how many words of each hypothesis are expected to be wrong, missing ones among them.

        Evidence against a label counts here, evidence for it does not: bins that are wrong in the same way confirm
        each other.
        """
        right = np.minimum(self.index.bins.mass * np.minimum(self.posterior, self.share), 1)
        return np.minimum(self._summed((1 - right).astype(np.float32)), self.words)

    def take(self, chosen: Ints) -> None:
        """Utterances were chosen: their labels are facts from now on."""
        taken = np.zeros(len(self.durations) + 1, bool)
        taken[chosen] = True
        rows = taken[np.maximum(self.index.bins.utterance, -1)] & ~self.resolved
        self.resolved |= rows
        self.certainty[rows] = np.maximum(self.posterior, self.share)[rows]
        self.score = self._scored()

    def reason(self, utterance: int) -> list[dict[str, Any]]:
        """The bins that decided, the weightiest first: words, posterior before and after, evidence for and against."""
        if self._by_utterance is None:
            order = np.argsort(self.index.bins.utterance, kind="stable")
            bounds = np.searchsorted(self.index.bins.utterance[order], np.arange(len(self.durations) + 1))
            self._by_utterance = order, bounds
        order, bounds = self._by_utterance
        rows = order[bounds[utterance] : bounds[utterance + 1]]
        rows = rows[np.argsort(-np.abs(self.gain[rows]), kind="stable")][:TOLD]
        bins = self.index.bins
        return [
            {
                "word": self.names[bins.label[row]],
                "rival": self.names[bins.rival[row]],
                "before": round(float(self.share[row]), 3),
                "after": round(float(self.posterior[row]), 3),
                "for": round(float(self.sums.same[row]), 2),
                "against": round(float(self.sums.other[row]), 2),
            }
            for row in rows
        ]

    def by_pair(self, most: int) -> tuple[list[str], Ints, Doubles, Doubles]:
        """The pairs of words with most uncertainty in all: names (∅: no word), bins, mean uncertainty before, after."""
        mine = ~self.labelled
        pair = self.index.pair[mine]
        count = np.bincount(pair, minlength=int(self.index.pair.max(initial=-1)) + 1)
        before, after = (
            np.bincount(pair, uncertainty(share)[mine], minlength=len(count)) for share in (self.share, self.posterior)
        )
        chosen = np.argsort(-before, kind="stable")[:most]
        chosen = chosen[count[chosen] > 0]
        row = np.searchsorted(self.index.pair, chosen)
        bins = self.index.bins
        spoken = ["∅", *self.names[1:]]
        names = [f"{spoken[a]} / {spoken[b]}" for a, b in zip(bins.label[row], bins.rival[row], strict=True)]
        return names, count[chosen].astype(np.int32), before[chosen] / count[chosen], after[chosen] / count[chosen]
