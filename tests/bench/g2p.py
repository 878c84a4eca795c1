"""`voxkit g2p` beside g2p-en, phonemizer and espeak-ng: English words on one core, in one thread.

    python tests/bench/g2p.py MODEL [--export DIR] [--lang en-us] [--words FILE] [--peers PYTHON]

MODEL is an experiment of `voxkit g2p train`, DIR what `voxkit g2p export` made of it, PYTHON an interpreter that has
the peers, which voxkit does not need:

    python3 -m venv peers && peers/bin/pip install g2p_en phonemizer espeakng-loader

espeak-ng itself is measured through voxkit, where the extra `demo` is installed. Every system runs in a process of its
own on one core. `batch` gives all words in one call, `one word` a word a call; their times are of the CPU, without
loading. `first word` is what `echo WORD | voxkit g2p apply MODEL` takes from its start until it answers, by the clock,
in a new process with its files in memory. A ratio above 1 means that voxkit is so many times as fast.

Nothing here is about how right the answers are, and the systems do not do the same work: voxkit searches with a beam,
g2p-en takes the best phone at each step, espeak-ng follows rules and a dictionary. A poor model says too short or too
long words, which changes its speed: see the phones a word.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Say = Callable[[Sequence[str]], list[Sequence[str]]]  # words -> the phones of each
Result = dict[str, Any]

BEAMS = (1, 5)
APPLY_BEAM = 5  # the default of `g2p apply`
REPEATS = 3  # of a batch; the best counts
SINGLE = 300  # words that are said one at a time
STARTS = 5  # of a command, after one that brings its files into memory
RANKS = 10_000, 30_000  # of the words by frequency: rare enough to be missing in a lexicon
NOTES = {
    "g2p-en": "G2p.predict, its network alone, greedy, a word at a time; nothing is looked up, nltk has no corpora",
    "phonemizer": "EspeakBackend.phonemize",
    "espeak-ng": "espeak_TextToPhonemes, a word at a time",
}
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> None:
    options = arguments()
    if options.one:
        print(json.dumps(measure(options)))
    elif options.first:
        say, _ = SYSTEMS[options.first](options)
        print(" ".join(say([sys.stdin.readline().strip()])[0]), flush=True)
    else:
        compare(options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="experiment or bundle of g2p train")
    parser.add_argument("--export", type=Path, help="folder of g2p export, measured too")
    parser.add_argument("--lang", default="en-us", help="what MODEL calls English")
    parser.add_argument("--words", type=Path, help="a word a line; else rare words by wordfreq")
    parser.add_argument("--count", type=int, default=2000, help="of words")
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter that has g2p-en and phonemizer")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="that everything runs on")
    parser.add_argument("--beam", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--one", choices=SYSTEMS, help=argparse.SUPPRESS)  # in a process of its own
    parser.add_argument("--first", choices=SYSTEMS, help=argparse.SUPPRESS)
    return parser.parse_args()


# In the process that is measured. The interpreter may be the peers', which has no voxkit.


def voxkit(options: argparse.Namespace) -> tuple[Say, str]:
    from importlib.metadata import version

    from voxkit.commands.g2p.pronounce import ONNX, Pronouncer

    pronouncer = Pronouncer.load([options.model], options.beam, threads=1)
    known = list(filter(None, pronouncer.tables.languages))
    if options.lang not in known:
        sys.exit(f"{options.model} has not learnt {options.lang!r}: give --lang, one of {', '.join(known)}")

    def say(words: Sequence[str]) -> list[Sequence[str]]:
        found = pronouncer.pronounce([(word, options.lang) for word in words])
        return [hypotheses[0].phones if hypotheses else () for hypotheses in found]

    engine = "onnxruntime" if all((options.model / name).exists() for name in ONNX) else "torch"
    return say, f"voxkit {version('voxkit')}, {engine} {version(engine)}"


def g2p_en(_: argparse.Namespace) -> tuple[Say, str]:
    import nltk

    nltk.download = lambda *_, **__: False  # importing it would fetch corpora
    from g2p_en import g2p

    class Empty:
        """In the place of nltk's CMUdict: no word is looked up."""

        dict = dict

    g2p.cmudict = Empty
    predict = g2p.G2p().predict
    return lambda words: [predict(word.lower()) for word in words], versions("g2p-en", "numpy")


