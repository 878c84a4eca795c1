"""From decode folders to trained nets and classifiers, each made once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from voxkit import bundle
from voxkit.commands.score_confidence.classify import NetworkTask, log_odds, logistic
from voxkit.commands.score_confidence.command import PartConfig, TrainConfidence
from voxkit.commands.score_confidence.embedding import EmbeddingTask, Reader
from voxkit.commands.score_confidence.features import Floats
from voxkit.commands.score_confidence.material import RIGHT, Material, normaliser_of, read, words_of
from voxkit.commands.score_confidence.model import (
    AcousticNet,
    Classifier,
    ConfidenceModel,
    HypothesisNet,
    Kind,
    acoustic_net,
    columns,
    hypothesis_net,
    kinds,
    whole_inputs,
)
from voxkit.commands.score_confidence.vocabulary import FILE, Vocabulary, count_words
from voxkit.data.lang import Lang
from voxkit.data.text import normaliser
from voxkit.decode.folder import HYPOTHESES, open_all
from voxkit.errors import UserError
from voxkit.progress import say
from voxkit.rundir import RunDir, digest
from voxkit.train.loop import BUNDLE, fit

HELD_OUT = 0.1  # of the words, by speaker: what the network is scored on while it learns


def identified(settings: TrainConfidence) -> TrainConfidence:
    """With the normaliser, and digests of the inputs, so that a run is not resumed on others under the same names."""
    data = settings.data
    files = [Path(folder) / HYPOTHESES for folder in (*data.train, *data.dev)]
    files += [Path(data.text)] if data.text else []
    digests = {str(file): digest(file) for file in files}
    name = settings.normaliser or normaliser_of(Path(data.train[0]))
    return settings.model_copy(update={"normaliser": name, "data": data.model_copy(update={"digests": digests})})


def look_over(settings: TrainConfidence) -> None:
    """Refuse inputs that cannot be used before anything is written.

    Raises:
        UserError: folders (all of them are named), or the vocabulary's files.
    """
    data = settings.data
    open_all([*data.train, *data.dev], lattices=True, confusion=True)
    _vocabulary(settings, [Path(path) for path in data.train])


class Trainer:
    """Trains what is asked for and keeps it in `out`; what is there already is not trained again.

    Raises:
        UserError, DataError: folders that cannot be used, or nothing to learn from.
    """

    def __init__(self, settings: TrainConfidence, out: Path) -> None:
        self.settings, self.out = settings, out
        self.normaliser = settings.normaliser or "none"
        train = [Path(path) for path in settings.data.train]
        self.vocabulary = _vocabulary(settings, train)
        self.vocabulary.save(out / FILE)
        self.assets = {FILE: out / FILE}
        self.train = read(train, self.vocabulary, self.normaliser, need_reference=True)
        self.right = self.train.kind == RIGHT
        _require_errors(self.train, train)
        self.fold = folds(self.train, settings.folds, settings.seed)
        self.mean = self.train.features.mean(axis=0)
        self.deviation = np.maximum(self.train.features.std(axis=0), 1e-4)
        self.reader = Reader(self.train, self.mean, self.deviation, self.vocabulary, settings)
        self._nets: dict[Kind, list[AcousticNet | HypothesisNet]] = {}
        self._embedded: dict[Kind, Floats] = {}
        self._classifiers: dict[str, Classifier] = {}

    @cached_property
    def dev(self) -> Material:
        paths = [Path(path) for path in self.settings.data.dev]
        return read(paths, self.vocabulary, self.normaliser, need_reference=True)

    @cached_property
    def dev_reader(self) -> Reader:
        return Reader(self.dev, self.mean, self.deviation, self.vocabulary, self.settings)

    def nets(self, kind: Kind) -> list[AcousticNet | HypothesisNet]:
        """The trained nets, one for each fold that it has not heard."""
        if kind not in self._nets:
            self._nets[kind] = [self._net(kind, fold) for fold in range(self.settings.folds)]
        return self._nets[kind]

    def _net(self, kind: Kind, fold: int) -> AcousticNet | HypothesisNet:
        spoken = np.diff(self.train.bounds) > 0
        heard, held_out = np.flatnonzero(spoken & (self.fold != fold)), np.flatnonzero(spoken & (self.fold == fold))
        config = PartConfig(**{**dict(self.settings), "part": kind})
        task = EmbeddingTask(config, self.assets, self.reader, heard, held_out)
        part = self.settings.acoustic_net if kind == "acoustic" else self.settings.hypothesis_net
        say(f"{kind} net {fold + 1} of {self.settings.folds}: learns from {len(heard)} utterances")
        with RunDir.open(self.out / kind / str(fold + 1), f"score-confidence {kind}", config) as run:
            path = fit(task, part.train, run)
        make = acoustic_net if kind == "acoustic" else hypothesis_net
        net: AcousticNet | HypothesisNet = make(self.settings, self.vocabulary)
        net.load_state_dict(bundle.full_weights(path), strict=True)
        return net.eval()

    def embedded(self, kind: Kind) -> Floats:
        """(N, E) of the training words, each by the net that has not heard it."""
        if kind not in self._embedded:
            nets = self.nets(kind)
            found = np.zeros((len(self.train.kind), nets[0].size), dtype=np.float32)
            for fold, net in enumerate(nets):
                self.reader.embed(net, np.flatnonzero(self.fold == fold), found)
            self._embedded[kind] = found
        return self._embedded[kind]

    @cached_property
    def _dev_embedded(self) -> dict[Kind, Floats]:
        return {}

    def dev_embedded(self, kind: Kind) -> Floats:
        """(N, E) of the dev words, averaged over the nets."""
        if kind not in self._dev_embedded:
            self._dev_embedded[kind] = self.dev_reader.averaged(self.nets(kind))
        return self._dev_embedded[kind]

    def inputs(self, settings: TrainConfidence) -> Floats:
        """(N, D) what a system's classifier learns from."""
        return columns(settings, self.train.features, {kind: self.embedded(kind) for kind in kinds(settings)})

    def dev_log_odds(self, settings: TrainConfidence) -> Floats:
        """(N,) of the dev words being right, by one system."""
        inputs = columns(settings, self.dev.features, {kind: self.dev_embedded(kind) for kind in kinds(settings)})
        return log_odds(self.classifier(settings), inputs)

    def classifier(self, settings: TrainConfidence) -> Classifier:
        """The classifier of a system."""
        name = "-".join([settings.decoder, *kinds(settings)])
        key = f"{name} {settings.classifier}"
        if key not in self._classifiers:
            known, inputs = self.train.known, self.inputs(settings)
            if settings.classifier == "logistic":
                self._classifiers[key] = logistic(inputs[known], self.right[known], settings.l2)
            else:
                self._classifiers[key] = self._network(settings, name, inputs[known], self.right[known])
        return self._classifiers[key]

    def _network(self, settings: TrainConfidence, name: str, inputs: Floats, right: NDArray[np.bool_]) -> Classifier:
        parts = max(2, round(1 / HELD_OUT))
        tenth = self.train.of_words(folds(self.train, parts, settings.seed + 1, strict=False))[self.train.known]
        task = NetworkTask(settings, self.assets, inputs, right, tenth == 0)
        say(f"network of {name}: learns from {len(task.heard)} words")
        config = task.config
        with RunDir.open(self.out / "network" / name, "score-confidence network", config) as run:
            path = fit(task, settings.network.train, run)
        network = task.model()
        network.load_state_dict(bundle.full_weights(path), strict=True)
        return network.eval()

    def save(self) -> Path:
        """Put the nets and classifiers of the settings together and write the bundle."""
        settings, material = self.settings, self.train
        model = ConfidenceModel(settings, self.vocabulary)
        model.mean.copy_(torch.from_numpy(self.mean))
        model.deviation.copy_(torch.from_numpy(self.deviation))
        for kind in kinds(settings):
            for mine, trained in zip(getattr(model, kind), self.nets(kind), strict=True):
                mine.load_state_dict(trained.state_dict())
        model.word = self.classifier(settings)
        odds = log_odds(model.word, self.inputs(settings))
        whole = np.array([bool(utterance.whole) for utterance in material.utterances])
        model.whole = logistic(whole_inputs(odds, material.utterance_features, material.bounds), whole, settings.l2)
        bundle.save(self.out / BUNDLE, "score_confidence", settings, model.state_dict(), self.assets)
        return self.out / BUNDLE


