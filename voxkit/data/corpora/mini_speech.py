"""Speaking the embedded corpus: orders in, FLAC files and alignments out, in as many processes as asked for.

A chunk of orders is spoken by a process of its own, because espeak-ng remembers what it said: the audio then is the
same bit for bit, however many processes there are and wherever an interrupted run goes on.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxkit.data.audio import Samples, write
from voxkit.data.corpora.espeak import Speaker, Speech
from voxkit.data.noise import BABBLE_TALKERS, make_noise
from voxkit.data.pool import belong_to_parent
from voxkit.errors import EXIT_USER, UserError
from voxkit.progress import Meter
from voxkit.rundir import write_atomic

CHUNK = 40  # orders in a chunk; a part of what decides the audio


@dataclass(frozen=True, slots=True)
class Order:
    """One utterance to be spoken: what, by whom, how, and in which noise.

    `spoken` has the words as espeak-ng is given them, `lead` and `trail` are seconds of silence, `snr` and `gain` (of
    the peak, to full scale) are in dB.
    """

    id: str
    words: tuple[str, ...]
    spoken: tuple[str, ...]
    dialect: str
    variant: str
    rate: int
    pitch: int
    lead: float
    trail: float
    noise: str
    snr: float
    gain: float
    seed: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """What became of an order: (symbol, start, duration) in seconds for words and phones, and each word's phones."""

    id: str
    num_samples: int
    words: list[tuple[str, float, float]]
    phones: list[tuple[str, float, float]]
    pronunciations: list[list[str]]


def speak_all(orders: Sequence[Order], audio: Path, parts: Path, rate: int, stress: bool, jobs: int) -> list[Spoken]:
    """Speak all orders into `audio/<id>.flac` at `rate` Hz; chunks that `parts` has already are not spoken again.

    Raises:
        UserError, OSError: what stopped a process that speaks, such as a full disk. None of them goes on then, nor
            when this process ends in any way.
    """
    audio.mkdir(parents=True, exist_ok=True)
    parts.mkdir(parents=True, exist_ok=True)
    chunks = [list(orders[begin : begin + CHUNK]) for begin in range(0, len(orders), CHUNK)]
    files = [parts / f"{index}.json" for index in range(len(chunks))]
    left = [(chunk, file) for chunk, file in zip(chunks, files, strict=True) if not file.exists()]
    context = _server()
    watched, held = context.Pipe(duplex=False)  # closes when this process closes it, or ends in any way
    running: dict[object, tuple[BaseProcess, Connection, int]] = {}
    with Meter(len(orders), "speaking", "utterances", done=len(orders) - sum(len(chunk) for chunk, _ in left)) as meter:
        try:
            while left or running:
                while left and len(running) < jobs:
                    chunk, file = left.pop(0)
                    told, telling = context.Pipe(duplex=False)
                    process = context.Process(
                        target=_speak_here, args=(watched, telling, chunk, audio, file, rate, stress)
                    )
                    process.start()
                    telling.close()
                    running[process.sentinel] = process, told, len(chunk)
                for ready in wait([process.sentinel for process, _, _ in running.values()]):
                    ended, told, count = running.pop(ready)
                    ended.join()
                    if ended.exitcode != 0:
                        raise _cause(told, ended.exitcode)
                    told.close()
                    meter.advance(count)
        finally:
            held.close()  # ends those that still speak
            for other, _, _ in running.values():
                other.join()
            watched.close()
    return [Spoken(**item) for file in files for item in json.loads(file.read_text(encoding="utf-8"))]


