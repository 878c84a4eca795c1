"""`g2p score`: the words of a lexicon pronounced and compared with it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxkit.commands.g2p.answers import Answerer
from voxkit.commands.g2p.apply import identity
from voxkit.commands.g2p.entries import Entry
from voxkit.commands.g2p.material import chosen, judged, named, read, rewritten
from voxkit.commands.g2p.pronounce import Pronouncer, Word
from voxkit.data.pronunciations import Pronunciation
from voxkit.metrics.pronunciation import Judged, PronunciationReport
from voxkit.progress import say
from voxkit.rundir import digest, output, write_atomic

SCORES, PREDICTIONS = "scores.txt", "predictions.tsv"
BARS, CONFUSIONS = "by_language.png", "confusions.png"


@dataclass(frozen=True)
class Examination:
    """What is scored: models together, on the words of files, told the languages in one of the three ways."""

    models: tuple[Path, ...]
    test: tuple[str, ...]
    languages: tuple[str, ...]
    lang: str
    beam: int
    threads: int
    max_bad: float

    @property
    def spec(self) -> dict[str, object]:
        """What decides the result."""
        files = {given: digest(named(given)[1]) for given in self.test}
        models = [identity(path) for path in self.models]
        told = {"languages": self.languages, "lang": self.lang, "beam": self.beam, "max_bad": self.max_bad}
        return {"models": models, "test": files, **told}

    def run(self, path: object, rejected: Path | None = None) -> tuple[PronunciationReport, list[str]]:
        """The report, and its lines with the speed last.

        Raises:
            UserError, DataError: no such model or file, or bad rows in it.
        """
        pronouncer = Pronouncer.load(self.models, self.beam, self.threads)
        items = chosen(read(self.test, self.max_bad, rejected), self.languages, None, "the test data")
        phones = rejected and rejected.with_stem(f"{rejected.stem}_phones")
        items = rewritten(items, pronouncer.tables.phone_config, self.max_bad, phones)
        self._tell_strangers(items, pronouncer)
        start = time.process_time()
        found = judged(pronouncer, items, lambda words: self._told(words, pronouncer))
        seconds = time.process_time() - start
        report = PronunciationReport(found)
        speed = f"%WPS {len(found) / seconds:.0f} [ {len(found)} words / {seconds:.2f} s of CPU time ] {path}"
        return report, [*report.lines(path), speed]

    def _told(self, words: list[Word], pronouncer: Pronouncer) -> list[Word]:
        """The words with the languages that the model is told."""
        if self.lang == "given":
            (only,) = pronouncer.tables.languages[1:] if len(pronouncer.tables.languages) == 2 else ("",)
            return [(word, language or only) for word, language in words]
        if self.lang == "none":
            return [(word, "") for word, _ in words]
        guessed = Answerer(pronouncer).languages([Entry(word, "") for word, _ in words])
        return [(word, language) for (word, _), language in zip(words, guessed, strict=True)]

    def _tell_strangers(self, items: Sequence[Pronunciation], pronouncer: Pronouncer) -> None:
        strange = sorted({item.language for item in items} - set(pronouncer.tables.languages))
        several = len(pronouncer.tables.languages) > 2
        if several and self.lang == "given" and any(not item.language for item in items):
            say("note: words that name no language count as of unknown language; LANGUAGE=FILE names that of a file")
        if strange and self.lang == "given":
            say(f"note: the model has not learnt {' '.join(strange)}; their words count as of unknown language")


def run(examined: Examination, out: Path | None) -> None:
    """Score models, print the lines, and write a folder if one is named.

    Raises:
        UserError, DataError: see `Examination.run`.
    """
    if out is None:
        print("\n".join(examined.run(examined.models[0])[1]))
        return
    with output(out, "g2p score", examined.spec, resumable=False) as folder:
        if not folder.done:
            report, lines = examined.run(out, folder.work / "rejected.jsonl")
            report.write(folder.work)
            write_atomic(folder.work / PREDICTIONS, predictions(report.items))
            _draw(report, folder.work, out)
            write_atomic(folder.work / SCORES, "".join(f"{line}\n" for line in lines))
    print((out / SCORES).read_text(encoding="utf-8"), end="")


def predictions(items: Sequence[Judged]) -> str:
    """Language, word, hypothesis and references (between slashes) of every word, as TSV with a head."""
    rows = ["language\tword\thypothesis\treferences"]
    for item in items:
        references = " / ".join(" ".join(phones) for phones in item.references)
        rows.append("\t".join([item.language, item.word, " ".join(item.hypothesis), references]))
    return "\n".join(rows) + "\n"


def _draw(report: PronunciationReport, folder: Path, out: Path) -> None:
    from voxkit.metrics.pronunciation_plots import by_language_plot, confusion_plot

    confusion_plot(report, folder / CONFUSIONS)
    if len(report.by_language) > 1:
        by_language_plot({out.name: report}, folder / BARS)
