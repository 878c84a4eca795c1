"""Transcribed cuts, checked against everything that training will ask of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from voxkit import bundle
from voxkit.commands.train_am.command import AugmentConfig, DataConfig, TrainAm
from voxkit.data import audio
from voxkit.data.features import Extractor
from voxkit.data.lang import LEXICON, TOKENS, Lang
from voxkit.data.manifests import check_cuts, manifest_files, open_cuts
from voxkit.errors import Problems, UserError
from voxkit.nn.graph_ctc import LabelGraph, Pronunciation, label_graph
from voxkit.rundir import digest


@dataclass(frozen=True)
class Example:
    """A cut with one transcript: its words' pronunciations, and their CTC graph."""

    cut: Any
    text: str
    slots: Sequence[Sequence[Pronunciation]]
    graph: LabelGraph

    @property
    def weight(self) -> float:
        """How much the example counts: the supervision's `custom["weight"]`."""
        return float((self.cut.supervisions[0].custom or {}).get("weight", 1.0))


def open_examples(path: str, lang: Lang, config: TrainAm, rejected: Path, limit: float | None = None) -> list[Example]:
    """Read a CutSet; a cut with several supervisions becomes one example for each.

    Args:
        rejected: where to list what is left out; a second list, of what does not fit the model, goes beside it.
        limit: the longest that an example may be [s].

    Raises:
        DataError: more bad cuts than `config.data.max_bad`, words without pronunciation, transcripts that are too
            long for their audio, examples that are too long for a batch.
        UserError: no such file, or features of another kind than the config's.
    """
    max_bad = config.data.max_bad
    good = check_cuts(open_cuts(path), path, need_text=True, vocabulary=lang, max_bad=max_bad, rejected=rejected)
    examples = [_example(cut, lang) for cut in good.trim_to_supervisions(keep_overlapping=False)]
    _same_features(path, config, examples)
    problems = Problems()
    for example in examples:
        cut, graph = example.cut, example.graph
        if output_frames(cut.duration, config) < graph.min_frames:
            what = f"{cut.duration:.2f} s are too short for {graph.min_frames} units in a row"
            fix = "mend its transcript or times, or lower model.subsampling"
            problems.add("too short for its transcript", path, cut.id, what, fix)
        elif limit is not None and cut.duration > limit:
            what = f"lasts {cut.duration:.2f} s, a batch {limit:g} s"
            fix = f"--set batch.max_duration={np.ceil(cut.duration):g}, or cut it into pieces"
            problems.add("too long for a batch", path, cut.id, what, fix)
    bad = problems.settle(len(examples), max_bad, rejected.with_stem(rejected.stem + "_unfit"))
    return [example for example in examples if example.cut.id not in bad]


def identified(data: DataConfig) -> DataConfig:
    """With digests of the inputs, so that a run is not resumed on others under the same names."""
    files = [file for path in (data.train, data.dev, data.noise) if path for file in manifest_files(path)]
    files += [bundle.weights(Path(data.init))] if data.init else []
    files += [file for name in (TOKENS, LEXICON) if (file := Path(data.lang) / name).exists()]
    return data.model_copy(update={"digests": {str(file): digest(file) for file in files}})


def output_frames(duration: Any, config: TrainAm) -> Any:
    """How many frames the model makes of so many seconds, at least."""
    return np.floor(np.asarray(duration) / config.features.frame_shift / config.model.subsampling)


def feasible_speeds(speeds: NDArray[np.float64], examples: Sequence[Example], config: TrainAm) -> NDArray[np.float64]:
    """The speeds (N,) drawn for the examples, 1 where the drawn one would make an example too short or too long."""
    durations = np.array([example.cut.duration for example in examples]) / speeds
    enough = output_frames(durations, config) >= [example.graph.min_frames for example in examples]
    return np.where(enough & (durations <= config.batch.max_duration), speeds, 1.0)


def features_of(cut: Any, extractor: Extractor) -> Tensor:
    """(T, F): the cut's own features if it has any, else those of its audio.

    Raises:
        AudioError: the audio cannot be read or holds values that are not numbers.
    """
    if cut.has_features:
        return from_numpy(cut.load_features()).float()
    return extractor(audio.load(cut, extractor.config.sampling_rate))


def augmented(
    cut: Any, rate: int, speed: float, config: AugmentConfig, noises: Sequence[Any], draw: np.random.Generator
) -> NDArray[np.float32]:
    """The samples (N,) of a cut with another speed and level and, given noises, perhaps one of them mixed in."""
    if cut.sampling_rate != rate:
        cut = cut.resample(rate)
    if speed != 1.0:
        cut = cut.perturb_speed(speed)
    if noises and draw.random() < config.noise:
        noise = noises[int(draw.integers(len(noises)))].resample(rate)
        missing = int(cut.duration // noise.duration)
        whole = noise
        for _ in range(missing):  # a noise shorter than the speech begins again
            whole = whole.append(noise)
        offset = draw.uniform(0, whole.duration - cut.duration)
        noise = whole.truncate(offset=offset, duration=cut.duration)
        cut = cut.mix(noise, snr=draw.uniform(*config.snr)).truncate(duration=cut.duration)
    level = 10 ** (draw.uniform(-config.volume, config.volume) / 20)
    return audio.load(cut) * np.float32(level)


def open_noises(path: str | None, rejected: Path) -> list[Any]:
    """Cuts of noise, checked."""
    return [] if path is None else list(check_cuts(open_cuts(path), path, rejected=rejected))


def _example(cut: Any, lang: Lang) -> Example:
    text = lang.normalise(cut.supervisions[0].text)
    slots = [lang.pronunciations(word) for word in text.split()]
    return Example(cut, text, slots, label_graph(slots))


def _same_features(path: str, config: TrainAm, examples: Sequence[Example]) -> None:
    features = config.features
    wanted = (features.frame_shift, features.sampling_rate, features.dim)
    for example in examples:
        if example.cut.has_features:
            stored = example.cut.features
            found = (stored.frame_shift, stored.sampling_rate, stored.num_features)
            if found != wanted:
                raise UserError(
                    f"{path}: {example.cut.id} has features of {found[0]} s, {found[1]} Hz and {found[2]} values, "
                    f"the config asks for {wanted[0]} s, {wanted[1]} Hz and {wanted[2]}",
                    fix="give train-am the features: section that featurize had, or cuts without features",
                )
