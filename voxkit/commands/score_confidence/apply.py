"""`score-confidence apply`: confidences into the manifest of a decode folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from voxkit import bundle
from voxkit.commands.score_confidence.classify import log_odds
from voxkit.commands.score_confidence.embedding import Reader
from voxkit.commands.score_confidence.features import Floats
from voxkit.commands.score_confidence.material import Material, alignment, gather
from voxkit.commands.score_confidence.model import ConfidenceModel, columns, kinds, whole_inputs
from voxkit.data.manifests import write_cuts
from voxkit.data.pool import spread
from voxkit.decode.folder import CONFUSION, FRAME_SHIFT, HYPOTHESES, LATTICES, WORDS, Decoded, DecodeFolder
from voxkit.errors import DataError, Interrupted, Problem, Problems, UserError
from voxkit.progress import Meter, say
from voxkit.rundir import digest, output, read_config, write_atomic
from voxkit.train.interrupt import listening

ALIGNMENT = "alignment.txt"
AT_ONCE = 200  # cuts
_DIGITS = 6  # of a confidence


class Scorer:
    """A trained model that scores recognised cuts. Uses one core."""

    def __init__(self, exp: Path) -> None:
        torch.set_num_threads(1)
        loaded = bundle.load(exp)
        if not isinstance(loaded.model, ConfidenceModel):
            raise UserError(f"{exp}: not a confidence model", fix="give an --out folder of score-confidence train")
        self.model = loaded.model

    def __call__(self, material: Material) -> tuple[Floats, Floats]:
        """The confidence of each word (N,), and that the whole utterance is right (U,)."""
        model = self.model
        settings = model.config
        mean, deviation = model.mean.numpy(), model.deviation.numpy()
        reader = Reader(material, mean, deviation, model.vocabulary, settings, shown=False)
        embeddings = {kind: reader.averaged(list(getattr(model, kind))) for kind in kinds(settings)}
        odds = log_odds(model.word, columns(settings, material.features, embeddings))
        whole = log_odds(model.whole, whole_inputs(odds, material.utterance_features, material.bounds))
        return _probability(odds), _probability(whole)

    def scored(self, found: Sequence[Decoded], words: Sequence[str], frame_shift: float) -> list[dict[str, Any]]:
        """The manifest lines of recognised cuts, with confidences.

        Raises:
            DataError: cuts without audio, or whose words and confusion networks do not belong together.
        """
        problems, normaliser = Problems(), self.model.config.normaliser or "none"
        material = gather(found, words, frame_shift, self.model.vocabulary, normaliser, False, problems)
        problems.settle(len(found))
        confidence, whole = self(material)
        parts = np.split(confidence, material.bounds[1:-1])
        return [
            with_confidence(utterance.cut, part, float(sure))
            for utterance, part, sure in zip(material.utterances, parts, whole, strict=True)
        ]


def with_confidence(cut: Mapping[str, Any], confidence: Floats, whole: float) -> dict[str, Any]:
    """A copy of a recognised cut's line with the confidence of each word (Q,) and of the whole utterance."""
    values = [round(float(value), _DIGITS) for value in confidence]

    def told(supervision: Mapping[str, Any]) -> dict[str, Any]:
        custom = {
            **(supervision.get("custom") or {}),
            "confidence": values,
            "utterance_confidence": round(whole, _DIGITS),
        }
        items = (supervision.get("alignment") or {}).get("word", [])
        timed = [[*item[:3], value] for item, value in zip(items, values, strict=True)]
        return {**supervision, "custom": custom, "alignment": {**(supervision.get("alignment") or {}), "word": timed}}

    if "tracks" not in cut:
        return {**cut, "supervisions": [told(supervision) for supervision in cut["supervisions"]]}
    tracks = [
        {**track, "cut": {**track["cut"], "supervisions": [told(some) for some in track["cut"]["supervisions"]]}}
        if track["cut"].get("supervisions")
        else track
        for track in cut["tracks"]
    ]
    return {**cut, "tracks": tracks}


def run(exp: Path, decoded: Path, out: Path, num_jobs: int) -> None:
    """Score a decode folder into `out`.

    Raises:
        UserError, DataError: not a confidence model, not a decode folder, or cuts that cannot be scored.
        Interrupted: SIGTERM or SIGUSR1 came; nothing is left behind.
    """
    folder = DecodeFolder.open(decoded, lattices=True, confusion=True)
    model = bundle.locate(exp)
    normaliser = read_config(model)["config"].get("normaliser") or "none"
    spec = {
        "model": digest(bundle.weights(model)),
        "normaliser": normaliser,
        "decoded": str(decoded.resolve()),
        "hypotheses": digest(decoded / HYPOTHESES),
    }
    with listening() as signals, output(out, "score-confidence apply", spec, resumable=False) as place:
        if not place.done:
            lines: dict[int, list[dict[str, Any]]] = {}
            problems = Problems()
            work = partial(_score, words=folder.words, frame_shift=folder.frame_shift)
            outcomes = spread(_chunks(folder), partial(Scorer, exp), work, num_jobs, lambda: bool(signals))
            with closing(outcomes), Meter(len(folder), "confidences", "cuts") as meter:
                for (index, chunk), (scored, found) in outcomes:
                    lines[index] = scored
                    for problem in found:
                        problems.add(problem.kind, str(decoded), problem.id, problem.what, problem.fix)
                    meter.advance(len(chunk))
            if signals:
                raise Interrupted(f"{signals.received}; the same command begins again")
            problems.settle(len(folder))
            ordered = [line for index in sorted(lines) for line in lines[index]]
            write_cuts(ordered, place.work / HYPOTHESES)
            _hand_on(decoded, place.work)
            write_atomic(
                place.work / ALIGNMENT, "\n".join(alignment(line, spec["normaliser"] or "none") for line in ordered)
            )
    say(f"hypotheses with confidences: {out / HYPOTHESES}")


def _score(
    scorer: Scorer, task: tuple[int, list[Decoded]], words: Sequence[str], frame_shift: float
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """The lines of some cuts; or what is wrong with them, to be told together with the others."""
    try:
        return scorer.scored(task[1], words, frame_shift), []
    except DataError as error:
        return [], list(error.problems)


def _chunks(folder: DecodeFolder) -> Iterator[tuple[int, list[Decoded]]]:
    cuts, index = iter(folder), 0
    while chunk := list(islice(cuts, AT_ONCE)):
        yield index, chunk
        index += 1


def _hand_on(decoded: Path, work: Path) -> None:
    """Copy what belongs to the hypotheses, so that the result is a decode folder too."""
    for name in (LATTICES, CONFUSION):
        shutil.copytree(decoded / name, work / name, dirs_exist_ok=True)
    for name in (WORDS, FRAME_SHIFT):
        shutil.copyfile(decoded / name, work / name)


def _probability(odds: Floats) -> Floats:
    return cast(Floats, 1 / (1 + np.exp(-odds.astype(np.float64))))
