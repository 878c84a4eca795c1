"""What rescoring leaves: manifest lines with the new words, and errors before and after."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxkit.data.manifests import read_lines
from voxkit.decode.folder import Decoded
from voxkit.errors import UserError
from voxkit.metrics.report import Report, Scored
from voxkit.metrics.resampling import relative_change

FIRST_PASS, LM_SCORE, NAMES = "first_pass", "lm_score", "names"
STALE = ("posterior", "confidence", "utterance_confidence", "nbest")  # said of the first pass's words


@dataclass(frozen=True)
class Timed:
    """A rescored hypothesis: words, their times [s], costs (`graph` is all but acoustic), ln P by the model, and
    (class, phrase) where words are likeliest a user's name.
    """

    words: Sequence[str]
    starts: Sequence[float]
    ends: Sequence[float]
    acoustic: float
    graph: float
    lm: float
    names: Sequence[tuple[str, str]] = ()

    def scores(self) -> dict[str, float]:
        """Log probabilities, as decode names them."""
        return {
            "score": round(-self.acoustic - self.graph, 4),
            "acoustic_score": round(-self.acoustic, 4),
            "graph_score": round(-self.graph, 4),
            LM_SCORE: round(self.lm, 4),
        }

    def plain(self) -> dict[str, Any]:
        """As a list in the manifest has it."""
        times = {"starts": list(self.starts), "ends": list(self.ends)}
        return {"text": " ".join(self.words), **self.scores(), **times}


def rewritten(found: Decoded, best: Sequence[Timed], posteriors: Sequence[float] | None) -> dict[str, Any]:
    """The manifest line of a cut with the best of some hypotheses as its text, and the text before.

    Args:
        best: best first.
        posteriors: of the words of the first, where there is a confusion network.
    """

    def told(supervision: Mapping[str, Any], offset: float) -> dict[str, Any]:
        first = best[0]
        old = {key: value for key, value in (supervision.get("custom") or {}).items() if key not in STALE}
        custom = {**old, FIRST_PASS: supervision.get("text") or "", **first.scores()}
        if first.names:
            custom[NAMES] = [list(one) for one in first.names]
        if len(best) > 1:
            custom["nbest"] = [one.plain() for one in best]
        if posteriors is not None:
            custom["posterior"] = list(posteriors)
        sure: Sequence[float | None] = posteriors or [None] * len(first.words)
        items = [
            [word, round(start - offset, 4), round(end - start, 4), score]
            for word, start, end, score in zip(first.words, first.starts, first.ends, sure, strict=True)
        ]
        alignment = {**(supervision.get("alignment") or {}), "word": items}
        return {**supervision, "text": " ".join(first.words), "custom": custom, "alignment": alignment}

    cut = found.cut
    if "tracks" not in cut:
        return {**cut, "supervisions": [told(one, 0.0) for one in cut["supervisions"]]}
    tracks = []
    for track in cut["tracks"]:
        own = [told(one, float(track.get("offset", 0.0))) for one in track["cut"].get("supervisions", ())]
        tracks.append({**track, "cut": {**track["cut"], "supervisions": own}} if own else track)
    return {**cut, "tracks": tracks}


def before_and_after(folder: Path) -> tuple[list[Scored], list[Scored]]:
    """The cuts of a rescored folder that have a reference, with the text of the first pass and of the second."""
    before, after = [], []
    for line in read_lines([folder]):
        if line.data is None:
            raise UserError(f"{line.where}: {line.error}", fix="rescore again")
        found = Decoded(line.data)
        supervision, custom = found.supervision, found.supervision.get("custom") or {}
        if "reference" in custom:
            known = {"speaker": supervision.get("speaker"), "dialect": custom.get("dialect")}
            groups = {name: str(value) for name, value in known.items() if value}
            before.append(Scored(found.id, custom["reference"], custom[FIRST_PASS], groups))
            after.append(Scored(found.id, custom["reference"], supervision.get("text") or "", groups))
    return before, after


@dataclass(frozen=True)
class Change:
    """Relative change of errors [%], its 95 % interval by the bootstrap, and what was drawn."""

    rate: float
    low: float
    high: float
    unit: str

    def line(self, path: object) -> str:
        """`%RELATIVE -6.2 [ 95 % -9.0 to -3.4, bootstrap over 10 speakers ] path`"""
        span = f"95 % {self.low:+.1f} to {self.high:+.1f}"
        return f"%RELATIVE {self.rate:+.1f} [ {span}, bootstrap over {self.unit} ] {path}"


def change(before: Report, after: Report, replications: int = 2000, seed: int = 0) -> Change | None:
    """How much fewer errors there are, by draws of `Report.units`; None if there were none before."""
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    labels, kind = before.units
    for label, old, new in zip(labels, before.utterances, after.utterances, strict=True):
        sums[label][0] += old.words.count
        sums[label][1] += new.words.count
    table = np.array(list(sums.values())).reshape(-1, 2).T
    if not table[0].sum():
        return None
    return Change(*relative_change(table[:1], table[1:], replications, seed), f"{len(sums)} {kind}")


def report(work: Path, manifest: Path, normaliser: str, decoded: Path, out: Path) -> list[str]:
    """Score a rescored manifest, write score.json and the tables into `work`, and return the lines to print."""
    first, second = before_and_after(manifest)
    if not first:
        return []
    before, after = Report(first, normaliser), Report(second, normaliser)
    after.write(work)
    file = work / "score.json"
    facts = json.loads(file.read_text(encoding="utf-8"))
    facts[FIRST_PASS] = before.as_dict()
    found = change(before, after)
    if found is not None:
        facts["relative"] = {"change": found.rate, "low": found.low, "high": found.high, "bootstrap": found.unit}
    file.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    lines = [before.words.line("WER", decoded), *after.lines(out)]
    return lines if found is None else [*lines, found.line(out)]
