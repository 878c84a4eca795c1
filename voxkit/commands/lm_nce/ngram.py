"""N-gram models of corpora, and their mixture for the domain that dev text is of; `voxkit lm-nce ngram`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.lm_nce.counting import Punctuation, marked, read_words
from voxkit.data.sentences import digest_of, sentences
from voxkit.data.text import normaliser
from voxkit.decode.arpa import UNKNOWN, Arpa, unseen_mass
from voxkit.decode.interpolation import em, perplexity
from voxkit.errors import UserError
from voxkit.progress import track
from voxkit.rundir import output, write_atomic

MODEL, WEIGHTS = "lm.arpa", "weights.json"


@dataclass(frozen=True)
class Seen:
    """A Kneser-Ney model of a corpus, and the mass that words have which it has not seen (Good & Turing: n1 / N)."""

    model: Arpa
    unseen: float

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], order: int, punctuation: Punctuation | None = None) -> Seen:
        """Of sentences; they are counted in memory."""
        counts: Counter[str] = Counter()

        def watched() -> Iterator[Sequence[str]]:
            for words in texts:
                counts.update(words)
                yield words

        model = Arpa.estimate(watched(), order)
        if punctuation is not None:
            for word, times in counts.items():
                punctuation.add(word, times)
        return cls(model, unseen_mass(counts))

    def over(self, words: Iterable[str]) -> Arpa:
        """The model with all of these words; those that it has not seen share the mass equally."""
        return self.model.with_words(words, self.unseen)


@dataclass(frozen=True)
class Interpolated:
    """What was found for dev: the weight and the perplexity of each corpus' model, and that of their mixture."""

    weights: Mapping[str, float]
    perplexities: Mapping[str, float]
    mixture: float

    @classmethod
    def of(cls, chances: Mapping[str, NDArray[np.float64]]) -> Interpolated:
        """By EM, from the probabilities of the same words by the model of each corpus."""
        found = em(np.stack(list(chances.values())))
        weights = dict(zip(chances, found.weights.tolist(), strict=True))
        return cls(weights, {name: perplexity(values) for name, values in chances.items()}, found.perplexity)


def chances(model: Arpa, texts: Iterable[Sequence[str]]) -> NDArray[np.float64]:
    """(N,) probabilities of the words and ends of sentences, without those of unknown words."""
    found = [
        score
        for words in texts
        for word, score in zip((*words, ""), model.scores(words), strict=True)
        if score is not None and word != UNKNOWN
    ]
    return np.asarray(10 ** np.array(found, dtype=np.float64))


@dataclass(frozen=True)
class Request:
    """What `lm-nce ngram` is asked for."""

    corpora: Mapping[str, str]
    dev: Sequence[Path]
    order: int
    normaliser: str
    words: Path | None


def run(request: Request, out: Path) -> None:
    """Write the mixture as OUT/lm.arpa and OUT/weights.json; print the perplexity of each model on dev.

    Raises:
        UserError: several corpora and no dev text, or files that cannot be read or are empty.
        DataError: lines that are not UTF-8.
    """
    if len(request.corpora) > 1 and not request.dev:
        raise UserError(
            "several corpora are weighed for text of the domain, and there is no --dev", fix="give --dev FILE"
        )
    files = [*map(Path, request.corpora.values()), *request.dev, *([request.words] if request.words else [])]
    spec = {
        "corpora": dict(request.corpora), "dev": [str(path) for path in request.dev], "order": request.order,
        "normaliser": request.normaliser, "words": request.words and str(request.words),
        "digests": {str(path): digest_of(path) for path in files},
    }  # fmt: skip
    with output(out, "lm-nce ngram", spec, resumable=False) as folder:
        if folder.done:
            return
        lines = _write(request, folder.work, out)
    print("\n".join(lines))


def _write(request: Request, work: Path, out: Path) -> list[str]:
    """The model and its weights in a folder; the lines to print."""
    normalise = marked(normaliser(request.normaliser))
    listed = None if request.words is None else set(read_words(request.words, normalise))
    dev = [words for path in request.dev for words in sentences(path, normalise)]
    seen = {}
    for name, file in request.corpora.items():
        texts, punctuation = track(sentences(Path(file), normalise), None, name, "sentences"), Punctuation()
        seen[name] = Seen.of(_known(texts, listed), request.order, punctuation)
        punctuation.tell(name, "--normaliser")
    words = sorted(listed or set().union(*(one.model.words for one in seen.values())))
    models = {name: one.over(words) for name, one in seen.items()}
    lines = [f"{model.perplexity(dev)} {name}" for name, model in models.items()] if dev else []
    weights = dict.fromkeys(models, 1.0)
    facts: dict[str, object] = {"order": request.order, "weights": weights}
    if len(models) > 1:
        found = Interpolated.of({name: chances(model, dev) for name, model in models.items()})
        weights = dict(found.weights)
        facts |= {"weights": weights, "perplexity": dict(found.perplexities), "mixture": found.mixture}
    mixed = Arpa.mixed(list(models.values()), [weights[name] for name in models])
    if len(models) > 1:
        lines.append(f"{mixed.perplexity(dev)} mixture")
    mixed.write(work / MODEL)
    write_atomic(work / WEIGHTS, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    ngrams = " ".join(str(len(table)) for table in mixed.orders)
    shares = " ".join(f"{name} {weight:.3f}" for name, weight in weights.items())
    return [*lines, f"weights: {shares}; n-grams {ngrams} -> {out / MODEL}"]


def _known(texts: Iterable[Sequence[str]], words: Collection[str] | None) -> Iterable[Sequence[str]]:
    """Sentences with <unk> for the words that are not among these."""
    return texts if words is None else ([w if w in words else UNKNOWN for w in some] for some in texts)