def phonemizer(_: argparse.Namespace) -> tuple[Say, str]:
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper
    from phonemizer.separator import Separator

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    backend, separator = EspeakBackend("en-us"), Separator(phone="_", word=" ")

    def say(words: Sequence[str]) -> list[Sequence[str]]:
        return [text.split("_") for text in backend.phonemize(words, separator=separator, strip=True)]

    return say, f"{versions('phonemizer')}, espeak-ng {'.'.join(map(str, backend.version()))}"


def espeak(_: argparse.Namespace) -> tuple[Say, str]:
    from voxkit.data.corpora import espeak as room

    speaker = room.Speaker.get()
    speaker.set_voice("en-us")

    def say(words: Sequence[str]) -> list[Sequence[str]]:
        for cached in (room._pronounce, room._ipa):  # or the second repeat would only look up
            cached.cache_clear()
        return [speaker.pronounce(word) for word in words]

    return say, versions("espeakng-loader")


SYSTEMS: dict[str, Callable[[argparse.Namespace], tuple[Say, str]]] = {
    "voxkit": voxkit,
    "g2p-en": g2p_en,
    "phonemizer": phonemizer,
    "espeak-ng": espeak,
}


def versions(*packages: str) -> str:
    from importlib.metadata import version

    return ", ".join(f"{package} {version(package)}" for package in packages)


