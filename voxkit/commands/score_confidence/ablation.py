"""The comparison of systems on the dev folders: what each embedding adds, for both classifiers, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from voxkit.commands.score_confidence.command import TrainConfidence
from voxkit.commands.score_confidence.features import Floats
from voxkit.commands.score_confidence.material import Material, by_error, groups_of
from voxkit.commands.score_confidence.trainer import Trainer
from voxkit.metrics.calibration import MEASURES, Comparison, Judged

SYSTEMS: dict[str, dict[str, Any]] = {
    "posterior": {"decoder": "posterior", "acoustic": False, "hypothesis": False},
    "decoder": {"decoder": "all", "acoustic": False, "hypothesis": False},
    "+acoustic": {"decoder": "all", "acoustic": True, "hypothesis": False},
    "+hypothesis": {"decoder": "all", "acoustic": False, "hypothesis": True},
    "+both": {"decoder": "all", "acoustic": True, "hypothesis": True},
}
DECODER = "decoder logistic"  # what the others are compared with
TABLE = "ablation.tsv"


class Ablation:
    """Systems judged on the dev words.

    Args:
        every: all systems with both classifiers; otherwise only the one that the settings name.
    """

    def __init__(self, trainer: Trainer, every: bool, replications: int = 1000) -> None:
        own = trainer.settings
        chosen = {f"{system_of(own)} {own.classifier}": own}
        if every:
            chosen = {
                f"{name} {classifier}": own.model_copy(update={**choice, "classifier": classifier})
                for classifier in ("logistic", "network")
                for name, choice in SYSTEMS.items()
            }
        group, unit = groups_of(trainer.dev)
        systems = {name: judged(trainer.dev, trainer.dev_log_odds(some), group) for name, some in chosen.items()}
        self.comparison = Comparison(systems, by_error(trainer.dev.kind[trainer.dev.known]), replications)
        self.classifier = own.classifier
        words = next(iter(systems.values()))
        self.detail = f"{int((~words.right).sum())} errors in {len(words)} words, {unit}"

    @property
    def names(self) -> list[str]:
        return list(self.comparison.systems)

    @property
    def pictured(self) -> Mapping[str, Judged]:
        """The systems with the classifier of the settings, the last first."""
        systems = [(name, words) for name, words in self.comparison.systems.items() if name.endswith(self.classifier)]
        return {name.removesuffix(f" {self.classifier}"): words for name, words in reversed(systems)}

    def change(self, name: str) -> str:
        """A line that compares a system with the decoder features in a logistic regression."""
        found = self.comparison.relative(name, DECODER)
        told = [f"{key.upper()} {by.value:+.1f} % ({by.low:+.1f} to {by.high:+.1f})" for key, by in found.items()]
        return f"{name} against {DECODER}: {', '.join(told)}"

    def table(self) -> str:
        """TSV: a row for each system and kind of error; measures in per cent, and how much larger they are than those
        of the decoder features with logistic regression, in per cent of these, each with its 95 % interval."""
        ends = ("", "_low", "_high")
        head = ["system", "classifier", "errors", "words", "wrong"]
        head += [f"{name}{change}{end}" for change in ("", "_change") for name in MEASURES for end in ends]
        rows = ["\t".join(head)]
        for part, mask in self.comparison.parts.items():
            for system, words in self.comparison.systems.items():
                some = words.part(mask)
                values = [*self.comparison.measures(system, part).values()]
                values += self.comparison.relative(system, DECODER, part).values()
                cells = [*system.split(" "), part, str(len(some)), str(int((~some.right).sum()))]
                rows.append("\t".join([*cells, *(f"{number:.3f}" for value in values for number in value)]))
        return "\n".join(rows) + "\n"


def system_of(settings: TrainConfidence) -> str:
    """What the system of these settings is called."""
    if settings.decoder == "posterior":
        added = [kind for kind in ("acoustic", "hypothesis") if getattr(settings, kind)]
        return "+".join(["posterior", *added])
    return next(
        name
        for name, choice in SYSTEMS.items()
        if all(getattr(settings, key) == value for key, value in choice.items())
    )


def judged(material: Material, odds: Floats, group: Any) -> Judged:
    """The words whose kind is known; `group` is (U,)."""
    known = material.known
    confidence = 1 / (1 + np.exp(-odds.astype(np.float64)))
    return Judged(confidence[known], (material.kind == 0)[known], material.of_words(group)[known])
