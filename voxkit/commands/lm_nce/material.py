"""The texts that `lm-nce train` is given: their names and what they are. Free of torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from voxkit.bundle import locate, weights
from voxkit.commands.lm_nce.command import DataConfig, LmNce, ModelConfig
from voxkit.config import from_mapping
from voxkit.data.sentences import digest_of
from voxkit.errors import UserError
from voxkit.rundir import digest, read_config


def named(corpora: Sequence[str]) -> dict[str, str]:
    """The files of NAME=FILE by their names; a file alone is called as it is without its endings.

    Raises:
        UserError: a name is given twice, or is empty, all of them told.
    """
    found: dict[str, str] = {}
    wrong = []
    for given in corpora:
        name, equals, file = given.partition("=")
        if not equals or Path(given).exists():  # a path may have one too
            name, file = Path(given).name.partition(".")[0], given
        if not name or not file:
            wrong.append(f"--corpus {given}: not of the form NAME=FILE")
        elif name in found:
            wrong.append(f"--corpus {given}: the name {name} is given twice, also to {found[name]}")
        else:
            found[name] = file
    if wrong:
        raise UserError("\n".join(wrong), fix="give each corpus a name of its own: --corpus NAME=FILE")
    return found


def shares(weights: Sequence[str]) -> dict[str, float]:
    """The numbers of NAME=W.

    Raises:
        UserError: those that are none, all of them told.
    """
    found: dict[str, float] = {}
    wrong = []
    for given in weights:
        name, _, number = given.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            name, value = "", 0.0
        if not name:
            wrong.append(f"--weight {given}: not of the form NAME=NUMBER")
        elif not 0 <= value < math.inf:
            wrong.append(f"--weight {given}: not a finite number of at least 0")
        elif name in found:
            wrong.append(f"--weight {given}: {name} has a weight before, {found[name]:g}")
        else:
            found[name] = value
    if wrong:
        raise UserError("\n".join(wrong), fix="write for example --weight books=0.3")
    return found


def identified(data: DataConfig) -> DataConfig:
    """With digests of the inputs, so that a run is not resumed on others under the same names.

    Raises:
        UserError: some cannot be read, all of them told.
    """
    files = [Path(file) for file in (*data.corpora.values(), *data.dev)]
    files += [Path(file) for file in (data.words, data.classes) if file is not None]
    found, wrong = {}, []
    for file in files:
        try:
            found[str(file)] = digest_of(file)
        except UserError as error:
            wrong.append(error.message)
    if data.init is not None:
        try:
            found[data.init] = digest(weights(Path(data.init)))
        except UserError as error:
            wrong.append(f"--init {error.message}")
    if wrong:
        raise UserError("\n".join(wrong), fix="check the paths")
    # one order, so that the same texts give the same model
    return data.model_copy(update={"digests": found, "corpora": dict(sorted(data.corpora.items()))})


def adopted(settings: LmNce) -> LmNce:
    """With the network of `data.init` where the settings say nothing else; its dropout is not taken over.

    What is wrong with that model is told when it is loaded.
    """
    if settings.data.init is None:
        return settings
    try:
        head = read_config(locate(Path(settings.data.init)))
    except UserError:
        return settings
    theirs = head.get("config")
    network = theirs.get("model") if isinstance(theirs, dict) else None
    if head.get("system") != "lm_nce" or not isinstance(network, dict):
        return settings
    mine = settings.model.model_dump(exclude_unset=True)
    values = {key: value for key, value in network.items() if key != "dropout"}
    return settings.model_copy(update={"model": from_mapping(ModelConfig, {**values, **mine}, settings.data.init)})


def require(settings: LmNce, out: Path | None) -> Path:
    """The experiment folder, of a training that has all it needs.

    Raises:
        UserError: something is missing, or does not go together, all of it told.
    """
    data, weigh = settings.data, settings.weights
    missing = [] if data.corpora else ["--corpus"]
    missing += ["--out"] if out is None else []
    wrong = [f"lm-nce train needs {' and '.join(missing)}"] if missing else []
    if data.words is not None and data.init is not None:
        wrong.append("--words goes not with --init, whose words stay")
    elif data.words is not None and settings.vocabulary.unit == "piece":
        wrong.append("--words is for vocabulary.unit=word; pieces are learnt from the texts")
    if weigh.kind == "em" and len(data.corpora) > 1 and not data.dev:
        wrong.append("several corpora are weighed for text of the domain, and there is no --dev")
    if weigh.kind == "given":
        strange = [name for name in weigh.given if name not in data.corpora]
        wrong += [] if any(weigh.given.values()) else ["--weights given: no corpus has a --weight above 0"]
        wrong += [f"--weight: no corpus is called {', '.join(strange)}"] if strange else []
        bad = [f"{name}={weight}" for name, weight in weigh.given.items() if not 0 <= weight < math.inf]
        wrong += [f"--weight {', '.join(bad)}: not finite numbers of at least 0"] if bad else []
    elif weigh.given:
        wrong.append(f"--weight is for --weights given, not {weigh.kind}")
    if wrong or out is None:
        raise UserError("\n".join(wrong), fix="see voxkit lm-nce train --help")
    return out
