"""`export` of the classifiers of sound: an ONNX graph with all that a deployment must know, float or in 8 bits.

The graph takes features of whole windows and gives logits; what comes before and after it (features, softmax or
sigmoids, thresholds) is told in the facts: in short in the graph's metadata, which counts as part of its size, and in
full in `model.json`.
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
from voxkit.data.clips import clip_digests, load_clip, open_clips
from voxkit.data.detect_config import DetectConfig
from voxkit.decode import deployment, onnx_bundle
from voxkit.decode.classifier import Classifier
from voxkit.decode.examination import Known
from voxkit.decode.labelling import read_thresholds
from voxkit.decode.onnx_bundle import EightBits
from voxkit.errors import UserError
from voxkit.nn import clip_classifier, onnx_graph
from voxkit.nn.clip_classifier import ClipClassifier
from voxkit.nn.counting import count_example
from voxkit.onnx_model import OnnxModel
from voxkit.packed import Quantization
from voxkit.progress import say
from voxkit.rundir import output, write_atomic

FORMAT = "2"
FACTS, BUNDLE = "model.json", "bundle"
NUMBERS = ("format", "bits", "parameters", "multiply_adds")  # facts that are numbers, and text in the metadata only
FLOATS = {"weights": "float32", "activations": "float32"}
INTEGERS = {"weights": "int8", "activations": "uint8"}  # what comes out of it, and what has no 8-bit kernel, is float32
WINDOWS = 64  # for calibration, spread over the clips


def run(
    model: Path,
    system: str,
    out: Path,
    thresholds: Path | None = None,
    int8: bool = False,
    calibrate: Path | None = None,
) -> None:
    """Write a folder with `model.json`, and a bundle with `model.onnx` that `apply` and `score` take.

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
        spec["calibrate"] = clip_digests(calibrate)
    with output(out, f"{system.replace('_', '-')} export", spec, resumable=False) as place:
        if not place.done:
            loaded, classifier = bundle.load(model), Classifier.load(model, system)
            if loaded.quantization is not None:
                _tell_unpacked(loaded.quantization, int8)
            facts = facts_of(classifier, system, known.identity["weights"], tuned, int8, loaded.quantization)
            graph = clip_classifier.graph(cast(ClipClassifier, loaded.model))
            eight = None if calibrate is None else EightBits(_calls(classifier, calibrate, known))
            with TemporaryDirectory(prefix="export.", dir=place.work) as folder:
                file = onnx_bundle.write(loaded, graph, facts, Path(folder), eight)
                onnx_bundle.save(place.work / BUNDLE, loaded, file, eight)
            told = recipe(classifier, facts, tuned)
            write_atomic(place.work / FACTS, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    print(out / BUNDLE / bundle.ONNX)


def _tell_unpacked(scheme: Quantization, int8: bool) -> None:
    """Say that a graph has no packed weights."""
    made = "8 bits of its own" if int8 else "floats of 32 bits; a small graph is that of --int8 --calibrate CLIPS"
    say(f"notice: weights packed in {scheme.bits} bits are for voxkit; the graph has what they stand for in {made}")


def facts_of(
    classifier: Classifier,
    system: str,
    weights: str,
    thresholds: Mapping[str, float] | None,
    int8: bool,
    packed: Quantization | None = None,
) -> dict[str, str]:
    """What a deployment needs to know in short, as text and JSON: the graph's metadata.

    Args:
        weights: their digest.
        packed: how the weights were quantized that the graph was made from.
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
        **({} if packed is None else {"quantized": json.dumps(to_dict(packed))}),
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


def recipe(classifier: Classifier, facts: Mapping[str, str], thresholds: Mapping[str, float] | None) -> dict[str, Any]:
    """The facts in full, as values for programs and texts for people: all that scores are made with."""
    length, rate, head = classifier.length, classifier.rate, classifier.head
    told: dict[str, Any] = {name: _plain(name, value) for name, value in facts.items()}
    told.setdefault("quantized", None)
    told["graph"] = {"file": f"{BUNDLE}/{bundle.ONNX}", **(FLOATS if told["bits"] == 32 else INTEGERS)}
    told["features"], told["features_text"] = deployment.features(classifier.extractor.config, length)
    told["clip"], told["clip_text"] = deployment.clips(classifier.clip, length, head)
    told["detection"], told["detection_text"] = deployment.detection(DetectConfig(), length, rate, head, thresholds)
    return told


def counted(model: nn.Module) -> dict[str, int]:
    """`parameters`, and `multiply_adds` for a window, of a classifier; of a graph, what it was exported with."""
    if isinstance(model, OnnxModel):
        return {name: int(model.facts[name]) for name in ("parameters", "multiply_adds") if name in model.facts}
    counts = count_example(model, clip_classifier.graph(cast(ClipClassifier, model)).inputs)
    return {"parameters": counts.parameters, "multiply_adds": counts.multiply_adds}


def _plain(name: str, value: str) -> Any:
    return json.loads(value) if name in NUMBERS or value.startswith(("{", "[")) else value


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
