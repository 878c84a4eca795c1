"""The kaldi and k2 backends on real posteriors: time of search and loss on one core, and how far they agree.

    python tests/bench/backends.py EXP LANG CUTS [--set acoustic_scale=1.5 --set blank_penalty=1]

EXP is an experiment of `voxkit train-am`, CUTS a manifest with transcripts. Times are of the CPU, without the network.
Needs k2 (see `voxkit doctor`).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voxkit.commands.decode.command import Decode
from voxkit.commands.decode.material import gather
from voxkit.commands.decode.part import Worker
from voxkit.config import build
from voxkit.data.lang import Lang
from voxkit.decode.k2 import K2Decoder
from voxkit.decode.kaldi import KaldiDecoder
from voxkit.decode.lattice import Lattice
from voxkit.decode.settings import SearchConfig
from voxkit.metrics.edit import Errors, errors
from voxkit.nn.graph_ctc import batch_graphs, graph_ctc_loss, label_graph
from voxkit.nn.k2_ctc import k2_ctc_loss

Spoken = tuple[str, np.ndarray]  # transcript, (T, V) log-probabilities


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exp", type=Path)
    parser.add_argument("lang", type=Path)
    parser.add_argument("cuts", type=Path)
    parser.add_argument("--set", action="append", help="of the search, KEY=VALUE")
    parser.add_argument("--batch", type=int, default=16, help="utterances that k2 takes together")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lang = Lang.load(options.lang)
    spoken = sorted(posteriors(options.exp, options.lang, options.cuts), key=lambda one: len(one[1]))
    compare_searches(lang, spoken, build(SearchConfig, sets=options.set), options.batch)
    compare_losses(lang, spoken, options.batch)


def posteriors(exp: Path, lang: Path, cuts: Path) -> list[Spoken]:
    config = Decode()
    worker = Worker(exp, lang, config)
    found = []
    for part in gather([cuts], worker.recogniser.extractor.config.sampling_rate, None, config).parts:
        for batch in worker.listener(part, only_referenced=True):
            log_probs, _ = worker.recogniser.log_probs(batch.cuts, batch.samples)
            found += [(cut.supervisions[0].text, array) for cut, array in zip(batch.cuts, log_probs, strict=True)]
    return found


def timed(work: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """The least CPU time [s], and the result."""
    spent = []
    result = None
    for _ in range(repeats):
        begun = time.process_time()
        result = work()
        spent.append(time.process_time() - begun)
    return min(spent), result


def compare_searches(lang: Lang, spoken: Sequence[Spoken], config: SearchConfig, batch: int) -> None:
    utterances = [array for _, array in spoken]
    frames = sum(map(len, utterances))
    lattices: dict[str, list[Lattice]] = {}
    for kind in (KaldiDecoder, K2Decoder):
        loading, decoder = timed(lambda kind=kind: kind(lang, config), repeats=1)  # type: ignore[misc]
        size = batch if kind is K2Decoder else 1
        groups = [utterances[i : i + size] for i in range(0, len(utterances), size)]
        seconds, found = timed(lambda d=decoder, g=groups: [one for group in g for one in d.batch(group)])
        wrong = Errors()
        for (text, _), lattice in zip(spoken, found, strict=True):
            wrong += errors(text.split(), decoder.words(lattice.best_path()).split())
        arcs = sum(lattice.num_arcs for lattice in found)
        print(f"{kind.__name__:<14}{1e6 * seconds / frames:6.1f} us a frame, loading {loading:.2f} s, {arcs} arcs")
        print(wrong.line("WER", kind.__name__))
        lattices[kind.__name__] = found
    pairs = list(zip(*lattices.values(), strict=True))
    bests = [(one.best_path(), other.best_path()) for one, other in pairs]
    same = sum((a.words, a.starts, a.ends) == (b.words, b.starts, b.ends) for a, b in bests)
    totals = [abs(one.total_score() - other.total_score()) for one, other in pairs]
    posterior = [apart(timed_words(one), timed_words(other)) for one, other in pairs]
    print(f"the same words at the same times in {same} of {len(pairs)}; largest difference:")
    print(f"best path {max(abs(a.cost - b.cost) for a, b in bests):.2g}, total {max(totals):.2g} [-log],")
    print(f"posterior of a timed word {max(posterior):.2g}")


def timed_words(lattice: Lattice) -> Counter[tuple[int, int, int]]:
    found: Counter[tuple[int, int, int]] = Counter()
    for *key, posterior in zip(lattice.word, lattice.start, lattice.end, lattice.posteriors(), strict=True):
        found[tuple(map(int, key))] += posterior  # type: ignore[index]
    return found


def apart(one: Counter[tuple[int, int, int]], other: Counter[tuple[int, int, int]]) -> float:
    return max((abs(one[key] - other[key]) for key in one | other), default=0.0)


def compare_losses(lang: Lang, spoken: Sequence[Spoken], size: int) -> None:
    pairs = [(label_graph([lang.pronunciations(word) for word in text.split()]), array) for text, array in spoken]
    pairs = [(graph, array) for graph, array in pairs if graph.min_frames <= len(array)][-size:]
    lengths = torch.tensor([len(array) for _, array in pairs])
    graphs = batch_graphs([graph for graph, _ in pairs])
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(array) for _, array in pairs], batch_first=True)
    results, times = [], []
    for loss in (graph_ctc_loss, k2_ctc_loss):
        raw = padded.clone().requires_grad_()

        def step(loss: Callable[..., torch.Tensor] = loss, raw: torch.Tensor = raw) -> tuple[torch.Tensor, ...]:
            losses = loss(raw.log_softmax(-1), lengths, graphs)
            return losses.detach(), *torch.autograd.grad(losses.sum(), raw)

        seconds, result = timed(step)
        times.append(seconds)
        results.append(result)
    (ours, gradient), (theirs, other) = results
    print(f"loss and gradient of {len(pairs)} utterances: graph_ctc {times[0]:.3f} s, k2_ctc {times[1]:.3f} s,")
    print(f"{times[0] / times[1]:.1f} times as fast; largest difference {float((ours - theirs).abs().max()):.2g} nats,")
    print(f"of the gradient {float((gradient - other).abs().max()):.2g}")


if __name__ == "__main__":
    main()
