"""The choice as manifests, a table and a summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.select_data.choose import Choice
from voxkit.commands.select_data.pool import REFERENCE, Pool, decoded, labelled_lines, supervision_of, words_of
from voxkit.metrics.edit import Errors, errors
from voxkit.progress import track
from voxkit.rundir import write_atomic

Doubles = NDArray[np.float64]

SELECTED, TRAIN, TABLE, SUMMARY, PICTURE, LINES = (
    "selected.jsonl.gz",
    "train.jsonl.gz",
    "selected.tsv",
    "summary.json",
    "selected.png",
    "summary.txt",
)
CHOSEN, LEFT_OUT, REFUSED, REST = "chosen", "left out", "refused", "not chosen"


@dataclass
class Tally:
    """What chosen cuts, or all of the pool, are made of; errors where references exist."""

    cuts: int = 0
    seconds: float = 0.0
    words: int = 0
    vocabulary: Counter[str] = field(default_factory=Counter)
    speakers: set[str] = field(default_factory=set)
    errors: Errors = field(default_factory=Errors)
    referenced: int = 0

    def add(self, cut: Mapping[str, Any], normalise: Callable[[str], str]) -> None:
        supervision = supervision_of(cut)
        spoken = words_of(cut)
        self.cuts += 1
        self.words += len(spoken)
        self.vocabulary.update(spoken)
        if supervision.get("speaker"):
            self.speakers.add(supervision["speaker"])
        reference = (supervision.get("custom") or {}).get(REFERENCE)
        if isinstance(reference, str):
            self.referenced += 1
            self.errors += errors(normalise(reference).split(), normalise(" ".join(spoken)).split())


def cuts_with_choice(
    folders: Sequence[Path],
    pool: Pool,
    choice: Choice,
    method: str,
    weight: float,
    normalise: Callable[[str], str],
    chosen: Tally,
    everything: Tally,
) -> Iterator[dict[str, Any]]:
    """The chosen cuts in order of the pool, ready to be trained on; tallies all cuts that pass.

    The text is what was recognised, with its word times; a reference stays in `custom["reference"]`. `custom` gets
    `weight` and `selection`; other hypotheses go.
    """
    rank_of = {int(pool.places[utterance]): rank for rank, utterance in enumerate(choice.order)}
    total = len(pool.ids) + pool.silent
    for place, cut in track(decoded(folders), total, "looking up the choice", "cuts"):
        everything.add(cut, normalise)
        rank = rank_of.get(place)
        if rank is None:
            continue
        chosen.add(cut, normalise)
        supervision = supervision_of(cut)
        custom = {key: value for key, value in (supervision.get("custom") or {}).items() if key != "nbest"}
        custom["weight"] = weight
        custom["selection"] = {
            "method": method,
            "score": round(float(choice.score[choice.order[rank]]), 5),
            "rank": rank + 1,
            "block": int(choice.block[rank]),
            "reason": choice.reason[rank],
        }
        supervision["custom"] = custom
        yield cut


def to_train_on(labelled: Path, chosen: Path) -> Iterator[dict[str, Any]]:
    """The labelled cuts as they are, then the chosen ones."""
    yield from labelled_lines(labelled)
    yield from labelled_lines(chosen)


def write_table(
    path: Path, pool: Pool, choice: Choice, allowed: NDArray[np.bool_], expected: Doubles, reason: Callable[[int], Any]
) -> None:
    """One line for each utterance with words: the chosen ones by rank, then the others by falling score."""
    chosen = np.zeros(len(pool.ids), bool)
    chosen[choice.order] = True
    others = np.flatnonzero(~chosen)
    others = others[np.argsort(-np.where(allowed, choice.score, -np.inf)[others], kind="stable")]
    rows = ["rank\tid\tscore\tblock\tseconds\twords\tconfidence\texpected_errors\tstatus\treason\n"]
    for rank, utterance in enumerate([*choice.order.tolist(), *others.tolist()]):
        mine = rank < len(choice.order)
        if mine:
            status, why = CHOSEN, choice.reason[rank]
        else:
            finite = np.isfinite(choice.score[utterance])
            status = LEFT_OUT if not allowed[utterance] else REST if finite else REFUSED
            why = reason(utterance)
        cells = [
            str(rank + 1) if mine else "-",
            pool.ids[utterance],
            f"{choice.score[utterance]:.5g}",
            str(choice.block[rank]) if mine else "-",
            f"{pool.durations[utterance]:.2f}",
            str(pool.words[utterance]),
            _number(pool.confidence[utterance]),
            _number(expected[utterance]),
            status,
            told(why),
        ]
        rows.append("\t".join(cells) + "\n")
    write_atomic(path, "".join(rows))


def told(reason: list[dict[str, Any]] | None) -> str:
    """The bins that decided, as in `FIVE/NINE 0.61>0.93 +5.2-0.4`."""
    return "; ".join(
        f"{bin['word']}/{bin['rival']} {bin['before']:.2f}>{bin['after']:.2f} +{bin['for']:.1f}-{bin['against']:.1f}"
        for bin in reason or ()
    )


def summary(
    pool: Pool, choice: Choice, allowed: NDArray[np.bool_], expected: Doubles, chosen: Tally, everything: Tally
) -> dict[str, Any]:
    """What `summary.json` holds."""
    wrong = float(expected[choice.order].sum())
    refused = int((allowed & ~np.isfinite(choice.score)).sum())
    found: dict[str, Any] = {
        "hours": chosen.seconds / 3600,
        "utterances": chosen.cuts,
        "words": chosen.words,
        "vocabulary": len(chosen.vocabulary),
        "speakers": len(chosen.speakers),
        "expected_wrong_words": None if np.isnan(wrong) else round(wrong, 1),
        "pool": {
            "hours": everything.seconds / 3600,
            "utterances": everything.cuts,
            "words": everything.words,
            "vocabulary": len(everything.vocabulary),
            "without_words": pool.silent,
            "left_out": int((~allowed).sum()),
            "refused": refused,
        },
    }
    for place, tally in ((found, chosen), (found["pool"], everything)):
        if tally.referenced:
            place["label_error_rate"] = tally.errors.rate
    return found


def lines(found: Mapping[str, Any], chosen: Tally, everything: Tally, out: object) -> list[str]:
    """What goes to stdout."""
    pool = found["pool"]
    wrong = found["expected_wrong_words"]
    parts = [
        f"{found['hours']:.3f} / {pool['hours']:.3f} h",
        f"{found['utterances']} / {pool['utterances']} utterances",
        f"{found['words']} words",
        f"vocabulary {found['vocabulary']} / {pool['vocabulary']}",
        *([f"{found['speakers']} speakers"] if found["speakers"] else []),
        *([f"{wrong:g} expected to be wrong"] if wrong is not None else []),
    ]
    share = 100 * found["hours"] / max(pool["hours"], 1e-9)
    told = [f"%SELECTED {share:.2f} [ {', '.join(parts)} ] {out}"]
    for name, tally in (("LER", chosen), ("POOL-LER", everything)):
        if tally.referenced:
            told.append(tally.errors.line(name, out))
    return told


def write_summary(folder: Path, found: Mapping[str, Any], printed: Sequence[str]) -> None:
    write_atomic(folder / SUMMARY, json.dumps(found, indent=2) + "\n")
    write_atomic(folder / LINES, "".join(f"{line}\n" for line in printed))


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