def folds(material: Material, count: int, seed: int, strict: bool = True) -> NDArray[np.int64]:
    """(U,) the fold of each utterance: speakers are not divided, and folds have about as many words.

    Where there are fewer speakers than folds, utterances are told apart by their recording instead of their speaker.

    Raises:
        UserError: there are fewer of these, too.
    """
    names = np.array([utterance.speaker for utterance in material.utterances])
    if len(set(names)) < count:
        names = np.array([utterance.recording for utterance in material.utterances])
        say(f"note: fewer than {count} speakers: parts to learn from and to be judged by share speakers")
    found, place = np.unique(names, return_inverse=True)
    if len(found) < count and strict:
        raise UserError(f"{len(found)} recordings cannot make {count} folds", fix=f"--set folds={max(len(found), 2)}")
    words = np.bincount(place, np.diff(material.bounds), minlength=len(found))
    load, fold = np.zeros(count), np.zeros(len(found), dtype=np.int64)
    for index in np.random.default_rng(seed).permutation(len(found)):
        fold[index] = int(load.argmin())
        load[fold[index]] += words[index]
    return fold[place]


def _vocabulary(settings: TrainConfidence, train: Sequence[Path]) -> Vocabulary:
    """Counts from --text or from the references, letters, and lengths in phones from --lang."""
    counts = words_of(train)
    if settings.data.text:
        clean = normaliser(settings.normaliser or "none")
        try:
            text = Path(settings.data.text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{settings.data.text}: cannot be read: {error}", fix="give a text file") from error
        counts = count_words(clean(line).split() for line in text.splitlines())
    phones: dict[str, int] = {}
    if settings.data.lang:
        lexicon = Lang.load(Path(settings.data.lang)).lexicon
        phones = {word: min(map(len, entries)) for word, entries in lexicon.entries.items()}
    return Vocabulary(counts, phones)


def _require_errors(material: Material, paths: Sequence[Path]) -> None:
    """Raise UserError if there is nothing to learn from."""
    names = ", ".join(map(str, paths))
    right, wrong = int((material.kind == RIGHT).sum()), int((material.kind > RIGHT).sum())
    if not len(material.kind):
        raise UserError(f"{names}: no words were recognised", fix="decode cuts with speech")
    if not wrong or not right:
        fix = "decode cuts that the recogniser was not trained on, or add noise to them, until it errs"
        if not right:
            fix = "decode cuts of which the recogniser gets some words right"
        raise UserError(f"{names}: all {right + wrong} words are {'right' if right else 'wrong'}", fix=fix)
    if min(right, wrong) < 100:
        kind = "wrong" if wrong < right else "right"
        say(f"note: only {min(right, wrong)} words are {kind}: confidences will not be reliable")
