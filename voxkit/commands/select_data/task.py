"""What `voxkit select-data` does: a decoded pool and labelled cuts in; a training set out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.select_data import pictures, results
from voxkit.commands.select_data.bins import Bins
from voxkit.commands.select_data.choose import Choice, Method, choose
from voxkit.commands.select_data.command import SelectData
from voxkit.commands.select_data.entropy import EntropyReduction
from voxkit.commands.select_data.germ import Germ, entropies
from voxkit.commands.select_data.plain import by_chance, by_confidence
from voxkit.commands.select_data.pool import Pool, read
from voxkit.commands.select_data.results import LINES, SELECTED, TRAIN, Tally
from voxkit.config import to_dict
from voxkit.data.lang import LEXICON, Lang
from voxkit.data.manifests import manifest_files, write_cuts
from voxkit.data.text import normaliser
from voxkit.decode.folder import HYPOTHESES
from voxkit.errors import Interrupted, UserError
from voxkit.progress import say
from voxkit.rundir import digest, output
from voxkit.train.interrupt import listening

Doubles = NDArray[np.float64]
Normalise = Callable[[str], str]


@dataclass(frozen=True)
class Inputs:
    """What is chosen from and for."""

    pool: tuple[Path, ...]
    labelled: Path
    lang: Path | None = None
    labelled_decode: Path | None = None

    def spec(self) -> dict[str, Any]:
        """What the result depends on."""
        decodes = [*self.pool, *([self.labelled_decode] if self.labelled_decode else [])]
        lexicon = [self.lang / LEXICON] if self.lang and (self.lang / LEXICON).exists() else []
        files = [*(folder / HYPOTHESES for folder in decodes), *manifest_files(self.labelled), *lexicon]
        return {str(file.resolve()): digest(file) for file in files if file.exists()}


@dataclass(frozen=True, eq=False)
class _Chosen:
    """A choice and what it was made from."""

    pool: Pool
    method: Method
    choice: Choice
    allowed: NDArray[np.bool_]
    expected: Doubles  # (U,) wrong words of each hypothesis; NaN where nothing is known of them


def run(config: SelectData, inputs: Inputs, out: Path | None, dry_run: bool) -> None:
    """Choose, write the folder `out` (unless `dry_run`), and print the summary.

    Raises:
        UserError, DataError: inputs that are missing, damaged or do not go together.
        Interrupted: SIGTERM or SIGUSR1 came; nothing is kept.
    """
    lang = Lang.load(inputs.lang) if inputs.lang else None
    normalise = normaliser(config.normaliser) if config.normaliser else lang.normalise if lang else normaliser("none")
    printed: list[str] = []

    def choose_and_write(work: Path | None) -> None:
        printed.extend(_make(config, inputs, lang, normalise, work, "(dry run)" if work is None else out))

    with listening() as signals:
        if dry_run or out is None:
            whole = signals.attempt(lambda: choose_and_write(None))
        else:
            spec = {"settings": to_dict(config), "inputs": inputs.spec()}
            with output(out, "select-data", spec, resumable=False) as folder:
                whole = folder.done or signals.attempt(lambda: choose_and_write(folder.work))
                if not whole:
                    raise Interrupted(f"{out}: stopped, and nothing was written")
            printed = (out / LINES).read_text(encoding="utf-8").splitlines()
    if not whole:
        raise Interrupted("stopped before anything was chosen")
    print("\n".join(printed))
    if out is not None and not dry_run:
        say(f"training set: {out / TRAIN}")


def _make(
    config: SelectData, inputs: Inputs, lang: Lang | None, normalise: Normalise, work: Path | None, name: object
) -> list[str]:
    """Choose, and write everything into `work` if there is one; returns what is to be printed."""
    made = _choose(config, inputs, lang)
    spent, whole = (float(made.pool.durations[rows].sum()) for rows in (made.choice.order, slice(None)))
    chosen, everything = Tally(seconds=spent), Tally(seconds=whole + made.pool.silent_seconds)
    cuts = results.cuts_with_choice(
        inputs.pool, made.pool, made.choice, config.method, config.weight, normalise, chosen, everything
    )
    if work is not None:
        write_cuts(cuts, work / SELECTED)
        write_cuts(results.to_train_on(inputs.labelled, work / SELECTED), work / TRAIN)
    else:
        for _ in cuts:
            pass
    found = results.summary(made.pool, made.choice, made.allowed, made.expected, chosen, everything)
    lines = results.lines(found, chosen, everything, name)
    if work is not None:
        table = work / results.TABLE
        results.write_table(table, made.pool, made.choice, made.allowed, made.expected, made.method.reason)
        pictures.draw(work / results.PICTURE, config.method, made.pool, made.choice, made.allowed, made.method)
        results.write_summary(work, found, lines)
    return lines


def _choose(config: SelectData, inputs: Inputs, lang: Lang | None) -> _Chosen:
    networks = config.method in ("entropy", "germ")
    pool = read(inputs.pool, inputs.labelled, lang, inputs.labelled_decode, networks, config.entropy.ceiling)
    allowed = _allowed(config, pool)
    method = _method(config, pool)
    budget = config.hours * 3600
    choice = choose(method, pool.durations, allowed, budget, config.blocks)
    _tell(config, pool, choice, allowed, budget)
    expected = pool.words * (1 - pool.confidence)
    if isinstance(method, EntropyReduction):
        expected = method.expected_errors()
    return _Chosen(pool, method, choice, allowed, expected)


def _method(config: SelectData, pool: Pool) -> Method:
    if config.method == "random":
        return by_chance(len(pool.ids), config.seed)
    if config.method == "confidence":
        known = pool.confidence if config.average == "mean" else pool.least
        _require_confidence(known, pool)
        return by_confidence(known)
    bins = pool.bins if pool.bins is not None else Bins.join([])
    if config.method == "germ":
        uncertain = entropies(bins, len(pool.ids))
        return Germ(bins, pool.durations, uncertain, len(pool.vocabulary), config.seed, config.germ)
    if pool.sounds is None:
        raise ValueError("entropy reduction needs the words' sounds")
    return EntropyReduction(bins, pool.durations, pool.words, pool.voices, pool.sounds, pool.vocabulary, config.entropy)


def _allowed(config: SelectData, pool: Pool) -> NDArray[np.bool_]:
    """(U,) whether the limits of the config let an utterance be chosen."""
    allowed = np.ones(len(pool.ids), bool)
    if config.min_confidence > 0:
        _require_confidence(pool.confidence, pool)
        allowed &= pool.confidence >= config.min_confidence
    if config.max_duration is not None:
        allowed &= pool.durations <= config.max_duration
    if not allowed.any():
        raise UserError(
            "the limits leave no utterance to choose from", fix="lower --min-confidence or raise --max-duration"
        )
    return allowed


def _require_confidence(confidence: Doubles, pool: Pool) -> None:
    missing = np.flatnonzero(np.isnan(confidence))
    if len(missing):
        what = f"{len(missing)} of {len(pool.ids)} utterances have no confidence, such as {pool.ids[missing[0]]!r}"
        raise UserError(what, fix="decode with --confusion, or run voxkit score-confidence apply")


def _tell(config: SelectData, pool: Pool, choice: Choice, allowed: NDArray[np.bool_], budget: float) -> None:
    """Say what the user would otherwise have to find out."""
    if pool.silent:
        say(f"{pool.silent} cuts of {pool.silent_seconds / 3600:.3f} h were recognised as nothing: left out")
    refused = int((allowed & ~np.isfinite(choice.score)).sum())
    if refused:
        why = "contradicted by the rest of the pool" + (
            ", or worth too little" if config.entropy.least is not None else ""
        )
        say(f"{refused} of {int(allowed.sum())} utterances are {why}: never chosen")
    spent = float(pool.durations[choice.order].sum())
    taken = np.zeros(len(allowed), bool)
    taken[choice.order] = True
    if not (allowed & np.isfinite(choice.score) & ~taken).any():
        say(f"the budget of {budget / 3600:g} h is larger than what can be chosen: all {spent / 3600:.3f} h are taken")