def measure(options: argparse.Namespace) -> Result:
    """Times of one system [s]."""
    words = options.words.read_text().split()
    say, name = SYSTEMS[options.one](options)
    say(words[:50])  # the first calls are slower
    batches, lengths = [], [0]
    for _ in range(REPEATS):
        begun, clock = time.process_time(), time.perf_counter()
        said = say(words)
        batches.append((time.process_time() - begun, time.perf_counter() - clock))
        lengths = list(map(len, said))
    single = []
    for word in words[:: max(1, len(words) // SINGLE)]:
        begun = time.process_time()
        say([word])
        single.append(time.process_time() - begun)
    cpu, clock = min(batches)
    return {
        "version": name,
        "batch": len(words) / cpu,
        "mean": 1e3 * sum(single) / len(single),
        "median": 1e3 * median(single),
        "phones": sum(lengths) / len(lengths),
        "longest": max(lengths),
        "busy": max(1.0, clock / cpu),
    }


# In the process that asks.


def compare(options: argparse.Namespace) -> None:
    os.sched_setaffinity(0, {options.core})  # the processes it starts have that from it
    words = spoken(options.words, options.count)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(words))
        file.flush()
        ours, peers = results(options, file.name)
    letters = sum(map(len, words)) / len(words)
    print(f"{len(words)} English words of {letters:.1f} letters, {where(options.words)}; one core, one thread")
    for name, one in {**ours, **peers}.items():
        note = f" ({NOTES[name]})" if name in NOTES else ""
        print(f"{name}: {one['version']}{note}; {one['phones']:.1f} phones a word, {one['longest']} at most")
    if options.export is None:
        print("ONNX: not measured without --export")
    if options.peers is None:
        print("g2p-en, phonemizer: not measured without --peers")
    print(f"batch: CPU time, best of {REPEATS}; one word: CPU time of {min(SINGLE, len(words))} words, one a call")
    lines(ours, peers, "batch", "batch", lambda one: f"{one['batch']:.0f} words/s", more_is_faster=True)
    lines(ours, peers, "one word", "mean", lambda one: f"mean {one['mean']:.2f} median {one['median']:.2f} ms")
    busy = max(one["busy"] for one in (*ours.values(), *peers.values()))
    if busy > 1.1:
        print(f"the core had other work: a batch took up to {busy:.1f}x its CPU time by the clock")
    print(
        f"first word: by the clock, best and median of {STARTS} starts, least CPU time; {words[0]!r}, beam {APPLY_BEAM}"
    )
    ours, peers = starts(options, list(peers), words[0])
    lines(
        ours, peers, "first word", "best", lambda one: f"{one['best']:.2f} {one['median']:.2f} cpu {one['cpu']:.2f} s"
    )


def spoken(path: Path | None, count: int) -> list[str]:
    """So many different words, evenly from the file or from the frequency list."""
    if path is not None:
        lines = path.read_text(encoding="utf-8").splitlines()
        words = list(dict.fromkeys(line.split()[0] for line in lines if line.strip()))
    else:
        import wordfreq

        listed = wordfreq.top_n_list("en", RANKS[1])[RANKS[0] :]
        words = [word for word in listed if word.isascii() and word.isalpha()]
    count = min(count, len(words))
    return [words[number * len(words) // count] for number in range(count)]


def where(path: Path | None) -> str:
    return f"of {path}" if path is not None else f"of ranks {RANKS[0]} to {RANKS[1]} by wordfreq"


def models(options: argparse.Namespace) -> dict[str, Path]:
    return {"torch": options.model, **({"onnx": options.export} if options.export else {})}


def interpreters(options: argparse.Namespace) -> dict[str, str]:
    """Where each peer is, by name."""
    others = dict.fromkeys(("g2p-en", "phonemizer"), options.peers) if options.peers else {}
    return {**others, "espeak-ng": sys.executable}


def results(options: argparse.Namespace, words: str) -> tuple[dict[str, Result], dict[str, Result]]:
    """What voxkit and the peers that are installed take, by name."""
    ours, peers = {}, {}
    common = ["--lang", options.lang, "--words", words]
    for engine, path in models(options).items():
        for beam in BEAMS:
            done = run([sys.executable, __file__, str(path), "--one", "voxkit", "--beam", str(beam), *common])
            if done.returncode:
                sys.exit(done.stderr)
            ours[f"voxkit {engine} beam {beam}"] = json.loads(done.stdout)
    for name, python in interpreters(options).items():
        done = run([python, __file__, str(options.model), "--one", name, *common])
        if done.returncode:
            print(f"{name}: not measured: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        else:
            peers[name] = json.loads(done.stdout)
    return ours, peers


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, env=environment())


def environment() -> dict[str, str]:
    return {**os.environ, **THREADS}


def starts(options: argparse.Namespace, peers: Sequence[str], word: str) -> tuple[dict[str, Result], dict[str, Result]]:
    program = str(Path(sys.executable).with_name("voxkit"))
    pythons = interpreters(options)
    ours = {
        f"voxkit {engine}": start([program, "g2p", "apply", str(path), "--lang", options.lang], word)
        for engine, path in models(options).items()
    }
    others = {name: start([pythons[name], __file__, str(options.model), "--first", name], word) for name in peers}
    return ours, others


def start(command: Sequence[str], word: str) -> Result:
    """Times from the start of a command to its first line, and CPU time to its end [s]."""
    waits, spent = [], []
    for _ in range(STARTS + 1):
        begun = time.perf_counter()
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{word}\n".encode())
            process.stdin.close()
            answer = process.stdout.readline()
            waits.append(time.perf_counter() - begun)
            process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or not answer.strip():
            sys.exit(f"exit status {process.returncode}, answer {answer!r}: {' '.join(command)}")
        spent.append(usage.ru_utime + usage.ru_stime)
    return {"best": min(waits[1:]), "median": median(waits[1:]), "cpu": min(spent[1:])}


def lines(
    ours: dict[str, Result],
    peers: dict[str, Result],
    title: str,
    key: str,
    shown: Callable[[Result], str],
    more_is_faster: bool = False,
) -> None:
    """A line for each of voxkit's variants, with the ratio of `key` to each peer's."""
    for name, mine in ours.items():
        parts = [f"{title}: {name} {shown(mine)}"]
        for peer, other in peers.items():
            ratio = mine[key] / other[key] if more_is_faster else other[key] / mine[key]
            parts.append(f"{peer} {shown(other)}: {ratio:.2g}x")
        print(", ".join(parts))


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


if __name__ == "__main__":
    main()
