"""`lm-nce score`: how well a model foresees texts, beside an n-gram model and together with it, and how fast."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from voxkit import bundle
from voxkit.commands.lm_nce.command import LmNce
from voxkit.commands.lm_nce.comparison import Comparison, Found, compared, ngram_log_p
from voxkit.commands.lm_nce.counting import marked
from voxkit.commands.lm_nce.perplexity import Evaluation
from voxkit.commands.lm_nce.reading import Sentence, groups, normalised, read, reader_of, self_normalised
from voxkit.commands.lm_nce.scorer import scorer_of
from voxkit.config import from_mapping
from voxkit.data.sentences import digest_of
from voxkit.data.text import normaliser
from voxkit.decode.arpa import Arpa
from voxkit.metrics.plots import GREEN, INK, RED, new_figure, plain_axes, save_figure
from voxkit.progress import Meter
from voxkit.rundir import digest, output, write_atomic

SCORES, SCORE, ROWS, PICTURE = "scores.txt", "score.json", "by_sentence.tsv", "ln_z.png"
HEAD = "file\tsentence\twords\tunknown\tln_p\tscore\tmean_ln_z\ttext\n"
TIMED = 4000  # words that are read to measure the speed, about
REPEATS = 3  # of what is timed; the best counts
PLACES = 30  # in a sentence, that the picture has


@dataclass(frozen=True)
class Examination:
    """What is scored: a model, on texts.

    Attributes:
        arpa: an n-gram model to compare with.
        weight: of the network where both models are mixed; none: the best for these texts.
        fast: compute self-normalised scores alone.
    """

    model: Path
    texts: tuple[Path, ...]
    arpa: Path | None = None
    weight: float | None = None
    fast: bool = False
    threads: int = 1

    def spec(self) -> dict[str, Any]:
        """What decides the result."""
        texts = {str(path): digest_of(path) for path in self.texts}
        arpa = None if self.arpa is None else digest(self.arpa)
        home = bundle.locate(self.model)
        files = {str(file.relative_to(home)): digest(file) for file in bundle.files(self.model)}
        return {"model": files, "texts": texts, "arpa": arpa, "weight": self.weight, "self_normalised": self.fast}


class Speed(NamedTuple):
    """Words per second of CPU time on one core: with sums over the vocabulary, and by the scores as they are."""

    words: int
    normalised: float | None
    self_normalised: float

    def lines(self, name: object) -> list[str]:
        """What the user reads."""
        told = f"words per second of CPU time, one core, {self.words} words"
        mine = f"%TPS {self.self_normalised:.0f} [ self-normalised, {told} ] {name}"
        if self.normalised is None:
            return [mine]
        ratio = self.self_normalised / self.normalised
        return [
            f"%TPS {self.normalised:.0f} [ normalised, {told} ] {name}",
            mine,
            f"self-normalised scoring is {ratio:.1f} times as fast {name}",
        ]


class Examined:
    """A model, and what it says of the texts so far."""

    def __init__(self, examination: Examination) -> None:
        torch.set_num_threads(examination.threads)
        loaded = bundle.load(examination.model)
        self.examination = examination
        self.scorer = scorer_of(loaded, path=examination.model)
        self.longest = from_mapping(LmNce, loaded.config, f"{loaded.path}: config").batch.longest
        write = marked(normaliser(self.scorer.vocabulary.normaliser))
        self.arpa = None if examination.arpa is None else Arpa.read(examination.arpa, write)
        self.found = Found()
        self.timed: list[Sentence] = []

    def read(self) -> list[str]:
        """Read the texts; the lines of the table of sentences."""
        rows = [HEAD]
        with Meter(None, "scoring", "words") as meter:
            for path in self.examination.texts:
                number = 0
                for some in groups(read(path, self.scorer.vocabulary)):
                    self._add(some)
                    for one, place in zip(some, range(-len(some), 0), strict=True):
                        number += 1
                        rows.append("\t".join([str(path), str(number), *self._cells(one, place)]) + "\n")
                    meter.advance(sum(len(one.words) for one in some))
        return rows

    def _add(self, some: Sequence[Sentence]) -> None:
        found = self.found
        if self.examination.fast:
            for one, scores in zip(some, self_normalised(self.scorer, some, self.longest), strict=True):
                found.score.append(one.summed(scores))
        else:
            for one, said in zip(some, normalised(reader_of(self.scorer), some, self.longest), strict=True):
                found.score.append(one.summed(said.score))
                found.log_p.append(one.summed(said.score.astype(np.float64) - said.log_z))
                found.log_z.append(said.log_z)
        found.known += [one.known() for one in some]
        if self.arpa is not None:
            found.ngram += [ngram_log_p(self.arpa, one.words) for one in some]
        words = sum(len(one.words) for one in self.timed)
        for one in some:
            if words < TIMED:
                self.timed.append(one)
                words += len(one.words)

    def _cells(self, one: Sentence, place: int) -> list[str]:
        """Of a sentence whose results are at a place."""
        found, known = self.found, self.found.known[place]
        normal = ("", "")
        if found.log_p:
            normal = f"{found.log_p[place][known].sum():.4f}", f"{found.log_z[place].mean():.4f}"
        scores = f"{found.score[place][known].sum():.4f}"
        return [str(len(one.words)), str(int((~known).sum())), normal[0], scores, normal[1], " ".join(one.words)]

    def speed(self) -> Speed:
        """Of the first sentences, once and again."""
        words = sum(len(one.words) + 1 for one in self.timed)
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        fast = _best(lambda: self_normalised(self.scorer, self.timed, self.longest))
        reader, slow = reader_of(self.scorer), None
        if not self.examination.fast:
            slow = words / _best(lambda: normalised(reader, self.timed, self.longest))
        torch.set_num_threads(before)
        return Speed(words, slow, words / fast)


def _best(work: Callable[[], object]) -> float:
    """CPU time [s]."""
    taken = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return max(min(taken), 1e-9)


def run(examination: Examination, out: Path | None) -> None:
    """Score a model, print the lines, and write a folder if one is named.

    Raises:
        UserError, DataError: no such model, texts or n-gram model, or what is wrong with them.
    """
    if out is None:
        print("\n".join(_examine(examination, examination.model, None)))
        return
    with output(out, "lm-nce score", examination.spec(), resumable=False) as folder:
        if not folder.done:
            lines = _examine(examination, out, folder.work)
            write_atomic(folder.work / SCORES, "".join(f"{line}\n" for line in lines))
    print((out / SCORES).read_text(encoding="utf-8"), end="")


def _examine(examination: Examination, name: Path, folder: Path | None) -> list[str]:
    """The lines to print; tables and the picture go to `folder`."""
    examined = Examined(examination)
    rows = examined.read()
    found = examined.found
    evaluation, comparison = found.evaluation(), None
    if examination.arpa is not None:
        comparison = compared(found, examination.weight, examination.arpa)
    speed = examined.speed()
    if folder is not None:
        write_atomic(folder / ROWS, "".join(rows))
        write_atomic(folder / SCORE, json.dumps(_facts(evaluation, comparison, speed), indent=2) + "\n")
        if found.log_z:
            _draw(found, folder / PICTURE)
    words = evaluation.words + evaluation.unknown
    oov = f"%OOV {100 * evaluation.unknown / max(words, 1):.2f} [ {evaluation.unknown} / {words} words ] {name}"
    lines = [line for line in evaluation.lines(str(name)) if not examination.fast or "self-normalised" in line]
    lines += [oov, *(comparison.lines(examination.arpa, name) if comparison and examination.arpa else [])]
    return [*lines, *speed.lines(name)]


def _facts(evaluation: Evaluation, comparison: Comparison | None, speed: Speed) -> dict[str, Any]:
    """For JSON, which has no nan and no infinity."""
    perplexities = {"perplexity": evaluation.perplexity, "self_perplexity": evaluation.self_perplexity}
    found = {
        name: value if math.isfinite(value) else None for name, value in {**perplexities, **asdict(evaluation)}.items()
    }
    return {**found, "speed": speed._asdict(), **({"comparison": asdict(comparison)} if comparison else {})}


def _draw(found: Found, path: Path) -> None:
    """ln Z: how it is distributed, and what it is at each place of a sentence."""
    whole = np.concatenate(found.log_z)
    figure, (left, right) = new_figure(9, 3.6, ncols=2)
    low, high = np.quantile(whole, [0.001, 0.999])
    left.hist(whole.clip(low, high), bins=60, color=GREEN)
    left.axvline(0, color=RED, linewidth=1)
    left.set(title="ln Z", xlabel=f"mean {whole.mean():.3f}, variance {whole.var():.3f}", ylabel="places")
    places = np.concatenate([np.arange(len(one)) for one in found.log_z])
    means, spread = [], []
    for place in range(min(PLACES, int(places.max()) + 1)):
        here = whole[places == place]
        means.append(here.mean())
        spread.append(here.std())
    middle, width = np.array(means), np.array(spread)
    right.fill_between(np.arange(len(middle)), middle - width, middle + width, color=GREEN, alpha=0.25, linewidth=0)
    right.plot(middle, color=INK)
    right.axhline(0, color=RED, linewidth=1)
    right.set(title="mean and deviation by place", xlabel="words or pieces before", ylabel="ln Z")
    for axes in (left, right):
        plain_axes(axes, "y")
    save_figure(figure, path)
