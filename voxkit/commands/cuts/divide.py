"""`cuts split` and `cuts sample`: units (speakers or cuts) are drawn, and the lines follow them."""

from __future__ import annotations

import difflib
import hashlib
import heapq
import re
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from voxkit.commands.cuts.command import By
from voxkit.commands.cuts.lines import Cut, checked, cuts_of, digests, supervisions_of, table, writing_to
from voxkit.data.checks import duration_of
from voxkit.data.manifests import manifest_files
from voxkit.errors import Problems, UserError
from voxkit.rundir import output, write_atomic

SAMPLE, REST, TRAIN, HELD_OUT, FOLDS = (
    "sample.jsonl.gz",
    "rest.jsonl.gz",
    "train.jsonl.gz",
    "held_out.jsonl.gz",
    "folds.tsv",
)
KNOWN_FIELDS = ("gender", "language", "speaker")  # of a supervision, besides its custom ones
JITTER = 0.25  # how far chance may change the order by duration in which units are dealt out


@dataclass(slots=True)
class Unit:
    """What stays whole: a cut, or all cuts of a speaker. `stratum` has the values of the fields to match."""

    name: str
    stratum: tuple[str, ...]
    seconds: float = 0.0
    cuts: int = 0


@dataclass(frozen=True)
class Amount:
    """How much to draw: hours, or a share of them."""

    hours: float | None
    share: float | None

    def seconds(self, total: float) -> float:
        """Of cuts that last `total` seconds; UserError if that is not less."""
        wanted = self.hours * 3600 if self.hours is not None else (self.share or 0.0) * total
        if wanted >= total:
            raise UserError(f"--hours {self.hours:g}: there are only {total / 3600:.4g} h", fix="ask for less")
        return wanted


@dataclass(frozen=True)
class Survey:
    """All units, and for each line the place of its unit in them."""

    units: list[Unit]
    unit_of: Sequence[int]

    @property
    def seconds(self) -> float:
        return sum(unit.seconds for unit in self.units)


def split(cuts: Path, out: Path, folds: int | None, by: str, seed: int) -> str:
    """Write the folds, one for each unit if `folds` is None; the table of what is in them.

    Args:
        by: "cut", "speaker", or a custom field of supervisions.

    Raises:
        DataError: broken lines, duplicate ids; cuts of no speaker (or without the field), or of several.
        UserError: fewer units than folds.
    """
    files = manifest_files(cuts)
    spec = {"cuts": digests(files), "folds": folds, "by": by, "seed": seed}
    with output(out, "cuts split", spec, resumable=False) as place:
        if not place.done:
            survey = survey_of(files, by)
            names = [unit.name for unit in survey.units]
            count = len(names) if folds is None else folds
            if len(names) < max(count, 2):
                fix = "ask for fewer --folds" + ("" if by == "cut" else ", or divide --by cut")
                raise UserError(f"{cuts}: {len(names)} {by}(s) cannot make {max(count, 2)} folds", fix)
            if folds is None:
                order = sorted(names, key=_numbers_in_order)
                fold_of = [order.index(name) for name in names]
            else:
                fold_of = deal([(unit.name, unit.seconds) for unit in survey.units], count, seed)
            folders = [place.work / f"fold-{number}-of-{count}" for number in range(1, count + 1)]
            paths = [folder / name for folder in folders for name in (TRAIN, HELD_OUT)]
            targets = [[2 * other + (other == fold) for other in range(count)] for fold in range(count)]
            with writing_to(paths) as write:
                for cut, unit in zip(cuts_of(files, "writing"), survey.unit_of, strict=True):
                    write(cut, targets[fold_of[unit]])
            listed = sorted(zip(fold_of, survey.units, strict=True), key=lambda item: (item[0], item[1].name))
            rows = [f"{fold + 1}\t{unit.name}\t{unit.cuts}\t{unit.seconds:.2f}\n" for fold, unit in listed]
            write_atomic(place.work / FOLDS, f"fold\t{by}\tcuts\tseconds\n" + "".join(rows))
    return _table_of_folds(out / FOLDS, by)


def _numbers_in_order(name: str) -> tuple[tuple[bool, int, str], ...]:
    """What sorts `2` before `10`, and `fold2` before `fold10`."""
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name))


def _table_of_folds(path: Path, by: str) -> str:
    """What was held out in each fold."""
    with open(path, encoding="utf-8") as file:
        items = [line.rstrip("\n").split("\t") for line in file][1:]
    rows = [("held out", *([f"{by}s"] if by != "cut" else []), "cuts", "hours")]
    for fold, members in groupby(items, key=lambda item: item[0]):
        listed = list(members)
        cuts, hours = sum(int(item[2]) for item in listed), sum(float(item[3]) for item in listed) / 3600
        units = [str(len(listed))] if by != "cut" else []
        rows.append((f"{path.parent}/fold-{fold}-of-{items[-1][0]}", *units, str(cuts), f"{hours:.3f}"))
    return table(rows)


