"""`score-confidence score`: how good the confidences in manifests are."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxkit.commands.score_confidence.material import (
    RIGHT,
    UNKNOWN,
    by_error,
    grouped,
    judge,
    normaliser_of,
    supervision_of,
)
from voxkit.data.manifests import read_lines
from voxkit.data.text import normaliser as normaliser_called
from voxkit.decode.folder import HYPOTHESES
from voxkit.errors import Problems, UserError
from voxkit.metrics.calibration import Comparison, Interval, Judged, lines
from voxkit.rundir import write_atomic

SCORES, RELIABILITY, DET = "score.json", "reliability.png", "det.png"


class Scored:
    """The words of a manifest that have a confidence and are known to be right or wrong, and its utterances.

    Args:
        path: a folder of `apply` or of `decode --confusion`, or a manifest.
        field: of `supervision.custom`, a probability for each word: confidence or posterior.

    Raises:
        DataError: cuts without the field, with too few values or values that are no probabilities.
        UserError: no references.
    """

    def __init__(self, path: Path, field: str, normaliser: str) -> None:
        self.path, self.field, self.normaliser = path, field, normaliser
        clean = normaliser_called(normaliser)
        confidence: list[float] = []
        kinds: list[int] = []
        speakers: list[str] = []
        recordings: list[str] = []
        sure: list[float] = []
        faultless: list[bool] = []
        voices: list[str] = []
        sources: list[str] = []
        problems = Problems()
        total = 0
        for where, name, supervision in _supervisions(path):
            total += 1
            custom = supervision.get("custom") or {}
            words = [item[0] for item in (supervision.get("alignment") or {}).get("word", [])]
            if (fault := _fault(custom, field, words)) is not None:
                problems.add(fault[0], where, name, *fault[1:])
            elif "reference" in custom:
                kind, _, right = judge(custom["reference"], words, [None] * len(words), clean)
                known = kind != UNKNOWN
                confidence += np.array(custom[field], dtype=np.float64)[known].tolist()
                kinds += kind[known].tolist()
                recording = str(supervision.get("recording_id"))
                speaker = str(supervision.get("speaker") or recording)
                speakers += [speaker] * int(known.sum())
                recordings += [recording] * int(known.sum())
                if "utterance_confidence" in custom and field == "confidence":
                    sure.append(float(custom["utterance_confidence"]))
                    faultless.append(right)
                    voices.append(speaker)
                    sources.append(recording)
        problems.settle(total)
        if not kinds:
            raise UserError(f"{path}: no recognised words with a reference", fix="decode cuts with transcripts")
        group, self.unit = grouped(speakers, recordings)
        self.kind = np.array(kinds)
        self.words = Judged.of(confidence, self.kind == RIGHT, group)
        self.whole = Judged.of(sure, faultless, grouped(voices, sources)[0])

    def comparison(self, replications: int) -> Comparison:
        return Comparison({"words": self.words}, by_error(self.kind), replications)


def run(outs: Sequence[Path], out: Path | None, field: str, normaliser: str | None, replications: int) -> None:
    """Score manifests, print the lines and write score.json and the pictures.

    Args:
        out: where to write; None is the only one of `outs`.
        normaliser: None is that which each was made with.
    """
    from voxkit.metrics.calibration_plots import det_curve, reliability_diagram

    found = {str(path): Scored(path, field, normaliser or normaliser_of(path)) for path in outs}
    content = {name: _told(scored, name, replications) for name, scored in found.items()}
    folder = out or (outs[0] if outs[0].is_dir() else outs[0].parent)
    folder.mkdir(parents=True, exist_ok=True)
    only = len(content) == 1
    write_atomic(folder / SCORES, json.dumps(next(iter(content.values())) if only else content, indent=2) + "\n")
    systems = {field if only else Path(name).name: scored.words for name, scored in found.items()}
    if only and field == "confidence" and _has_posteriors(outs[0]):
        systems["posterior"] = Scored(outs[0], "posterior", normaliser or normaliser_of(outs[0])).words
    reliability_diagram(systems, folder / RELIABILITY)
    det_curve(systems, folder / DET)


def _told(scored: Scored, name: str, replications: int) -> dict[str, Any]:
    """Print the lines of one manifest; what score.json says of it."""
    comparison = scored.comparison(replications)
    content: dict[str, Any] = {"field": scored.field, "normaliser": scored.normaliser, "bootstrap": scored.unit}
    for part, mask in comparison.parts.items():
        measures = comparison.measures("words", part)
        some = scored.words.part(mask)
        wrong = int((~some.right).sum())
        content[part] = {"words": len(some), "wrong": wrong, **_plain(measures)}
        errors = "errors" if part == "all" else part
        print(*lines(measures, f"{wrong} {errors} in {len(some)} words", name), sep="\n")
    if len(scored.whole):
        measures = Comparison({"whole": scored.whole}, replications=replications).measures("whole")
        wrong = int((~scored.whole.right).sum())
        content["utterances"] = {"utterances": len(scored.whole), "wrong": wrong, **_plain(measures)}
        print(*lines(measures, f"{wrong} wrong of {len(scored.whole)} whole utterances", name), sep="\n")
    told = f"95 % intervals by bootstrap over {scored.unit}; normaliser {scored.normaliser}"
    print(f"{told}; deleted words have no confidence")
    return content


def _has_posteriors(path: Path) -> bool:
    """Whether the recogniser's own posteriors are there to compare with."""
    return all("posterior" in (supervision.get("custom") or {}) for _, _, supervision in _supervisions(path))


def _plain(measures: Mapping[str, Interval]) -> dict[str, Any]:
    """Numbers as JSON has them: null where there is none."""
    return {
        name: {end: value if math.isfinite(value) else None for end, value in found._asdict().items()}
        for name, found in measures.items()
    }


def _supervisions(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Where each recognised cut of a manifest is, its id and its supervision."""
    file = path / HYPOTHESES if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{file}: no such manifest", fix="give a folder made by score-confidence apply")
    for line in read_lines([file]):
        if line.data is None:
            raise UserError(f"{line.where}: {line.error}", fix="make the folder again")
        supervision, _ = supervision_of(line.data)
        if supervision:
            yield line.where, line.id, supervision


def _fault(custom: Mapping[str, Any], field: str, words: Sequence[str]) -> tuple[str, str, str] | None:
    """What makes a cut's confidences unusable: kind, what, fix."""
    again = "make it with score-confidence apply" if field == "confidence" else "decode with --confusion"
    values = custom.get(field)
    if not isinstance(values, list):
        return f"no {field}", f"its supervision has no {field}", again
    if len(values) != len(words):
        return f"no {field}", f"has {len(values)} values for {len(words)} words", again
    if not all(isinstance(value, int | float) and 0 <= value <= 1 for value in values):
        return "not a probability", f"has a {field} that is not in [0, 1]", again
    return None