def _server() -> ForkServerContext:
    """What forks the processes, with this module loaded. It ends with this process and not by signals, which a
    terminal or a scheduler sends to all: the chunks under way would seem to have died on their own.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    resource_tracker.ensure_running()  # the server starts it otherwise, and that unblocks the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGUSR1))
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def _cause(told: Connection, status: int | None) -> Exception:
    """Why a process ended: what it told, or else its status."""
    try:
        error = told.recv()
    except EOFError:
        return UserError(
            f"a process that speaks died (status {status}); what is finished is kept",
            fix="run the same command again, with fewer --num-jobs if memory was short",
        )
    return error if isinstance(error, Exception) else TypeError(f"a process that speaks told {error!r}")


def _speak_here(watched: Connection, telling: Connection, *chunk: Any) -> None:
    """`speak_chunk` in a process of its own, which tells its parent what went wrong."""
    belong_to_parent(watched)
    try:
        speak_chunk(*chunk)
    except (OSError, UserError) as error:
        telling.send(error)
        sys.exit(EXIT_USER)
    except Exception as error:
        telling.send(RuntimeError(f"{type(error).__name__} in a process that speaks: {error}"))
        raise


def speak_chunk(orders: Sequence[Order], audio: Path, part: Path, rate: int, stress: bool) -> None:
    """Speak a chunk in a process that has not spoken before, and leave the alignments in `part`."""
    speaker = Speaker.get()
    speeches = []
    for order in orders:
        speaker.set_voice(order.dialect, order.variant)
        speeches.append(speaker.speak(order.spoken, order.rate, order.pitch, stress, order.seed % 2**31))
    dry = [resample(speech.samples, speech.sampling_rate, rate) for speech in speeches]
    done = []
    for index, (order, speech) in enumerate(zip(orders, speeches, strict=True)):
        others = [dry[(index + step) % len(dry)] for step in range(1, BABBLE_TALKERS + 1)]
        samples = record(dry[index], others, order, rate)
        write(audio / f"{order.id}.flac", samples, rate)
        done.append(asdict(_timed(order, speech, len(samples))))
    write_atomic(part, json.dumps(done, ensure_ascii=False))


def _timed(order: Order, speech: Speech, num_samples: int) -> Spoken:
    def seconds(symbol: str, start: int, end: int) -> tuple[str, float, float]:
        begin, stop = (round(order.lead + at / speech.sampling_rate, 4) for at in (start, end))
        return symbol, begin, round(stop - begin, 4)

    words = [seconds(w, span.start, span.end) for w, span in zip(order.words, speech.words, strict=True)]
    phones = [seconds(p.symbol, p.start, p.end) for of_word in speech.phones for p in of_word]
    pronunciations = [[p.symbol for p in of_word] for of_word in speech.phones]
    return Spoken(order.id, num_samples, words, phones, pronunciations)


def record(speech: Samples, others: Sequence[Samples], order: Order, rate: int) -> npt.NDArray[np.int16]:
    """Silence around the speech, noise at the asked ratio of mean powers, and the asked peak level."""
    lead, trail = round(order.lead * rate), round(order.trail * rate)
    mixed = np.pad(speech, (lead, trail)).astype(np.float64)
    if order.noise != "none":
        rng = np.random.default_rng(order.seed)
        noise = make_noise(order.noise, len(mixed), rng, others)
        power = float(np.mean(noise**2))
        if power > 0:
            mixed += noise * np.sqrt(float(np.mean(speech.astype(np.float64) ** 2)) / power) * 10 ** (-order.snr / 20)
    peak = float(np.abs(mixed).max(initial=1e-9))
    return np.asarray(np.rint(mixed * (10 ** (order.gain / 20) * 32767 / peak)), dtype=np.int16)


def resample(samples: Samples, rate: int, wanted: int, rolloff: float = 0.95) -> Samples:
    """Band-limited resampling of (N,) in the frequency domain: flat to `rolloff` of the lower Nyquist frequency, then
    a cosine slope to nothing at it. Needs no torch, which takes longer to import than a chunk to speak.
    """
    if rate == wanted or len(samples) == 0:
        return samples
    divisor = int(np.gcd(rate, wanted))
    up, down = wanted // divisor, rate // divisor
    blocks = -(-len(samples) // down) + 1  # at least one sample of silence, so that the ends do not meet
    spectrum = np.fft.rfft(samples, blocks * down)
    bins = blocks * min(up, down) // 2 + 1
    position = np.arange(bins) / (bins - 1)
    slope = np.clip((position - rolloff) / (1 - rolloff), 0, 1)
    spectrum = spectrum[:bins] * (0.5 + 0.5 * np.cos(np.pi * slope))
    resampled = np.fft.irfft(spectrum, blocks * up) * (up / down)
    return np.asarray(resampled[: -(-len(samples) * up // down)], dtype=np.float32)
