"""`export` of the classifiers of sound: an ONNX graph with all that a deployment must know, float or in 8 bits.

The graph takes features of whole windows and gives logits; what comes before and after it (features, softmax or
sigmoids, thresholds) is told in the facts, which are the graph's metadata and `model.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxkit import __version__, bundle
from voxkit.bundle import Bundle
from voxkit.config import to_dict
from voxkit.data.clip_augment import windows
from voxkit.data.clips import load_clip, open_clips
from voxkit.decode.classifier import Classifier
from voxkit.decode.examination import Known, digests
from voxkit.decode.labelling import read_thresholds
from voxkit.errors import UserError
from voxkit.nn import onnx_graph
from voxkit.nn.onnx_graph import Graph
from voxkit.onnx_model import OnnxModel
from voxkit.packed import Quantization
from voxkit.progress import say
from voxkit.rundir import output, write_atomic

FORMAT = "1"
FACTS = "model.json"
TOLERANCE = 1e-3  # of logits
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
            graph: Graph = bundle.room(system, "model").graph(loaded.model)
            file = place.work / bundle.ONNX
            onnx_graph.write(loaded.model, graph, file, facts)
            onnx_graph.verify(loaded.model, graph, file, TOLERANCE)
            if calibrate is not None:
                _to_int8(loaded.model, file, _examples(classifier, calibrate, known))
            _write_bundle(loaded, file, place.work, int8)
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
        **({} if thresholds is None else {"thresholds": json.dumps(thresholds, ensure_ascii=False)}),
    }


def _plain(value: str) -> Any:
    return json.loads(value) if value.startswith(("{", "[")) else value


def _examples(classifier: Classifier, calibrate: Path, known: Known) -> list[Tensor]:
    """Features (1, T, F) of windows of the clips."""
    clips = open_clips(calibrate, known.label, "multi", known.shortest, need_labels=False)
    found = []
    for clip in clips[:: max(1, len(clips) // WINDOWS)][:WINDOWS]:
        for part in windows(load_clip(clip, classifier.rate), classifier.length, classifier.clip)[:1]:
            found.append(classifier.extractor(part).unsqueeze(0))
    return found


def _to_int8(model: nn.Module, file: Path, examples: Sequence[Tensor]) -> None:
    """Put an 8-bit graph in the place of a float one, and say how far its logits are from torch's."""
    small = file.with_name("int8.onnx")
    calibration: list[tuple[NDArray[np.generic]]] = [(example.numpy(),) for example in examples]
    onnx_graph.to_int8(file, small, calibration)
    small.replace(file)
    with torch.inference_mode():
        batch = torch.cat(list(examples))
        ours, theirs = model(batch), OnnxModel(file)(batch)
        worst = float((ours - theirs).abs().max())
        same = float((ours.argmax(1) == theirs.argmax(1)).float().mean())
    say(f"8 bits: logits differ by at most {worst:.2g}, {100 * same:.1f} % of the highest ones are the same")


def _write_bundle(loaded: Bundle, file: Path, work: Path, int8: bool) -> None:
    """A bundle beside the graph, for `apply`, `score` and other commands."""
    scheme = Quantization(bits=8, symmetric=True, per="channel", rest="float32") if int8 else None
    assets = {path.name: path for path in sorted(loaded.assets.iterdir())}
    bundle.save_onnx(work / "bundle", loaded.system, loaded.config, file, assets, scheme)
