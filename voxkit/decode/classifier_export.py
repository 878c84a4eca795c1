"""`export` of the classifiers of sound: an ONNX graph with all that a deployment must know, float or in 8 bits.

The graph takes features of whole windows and gives logits; what comes before and after it (features, softmax or
sigmoids, thresholds) is told in the facts, which are the graph's metadata and `model.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from torch import Tensor, nn

from voxkit import __version__, bundle
from voxkit.config import to_dict
from voxkit.data.audio import Samples
from voxkit.data.clip_augment import windows
from voxkit.data.clip_config import ClipConfig
from voxkit.data.clips import load_clip, open_clips
from voxkit.decode import onnx_bundle
from voxkit.decode.classifier import Classifier
from voxkit.decode.examination import Known, digests
from voxkit.decode.labelling import read_thresholds
from voxkit.decode.onnx_bundle import EightBits
from voxkit.errors import UserError
from voxkit.nn import clip_classifier, onnx_graph
from voxkit.nn.clip_classifier import ClipClassifier
from voxkit.nn.counting import count_example
from voxkit.onnx_model import OnnxModel
from voxkit.rundir import output, write_atomic

FORMAT = "1"
FACTS = "model.json"
WINDOWS = 64  # for calibration, spread over the clips


def run(
    model: Path,
    system: str,
    out: Path,
    thresholds: Path | None = None,
    int8: bool = False,
    calibrate: Path | None = None,
) -> None:
    """Write a folder with `model.onnx`, `model.json`, and a bundle that `apply` and `score` take.

    Args:
        thresholds: to be written into the facts.
        int8: weights and activations in 8 bits.
        calibrate: clips that the ranges of activations are found on, with `int8`.

    Raises:
        UserError: no such model, no onnx or onnxruntime, or a graph that says other things than torch.
    """
    if int8 != (calibrate is not None):
        raise UserError("--int8 and --calibrate CLIPS go together", fix="give both, or none of them")
    onnx_graph.require(f"{system.replace('_', '-')} export")
    known = Known.of_bundle(model, system)
    if bundle.weights(model).name == bundle.ONNX:
        raise UserError(f"{model}: is an ONNX graph already", fix="give the bundle that it was made from")
    tuned = None if thresholds is None else read_thresholds(thresholds, known.classes)
    spec = {"model": known.identity, "format": FORMAT, "thresholds": tuned}
    if calibrate is not None:
        spec["calibrate"] = digests(calibrate)
    with output(out, f"{system.replace('_', '-')} export", spec, resumable=False) as place:
        if not place.done:
            loaded, classifier = bundle.load(model), Classifier.load(model, system)
            facts = facts_of(classifier, system, known.identity["weights"], tuned, int8)
            graph = clip_classifier.graph(cast(ClipClassifier, loaded.model))
            eight = None if calibrate is None else EightBits(_calls(classifier, calibrate, known))
            with TemporaryDirectory(prefix="export.", dir=place.work) as folder:
                file = onnx_bundle.write(loaded, graph, facts, Path(folder), eight)
                onnx_bundle.save(place.work / "bundle", loaded, file, eight)
                file.replace(place.work / bundle.ONNX)
            readable = {name: _plain(value) for name, value in facts.items()}
            write_atomic(place.work / FACTS, json.dumps(readable, indent=2, ensure_ascii=False) + "\n")
    print(out / bundle.ONNX)


def facts_of(
    classifier: Classifier, system: str, weights: str, thresholds: Mapping[str, float] | None, int8: bool
) -> dict[str, str]:
    """What a deployment needs to know, as text and JSON.

    Args:
        weights: their digest.
    """
    features = classifier.extractor.config
    counts = counted(classifier.model)
    shape = ["clips", features.num_frames(classifier.length), features.dim]
    return {
        "format": FORMAT,
        "voxkit": __version__,
        "system": system,
        "model": weights,
        "bits": "8" if int8 else "32",
        "classes": json.dumps(classifier.classes, ensure_ascii=False),
        "head": classifier.head,
        "input": json.dumps({"name": "features", "shape": shape, "type": "float32"}),
        "output": json.dumps({"name": "logits", "shape": ["clips", len(classifier.classes)], "type": "float32"}),
        "posteriors": "softmax of the logits" if classifier.head == "single" else "sigmoid of each logit",
        "window": json.dumps({"samples": classifier.length, "sampling_rate": classifier.rate}),
        "clip": json.dumps(to_dict(classifier.clip)),
        "features": json.dumps(to_dict(features)),
        **{name: str(value) for name, value in counts.items()},
        **({} if thresholds is None else {"thresholds": json.dumps(thresholds, ensure_ascii=False)}),
    }


def counted(model: nn.Module) -> dict[str, int]:
    """`parameters`, and `multiply_adds` for a window, of a classifier; of a graph, what it was exported with."""
    if isinstance(model, OnnxModel):
        return {name: int(model.facts[name]) for name in ("parameters", "multiply_adds") if name in model.facts}
    counts = count_example(model, clip_classifier.graph(cast(ClipClassifier, model)).inputs)
    return {"parameters": counts.parameters, "multiply_adds": counts.multiply_adds}


def _plain(value: str) -> Any:
    return json.loads(value) if value.startswith(("{", "[")) else value


def heard(samples: Samples, length: int, clip: ClipConfig) -> Samples:
    """The middle one of the windows (length,) in which a clip is judged: what ranges of activations are found on."""
    parts = windows(samples, length, clip)
    return parts[len(parts) // 2]


def _calls(classifier: Classifier, calibrate: Path, known: Known) -> list[tuple[Tensor]]:
    """Features (1, T, F) of a window of each of some clips."""
    clips = open_clips(calibrate, known.label, "multi", known.shortest, need_labels=False)
    chosen = clips[:: max(1, len(clips) // WINDOWS)][:WINDOWS]
    sounds = (heard(load_clip(clip, classifier.rate), classifier.length, classifier.clip) for clip in chosen)
    return [(classifier.extractor(sound).unsqueeze(0),) for sound in sounds]
