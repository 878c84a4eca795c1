"""Words to pronunciations, by one model or by several together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxkit.commands.g2p.search import AT_ONCE, Array, Hypothesis, Scorer, beam_search
from voxkit.commands.g2p.tables import ANY, LONGEST, Tables
from voxkit.commands.g2p.translated import Translated, common_languages
from voxkit.errors import UserError
from voxkit.progress import say

ONNX = ("encoder.onnx", "decoder.onnx")
Word = tuple[str, str]  # spelling and language; "" is an unknown one


class Pronouncer:
    """Pronounces words.

    Args:
        scorers: more than one are an ensemble. A model with other tables than the first one's takes part in the words
            of the languages that both have learnt with the same phones.
        beam: hypotheses that the search keeps for a word.
    """

    def __init__(self, scorers: Sequence[Scorer], beam: int = 5) -> None:
        self.beam = beam
        self.tables: Tables = scorers[0].tables
        self.scorers = [one if one.tables == self.tables else Translated(one, self.tables) for one in scorers]
        self.languages_of = [common_languages(self.tables, one.tables) for one in scorers]

    @classmethod
    def load(cls, paths: Sequence[Path], beam: int = 5, threads: int = 1) -> Pronouncer:
        """From experiment, bundle or export folders; torch is imported only if one of them is not an export.

        Raises:
            UserError: no model there, or one that can take part in no language of the first one's.
        """
        scorers: list[Scorer] = []
        for path in paths:
            if all((path / name).exists() for name in ONNX):
                from voxkit.commands.g2p.onnx_scorer import OnnxScorer

                scorers.append(OnnxScorer(path, threads))
            else:
                from voxkit.commands.g2p.torch_scorer import TorchScorer

                scorers.append(TorchScorer.load(path, threads))
        pronouncer = cls(scorers, beam)
        for path, languages in zip(paths, pronouncer.languages_of, strict=True):
            if len(languages) < len(pronouncer.languages_of[0]) and languages:
                names = " ".join(pronouncer.tables.languages[number] for number in sorted(languages))
                say(f"note: {path} takes part in the words of {names}")
            if not languages:
                raise UserError(
                    f"{path}: has no language in common with {paths[0]}, or other phones there, or another notation",
                    fix="an ensemble takes models of the same training data and notation",
                )
        return pronouncer

    def pronounce(self, words: Sequence[Word], nbest: int = 1) -> list[list[Hypothesis]]:
        """The most probable pronunciations of each word, the best first; none where no letter is known,
        or where there are more than `LONGEST`.

        A language that the model has not learnt counts as an unknown one.
        """
        found: list[list[Hypothesis]] = [[] for _ in words]
        for places, letters, languages in self._batches(words):
            scorers = [self.scorers[number] for number in self._members(languages[0])]
            # phones of different languages may have one name, and what is then said alike counts as one
            wide = nbest if self.tables.phone_config.table == "shared" else max(nbest, self.beam)
            hypotheses = beam_search(scorers, letters, languages, self.beam, wide)
            for place, several in zip(places, hypotheses, strict=True):
                found[place] = self._named(several)[:nbest]
        return found

    def _named(self, several: Sequence[tuple[list[int], float]]) -> list[Hypothesis]:
        shares: dict[tuple[str, ...], float] = {}
        for numbers, score in several:
            phones = self.tables.phone_names(numbers)
            shares[phones] = shares.get(phones, 0.0) + float(np.exp(score))
        return [Hypothesis(phones, min(shares[phones], 1.0)) for phones in sorted(shares, key=lambda p: -shares[p])]

    def languages(self, words: Sequence[str]) -> list[list[tuple[str, float]]]:
        """Which languages each word may be of, by its letters alone, the most probable first."""
        names = self.tables.languages
        found: list[list[tuple[str, float]]] = [[] for _ in words]
        for places, letters, languages in self._batches([(word, "") for word in words]):
            padded = np.zeros((len(letters), max(map(len, letters))), dtype=np.int64)
            for row, numbers in enumerate(letters):
                padded[row, : len(numbers)] = numbers
            lengths = np.array([len(numbers) for numbers in letters], dtype=np.int64)
            tongue = np.array(languages, dtype=np.int64)
            # a translated model knows other languages, and has no say here
            asked = [scorer for scorer in self.scorers if not isinstance(scorer, Translated)]
            shares = [np.exp(scorer.begin(padded, lengths, tongue).languages) for scorer in asked]
            mean: Array = np.mean(shares, axis=0)
            for place, row_of in zip(places, mean, strict=True):
                order = [int(number) for number in np.argsort(-row_of, kind="stable") if number != ANY]
                found[place] = [(names[number], float(row_of[number])) for number in order]
        return found

    def _batches(self, words: Sequence[Word]) -> list[tuple[list[int], list[list[int]], list[int]]]:
        """Words for the same models, of similar length, together: their places, letters and languages."""
        ids = self.tables.language_ids
        spelt = [self.tables.letter_ids(word, language) for word, language in words]
        usable = [
            place
            for place, (word, language) in enumerate(words)
            if len(spelt[place]) <= LONGEST and self.tables.can_spell(word, language)
        ]
        groups: dict[tuple[int, ...], list[int]] = {}
        for place in sorted(usable, key=lambda place: len(spelt[place])):
            groups.setdefault(self._members(ids.get(words[place][1], ANY)), []).append(place)
        batches = [
            group[start : start + AT_ONCE] for group in groups.values() for start in range(0, len(group), AT_ONCE)
        ]
        return [(batch, [spelt[p] for p in batch], [ids.get(words[p][1], ANY) for p in batch]) for batch in batches]

    def _members(self, language: int) -> tuple[int, ...]:
        """The models that pronounce the words of a language."""
        return tuple(number for number, languages in enumerate(self.languages_of) if language in languages)
