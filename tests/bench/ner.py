"""`voxkit ner` beside spaCy's `ner`, both trained on the same sentences: F1 and words per second on one core.

    python tests/bench/ner.py TRAIN DEV TEST MODEL ... [--peer PYTHON] [--passes N]

The files are CoNLL columns, MODEL are experiments or exports of `voxkit ner`. PYTHON is an interpreter that has spaCy,
which voxkit does not need:

    python3 -m venv peers && peers/bin/pip install spacy

spaCy's pipeline is `blank("en")` with `ner` as it comes (hash embeddings of a word's form, prefix, suffix and shape, a
convolutional network, transitions), trained for N passes with its own defaults of batch size and optimiser; of the
passes, the best on DEV counts. Every system tags in a process of its own on one core and one thread. `batch` gives all
sentences in one call, `one` a sentence a call; times are of the CPU, without loading. A ratio above 1 means that voxkit
is so many times as fast.

voxkit keeps what it has read of a word, so it is loaded anew before each pass: nothing is known of any word then.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Words = list[str]
Spans = set[tuple[str, int, int]]
Tag = Callable[[list[Words]], list[Spans]]
Load = Callable[[], Tag]  # a model that has seen nothing yet

REPEATS = 3  # of a batch; the best counts
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> None:
    options = arguments()
    if options.one:
        print(json.dumps(measure(options)))
        return
    os.sched_setaffinity(0, {options.core})  # the processes it starts have that from it
    given = [str(path) for path in (options.train, options.dev, options.test)]
    ours = {str(path): run(sys.executable, [*given, str(path), "--one", "voxkit"]) for path in options.models}
    peers = {}
    if options.peer:
        peers["spaCy"] = run(options.peer, [*given, "--one", "spacy", "--passes", str(options.passes)])
    else:
        print("spaCy: not measured without --peer")
    for name, found in {**ours, **peers}.items():
        print(
            f"%F1 {found['f1']:.2f} [ batch {found['batch']:.0f} words/s, one {found['one']:.0f} words/s; "
            f"{found['version']}{found.get('note', '')} ] {name}"
        )
    for name, mine in ours.items():
        for peer, other in peers.items():
            ratios = ", ".join(f"{key} {mine[key] / other[key]:.2g}x" for key in ("batch", "one"))
            print(f"%SPEED-RATIO {ratios} {name} against {peer}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("models", type=Path, nargs="*", help="experiments of ner train, or what ner export wrote")
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter that has spaCy")
    parser.add_argument("--passes", type=int, default=15, help="over the sentences, of spaCy's training")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="that everything runs on")
    parser.add_argument("--one", choices=SYSTEMS, help=argparse.SUPPRESS)  # in a process of its own
    return parser.parse_args()


def run(python: str, options: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(
        [python, __file__, *options], stdout=subprocess.PIPE, text=True, env={**os.environ, **THREADS}
    )
    if done.returncode:
        sys.exit(f"{python} {' '.join(options)}: exit status {done.returncode}")
    return dict(json.loads(done.stdout))


# In the process that is measured. The interpreter may be the peer's, which has no voxkit.


def sentences(path: Path) -> list[tuple[Words, Spans]]:
    """Of CoNLL columns with BIO tags, as `voxkit prepare` writes them."""
    found: list[tuple[Words, Spans]] = []
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        rows = [line.split("\t") for line in block.split("\n") if "\t" in line]
        if rows:
            found.append(([row[0] for row in rows], spans([row[-1] for row in rows])))
    return found


def spans(tags: Sequence[str]) -> Spans:
    found, label, begin = set(), "", 0
    for place, tag in enumerate([*tags, "O"]):
        if label and tag != f"I-{label}":
            found.add((label, begin, place))
            label = ""
        if tag != "O" and not label:
            label, begin = tag[2:], place
    return found


def voxkit(options: argparse.Namespace) -> tuple[Load, str, str]:
    from importlib.metadata import version

    from voxkit.commands.ner.tagger import Tagger
    from voxkit.data.tagging import Sentence

    def load() -> Tag:
        tagger = Tagger.load(options.models[0])

        def tag(some: list[Words]) -> list[Spans]:
            found = tagger.tag([Sentence.of(str(number), words) for number, words in enumerate(some)])
            return [set(map(tuple, one.entities)) for one in found]

        return tag

    return load, f"voxkit {version('voxkit')}", ", with confidences"


def spacy(options: argparse.Namespace) -> tuple[Load, str, str]:
    import random

    import spacy as package
    from spacy.tokens import Doc
    from spacy.training import Example
    from spacy.util import compounding, minibatch

    package.util.fix_random_seed(0)
    random.seed(0)
    made = package.blank("en")
    made.add_pipe("ner")

    def example(words: Words, entities: Spans) -> Any:
        doc = Doc(made.vocab, words=words)
        reference = Doc(made.vocab, words=words)
        reference.ents = [reference.char_span(*_chars(reference, one), label=one[0]) for one in sorted(entities)]
        return Example(doc, reference)

    def _chars(doc: Any, entity: tuple[str, int, int]) -> tuple[int, int]:
        return doc[entity[1]].idx, doc[entity[2] - 1].idx + len(doc[entity[2] - 1])

    def tag(some: list[Words]) -> list[Spans]:
        docs = (Doc(made.vocab, words=words) for words in some)
        return [{(one.label_, one.start, one.end) for one in doc.ents} for doc in made.pipe(docs, batch_size=256)]

    train, dev = sentences(options.train), sentences(options.dev)
    examples = [example(*one) for one in train]
    optimizer = made.initialize(lambda: examples)
    best, kept, begun = -1.0, b"", time.process_time()
    for number in range(options.passes):
        random.shuffle(examples)
        for batch in minibatch(examples, size=compounding(16.0, 128.0, 1.001)):
            made.update(batch, sgd=optimizer, drop=0.1)
        with made.use_params(optimizer.averages):
            value = f1([one for _, one in dev], tag([words for words, _ in dev]))
            print(f"spaCy: pass {number + 1}: F1 {value:.2f} on dev", file=sys.stderr, flush=True)
            if value > best:
                best, kept = value, made.to_bytes()
    made.from_bytes(kept)
    return lambda: tag, f"spaCy {package.__version__}", f", trained for {time.process_time() - begun:.0f} s of CPU time"


SYSTEMS: dict[str, Callable[[argparse.Namespace], tuple[Load, str, str]]] = {"voxkit": voxkit, "spacy": spacy}


def f1(gold: Sequence[Spans], found: Sequence[Spans]) -> float:
    right = sum(len(one & other) for one, other in zip(gold, found, strict=True))
    return 200 * right / max(sum(map(len, gold)) + sum(map(len, found)), 1)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """F1 [per cent], and words per second of CPU time."""
    load, version, note = SYSTEMS[options.one](options)
    test = sentences(options.test)
    words = [one for one, _ in test]
    count = sum(map(len, words))
    found = load()(words)  # the first calls are slower
    batches = []
    for _ in range(REPEATS):
        tag = load()
        begun = time.process_time()
        tag(words)
        batches.append(time.process_time() - begun)
    tag = load()
    begun = time.process_time()
    for one in words:
        tag([one])
    single = time.process_time() - begun
    return {
        "f1": f1([entities for _, entities in test], found),
        "batch": count / min(batches),
        "one": count / single,
        "version": version,
        "note": note,
    }


if __name__ == "__main__":
    main()
