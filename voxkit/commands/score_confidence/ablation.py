"""The comparison of systems: what each embedding adds, for both classifiers, in a table with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from voxkit.commands.score_confidence.material import INSERTED, RIGHT, SUBSTITUTED, Material
from voxkit.commands.score_confidence.train import Trainer
from voxkit.metrics.calibration import MEASURES, Comparison, Judged, numbered

SYSTEMS: dict[str, dict[str, Any]] = {
    "posterior": {"decoder": "posterior", "acoustic": False, "hypothesis": False},
    "decoder": {"decoder": "all", "acoustic": False, "hypothesis": False},
    "acoustic": {"decoder": "all", "acoustic": True, "hypothesis": False},
    "hypothesis": {"decoder": "all", "acoustic": False, "hypothesis": True},
    "both": {"decoder": "all", "acoustic": True, "hypothesis": True},
}
SHOWN = {"acoustic": "+acoustic", "hypothesis": "+hypothesis", "both": "+both"}
REFERENCE = "decoder logistic"
TABLE = "ablation.tsv"


def compare(trainer: Trainer, replications: int = 1000) -> Comparison:
    """Every system with both classifiers on the dev words whose kind is known."""
    systems: dict[str, Judged] = {}
    for name, choice in SYSTEMS.items():
        for classifier in ("logistic", "network"):
            settings = trainer.settings.model_copy(update={**choice, "classifier": classifier})
            odds = trainer.dev_log_odds(settings, name)
            systems[f"{SHOWN.get(name, name)} {classifier}"] = judged(trainer.dev, odds)
    return comparison(trainer.dev, systems, replications)


def judged(material: Material, odds: Any) -> Judged:
    """The words whose kind is known, grouped by speaker if there are five at least, else by recording."""
    speakers = [utterance.speaker for utterance in material.utterances]
    if len(set(speakers)) < 5:
        speakers = [utterance.recording for utterance in material.utterances]
    group = material.of_words(numbered(speakers))
    confidence = 1 / (1 + np.exp(-np.asarray(odds, dtype=np.float64)))
    known = material.known
    return Judged(confidence[known], (material.kind == RIGHT)[known], group[known])


def comparison(material: Material, systems: Mapping[str, Judged], replications: int = 1000) -> Comparison:
    """With parts: each kind of error against all right words."""
    kind = material.kind[material.known]
    parts = {"substitutions": kind != INSERTED, "insertions": kind != SUBSTITUTED}
    return Comparison(systems, parts, replications)


def table(found: Comparison, reference: str = REFERENCE) -> str:
    """TSV: a row for each system and kind of error; measures in per cent, and how much larger they are than those of
    the reference, in per cent of these, each with its 95 % interval."""
    head = ["system", "classifier", "errors", "words", "wrong"]
    head += [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")]
    head += [f"{name}_change{end}" for name in MEASURES for end in ("", "_low", "_high")]
    rows = ["\t".join(head)]
    for part, mask in found.parts.items():
        for system, words in found.systems.items():
            some = words.part(mask)
            values = [*found.measures(system, part).values(), *found.relative(system, reference, part).values()]
            cells = [*system.split(" "), part, str(len(some)), str(int((~some.right).sum()))]
            rows.append("\t".join([*cells, *(f"{number:.3f}" for value in values for number in value)]))
    return "\n".join(rows) + "\n"