def sample(cuts: Path, out: Path, amount: Amount, by: By, match: Sequence[str], seed: int) -> str:
    """Write the sample and the rest; the table of both.

    Raises:
        DataError: broken lines, duplicate ids; by speaker: cuts of none or of several.
        UserError: fewer hours than asked for, a single unit, a field to match that no cut has.
    """
    files = manifest_files(cuts)
    asked = {"hours": amount.hours, "share": amount.share}
    spec = {"cuts": digests(files), **asked, "by": by, "match": list(match), "seed": seed}
    with output(out, "cuts sample", spec, resumable=False) as place:
        if not place.done:
            survey = survey_of(files, by, match)
            if len(survey.units) < 2:
                raise UserError(f"{cuts}: a single {by} cannot be divided", fix="give more cuts")
            chosen = choose(survey.units, amount.seconds(survey.seconds), seed)
            with writing_to([place.work / SAMPLE, place.work / REST]) as write:
                for cut, unit in zip(cuts_of(files, "writing"), survey.unit_of, strict=True):
                    write(cut, [0 if unit in chosen else 1])
            groups = ([unit for i, unit in enumerate(survey.units) if (i in chosen) == side] for side in (True, False))
            rows = [("", *([f"{by}s"] if by == "speaker" else []), "cuts", "hours")]
            for name, group in zip((SAMPLE, REST), groups, strict=True):
                counts = [str(len(group))] if by == "speaker" else []
                hours = sum(unit.seconds for unit in group) / 3600
                rows.append((f"{out}/{name}", *counts, str(sum(unit.cuts for unit in group)), f"{hours:.3f}"))
            write_atomic(place.work / "summary.txt", table(rows) + "\n")
    return (out / "summary.txt").read_text(encoding="utf-8").rstrip("\n")


def survey_of(files: Sequence[Path], by: str, match: Sequence[str] = ()) -> Survey:
    """Read and check all lines; see `split` and `sample` for what is raised."""
    problems = Problems()
    units: list[Unit] = []
    places: dict[str, int] = {}
    unit_of = array("l")
    fields = set[str]()
    total = 0
    for where, cut in checked(files, problems):
        total += 1
        name = cut["id"] if by == "cut" else _unit(cut, by, where, problems)
        if name is None:
            continue
        fields |= _fields_of(cut)
        stratum = tuple(_value(cut, field) for field in match)
        place = places.setdefault(name, len(units))
        if place == len(units):
            units.append(Unit(name, stratum))
        unit = units[place]
        if unit.stratum != stratum:
            found = ", ".join(f"{field} {value!r}" for field, value in zip(match, stratum, strict=True))
            what = f"has {found}, other cuts of {name} have not"
            problems.add("speaker of two kinds", where, cut["id"], what, "mend the field, or sample --by cut")
        unit.seconds += duration_of(cut)
        unit.cuts += 1
        unit_of.append(place)
    problems.settle(max(total, len(problems.bad_ids)))
    for field in match:
        if field not in fields:
            near = difflib.get_close_matches(field, fields, n=1)
            fix = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(fields)) or 'none'}"
            raise UserError(f"--match {field}: no supervision has this field", fix=fix)
    return Survey(units, unit_of)


def _unit(cut: Cut, by: str, where: str, problems: Problems) -> str | None:
    """The one speaker of a cut, or its one value of a field."""
    values = sorted({str(value) for s in supervisions_of(cut) if (value := _field(s, by)) not in (None, "")})
    if len(values) == 1:
        return values[0]
    if values:
        what, fix = f"has {len(values)} {by}s: {', '.join(values[:4])}", "cut it into its supervisions"
        problems.add(f"several {by}s", where, cut["id"], what, f"{fix} (lhotse cut trim-to-supervisions)")
    else:
        problems.add(f"no {by}", where, cut["id"], "no supervision names one", f"add the {by}, or use --by cut")
    return None


def _fields_of(cut: Cut) -> set[str]:
    found = set[str]()
    for supervision in supervisions_of(cut):
        found.update(field for field in KNOWN_FIELDS if supervision.get(field))
        found.update(supervision.get("custom") or {})
    return found


def _value(cut: Cut, field: str) -> str:
    """What a cut has in a field, as text; all of it, if its supervisions differ."""
    values = {str(_field(supervision, field)) for supervision in supervisions_of(cut)}
    return "+".join(sorted(values))


def _field(supervision: Mapping[str, Any], field: str) -> Any:
    return supervision.get(field) if field in KNOWN_FIELDS else (supervision.get("custom") or {}).get(field)


def chance(seed: int, name: str) -> float:
    """A number in [0, 1) that is drawn by seed and name alone."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=6).digest()) / 2**48


def deal(units: Sequence[tuple[str, float]], folds: int, seed: int) -> list[int]:
    """The fold of each (name, seconds): the longest first, each to the fold that has least so far.

    Chance bends the order a little, so that seeds differ. The order of `units` makes no difference.
    """

    def key(place: int) -> tuple[float, str]:
        name, seconds = units[place]
        return -seconds * (1 - JITTER * chance(seed, name)), name

    fold_of = [0] * len(units)
    lightest = [(0.0, fold) for fold in range(folds)]
    for place in sorted(range(len(units)), key=key):
        seconds, fold = lightest[0]
        fold_of[place] = fold
        heapq.heapreplace(lightest, (seconds + units[place][1], fold))
    return fold_of


def choose(units: Sequence[Unit], seconds: float, seed: int) -> set[int]:
    """The places of units that together last about `seconds`, at least one and not all.

    Each stratum is put in a random order along the line from 0 to 1, a unit at a random point of the stretch that its
    share of the stratum covers; what comes first on that line is chosen. So every stratum gives the same share, and
    fewer seconds give a subset.
    """
    strata: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for place in sorted(range(len(units)), key=lambda place: chance(seed, units[place].name)):
        strata[units[place].stratum].append(place)
    line: list[tuple[float, str, int]] = []
    for members in strata.values():
        total = sum(units[place].seconds for place in members) or 1.0
        before = 0.0
        for place in members:
            unit = units[place]
            line.append(((before + chance(seed, f"point {unit.name}") * unit.seconds) / total, unit.name, place))
            before += unit.seconds
    chosen: set[int] = set()
    sum_so_far = 0.0
    for _, _, place in sorted(line)[:-1]:
        if chosen and sum_so_far + units[place].seconds / 2 > seconds:
            break
        chosen.add(place)
        sum_so_far += units[place].seconds
    return chosen
