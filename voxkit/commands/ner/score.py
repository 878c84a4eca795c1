"""`ner score`: the entities of tagged sentences found again, and compared; how fast, by how large a model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from voxkit import bundle
from voxkit.commands.ner.material import digests, tagged, tell_strange
from voxkit.commands.ner.results import Answer, rounded
from voxkit.commands.ner.tagger import Tagger
from voxkit.data.tagged_files import write_conll
from voxkit.data.tagging import Sentence
from voxkit.metrics.calibration import Judged
from voxkit.metrics.entities import EntityReport, known_entities
from voxkit.progress import track
from voxkit.rundir import output, write_atomic

SCORES, PREDICTIONS = "scores.txt", "predictions.conll"
BARS, CONFUSIONS = "by_type.png", "confusions.png"
REJECTED, REJECTED_TRAIN = "rejected.jsonl", "rejected_train.jsonl"
AT_ONCE = 2000  # sentences that the tagger orders by length
REPEATS = 3  # of the pass that is timed; the best counts
ALONE = 500  # sentences that are tagged one by one, at most


class Speed(NamedTuple):
    """How much was tagged, in how much CPU time [s]."""

    sentences: int
    words: int
    seconds: float

    @classmethod
    def of(cls, sentences: Sequence[Sentence], seconds: float) -> Speed:
        return cls(len(sentences), sum(len(sentence.words) for sentence in sentences), seconds)

    def line(self, name: str, path: object) -> str:
        """Words per second."""
        told = f"{self.words} words / {self.seconds:.2f} s of CPU time, {self.sentences} sentences"
        return f"%{name} {self.words / max(self.seconds, 1e-9):.0f} [ {told} ] {path}"


class Calibration(NamedTuple):
    """How the confidences of the found entities fit how many of them are right.

    Attributes:
        ece: expected calibration error [per cent].
        right, wrong: how many entities are so.
        of_right, of_wrong: their mean confidence [per cent]; None where there are none.
        aucpr: area under the precision-recall curve of the wrong ones [per cent]; None without right or wrong ones.
    """

    ece: float
    right: int
    wrong: int
    of_right: float | None
    of_wrong: float | None
    aucpr: float | None

    def line(self, path: object) -> str:
        kinds = (("right", self.right, self.of_right), ("wrong", self.wrong, self.of_wrong))
        means = [f"{mean:.1f} of {count} {name}" for name, count, mean in kinds if mean is not None]
        area = "" if self.aucpr is None else f", AUC-PR of errors {self.aucpr:.1f}"
        return f"%ECE {self.ece:.2f} [ mean confidence {', '.join(means)}{area} ] {path}"


@dataclass(frozen=True)
class Examination:
    """What is scored: a model, on tagged sentences in the form that it reads."""

    model: Path
    test: tuple[Path, ...]
    known: tuple[Path, ...] = ()
    asr_text: bool = False
    max_bad: float = 0.0
    threads: int = 1

    def spec(self, tagger: Tagger) -> dict[str, Any]:
        """What decides the result."""
        files = {"test": digests(self.test), "train": digests(self.known)}
        settings = {"asr_text": self.asr_text, "max_bad": self.max_bad}
        return {"model": tagger.identity(), **files, **settings}

    def tagger(self) -> Tagger:
        """The model, loaded.

        Raises:
            UserError: none there, or one of another system.
        """
        return Tagger.load(self.model, self.threads)

    def run(self, tagger: Tagger, path: object, folder: Path | None = None) -> list[str]:
        """The lines to print; the tables and pictures go to `folder`.

        Raises:
            UserError, DataError: no such file, or bad sentences in it.
        """
        form = (self.asr_text or tagger.asr, tagger.only_spaces)
        sentences = tagged(self.test, self.max_bad, folder and folder / REJECTED, *form)
        tell_strange(sentences, tagger.tables.labels)
        known = None
        if self.known:
            known = known_entities(tagged(self.known, self.max_bad, folder and folder / REJECTED_TRAIN, *form))
        answers = _answered(tagger, sentences)
        speed, alone, size = self._speed(sentences), self._alone(sentences), bundle.size(self.model)
        calibration = _calibration(sentences, answers)
        report = EntityReport(sentences, [answer.tagged().tags or () for answer in answers], known)
        if folder is not None:
            more = {"speed": speed._asdict(), "speed_alone": alone._asdict(), "size": size._asdict()}
            report.write(folder, {**more, **({"confidence": calibration._asdict()} if calibration else {})})
            write_conll([answer.tagged() for answer in answers], folder / PREDICTIONS)
            _draw(report, folder)
        return [
            *report.lines(path),
            *([calibration.line(path)] if calibration else []),
            speed.line("TPS", path),
            alone.line("TPS-one", path),
            f"%BYTES {size.weights} [ bytes of weights, {size.total} of the whole bundle ] {path}",
        ]

    def _speed(self, sentences: Sequence[Sentence]) -> Speed:
        """The best of some passes, each by a model that has not seen any word before."""
        passes = []
        for _ in range(REPEATS):
            tagger = self.tagger()
            start = time.process_time()
            for some in _groups(sentences):
                tagger.tag(some)
            passes.append(time.process_time() - start)
        return Speed.of(sentences, min(passes))

    def _alone(self, sentences: Sequence[Sentence]) -> Speed:
        """The same with one sentence after the other, in one pass."""
        some = sentences[:: -(-len(sentences) // ALONE)]
        tagger = self.tagger()
        start = time.process_time()
        for sentence in some:
            tagger.tag([sentence])
        return Speed.of(some, time.process_time() - start)


def run(examined: Examination, out: Path | None) -> None:
    """Score a model, print the lines, and write a folder if one is named.

    Raises:
        UserError, DataError: see `Examination.run`.
    """
    tagger = examined.tagger()
    if out is None:
        print("\n".join(examined.run(tagger, examined.model)))
        return
    with output(out, "ner score", examined.spec(tagger), resumable=False) as folder:
        if not folder.done:
            lines = examined.run(tagger, out, folder.work)
            write_atomic(folder.work / SCORES, "".join(f"{line}\n" for line in lines))
    print((out / SCORES).read_text(encoding="utf-8"), end="")


def _groups(sentences: Sequence[Sentence]) -> list[Sequence[Sentence]]:
    return [sentences[start : start + AT_ONCE] for start in range(0, len(sentences), AT_ONCE)]


def _answered(tagger: Tagger, sentences: Sequence[Sentence]) -> list[Answer]:
    """What the model finds."""
    answers: list[Answer] = []
    for some in track(_groups(sentences), len(sentences), "finding entities", "sentences", amount=len):
        answers += [Answer(one, *found) for one, found in zip(some, tagger.tag(some), strict=True)]
    return answers


def _calibration(sentences: Sequence[Sentence], answers: Sequence[Answer]) -> Calibration | None:
    """None where no entity was found."""
    confidence: list[float] = []
    right: list[bool] = []
    for sentence, answer in zip(sentences, answers, strict=True):
        truth = set(sentence.entities())
        confidence += map(rounded, answer.confidence)
        right += [entity in truth for entity in answer.entities]
    if not confidence:
        return None
    judged = Judged.of(confidence, right)
    found, rights = judged.measures(), int(judged.right.sum())
    of_right, of_wrong = (
        100 * float(judged.confidence[some].mean()) if some.any() else None for some in (judged.right, ~judged.right)
    )
    aucpr = None if of_right is None or of_wrong is None else found.aucpr
    return Calibration(found.ece, rights, len(judged) - rights, of_right, of_wrong, aucpr)


def _draw(report: EntityReport, folder: Path) -> None:
    from voxkit.metrics.entity_plots import by_type_plot, confusion_plot

    by_type_plot(report, folder / BARS)
    confusion_plot(report, folder / CONFUSIONS)
