"""Reading and writing audio files; no other module does. Free of torch and lhotse until something needs them."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from voxkit.data import schema
from voxkit.data.pipe import printable
from voxkit.data.sinc import interpolator, is_ordinary
from voxkit.errors import Problems, UserError
from voxkit.progress import say

if TYPE_CHECKING:
    from lhotse.cut import Cut

Samples = NDArray[np.float32]
AudioFault = Literal[
    "missing file", "source not a file", "not a cut", "unreadable audio", "zero length", "missing channel",
    "truncated audio", "NaN audio", "out-of-range audio", "silent audio",
]  # fmt: skip

ENDINGS = frozenset({".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff", ".aif", ".au", ".w64"})  # of audio files
SILENCE = 2 / 32768  # peak to peak: two steps of 16 bits, which dither alone may reach
LOUDEST = 1e3  # 60 dB over full scale; 16-bit numbers that were written as floats go beyond, up to 32768
LOSSY = ("MP3", "OGG", "MPEG")  # formats whose header may be off by what the encoder padded
SLACK = 0.06  # that much [s]; sizes in headers of WAV files may be off too
RIFF = ("WAV", "WAVEX", "RF64")  # formats whose header libsndfile mends where the file is shorter
UNTOLD = 0x7FFF0000  # sizes from here on stand for "until the end" where the writer could not go back (sox, arecord)
COPY_AGAIN = "copy the file again, or remove it"


class AudioError(UserError):
    """Audio that cannot be used: what is wrong (`kind`, `what`) and how to mend it (`fix`)."""

    def __init__(self, kind: AudioFault, path: str, what: str, fix: str) -> None:
        super().__init__(printable(f"{path}: {what}"), fix)
        self.kind: AudioFault = kind
        self.what = printable(what)


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What the header of an audio file says."""

    sampling_rate: int  # Hz
    num_samples: int  # per channel
    channels: int
    format: str

    @property
    def duration(self) -> float:
        """Length [s]."""
        return self.num_samples / self.sampling_rate

    @property
    def exact(self) -> bool:
        """Whether the header's number of samples is what decoding gives (lossless formats)."""
        return self.format not in LOSSY


def info(path: str | Path) -> AudioInfo:
    """Read the header alone.

    Raises:
        AudioError: no such file, not audio that libsndfile can read, or a WAV file that was cut off.
    """
    try:
        header = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError, UnicodeEncodeError) as error:
        raise _unopened(path, error) from error
    _require_whole(path, header.format)
    return AudioInfo(header.samplerate, header.frames, header.channels, header.format)


def read(
    path: str | Path, start: int = 0, num_samples: int | None = None, channel: int | None = 0
) -> tuple[Samples, int]:
    """Decode a part of a file as mono.

    Args:
        start: first sample.
        num_samples: how many; to the end if None.
        channel: 0 is the first; None is the mean of all.

    Returns:
        float32 (N,) in [-1, 1], and the sampling rate [Hz].

    Raises:
        AudioError: missing, unreadable, without such a channel, or ending before what its header or the caller says.
    """
    try:
        with soundfile.SoundFile(str(path)) as file:
            if channel is not None and channel >= file.channels:
                what = f"has {file.channels} channels, wanted number {channel}: {path}"
                raise AudioError("missing channel", str(path), what, "mend the manifest's channel")
            if num_samples is None:
                _require_whole(path, file.format)
            rate = int(file.samplerate)
            wanted = max(file.frames - start, 0) if num_samples is None else num_samples
            samples = np.zeros((0, file.channels), np.float32)
            try:
                if start < file.frames:
                    if start > 0:
                        file.seek(start)
                    samples = file.read(wanted, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                what = f"damaged or cut off before {(start + wanted) / rate:.2f} s: {path}"
                raise AudioError("truncated audio", str(path), what, COPY_AGAIN) from error
            if wanted - len(samples) > (int(SLACK * rate) if file.format in LOSSY else 0):
                what = f"ends at {(start + len(samples)) / rate:.2f} s of {(start + wanted) / rate:.2f} s: {path}"
                raise AudioError("truncated audio", str(path), what, COPY_AGAIN)
    except (soundfile.LibsndfileError, RuntimeError, UnicodeEncodeError) as error:
        raise _unopened(path, error) from error
    mono = samples.mean(axis=1, dtype=np.float32) if channel is None else samples[:, channel]
    short = wanted - len(mono)
    return np.pad(mono, (0, short)) if short else np.ascontiguousarray(mono), rate


def blocks(path: str | Path, size: int) -> Iterator[Samples]:
    """A whole file as mono, the mean of its channels, so many samples at a time: memory does not grow with the file.

    Yields:
        float32 (N,) in [-1, 1], N from 1 to `size`.

    Raises:
        AudioError: as `load`; of samples that are wrong, when their place is reached.
    """
    header = info(path)
    if header.channels > 1:
        _notice_channels(header.channels)
    done = 0
    with soundfile.SoundFile(str(path)) as file:
        try:
            while len(samples := file.read(size, dtype="float32", always_2d=True)):
                done += len(samples)
                mono = samples.mean(axis=1, dtype=np.float32)
                fault = judge(mono, silence=False)
                if fault is not None:
                    raise AudioError(fault[0], str(path), f"{fault[1]} before {done / file.samplerate:.2f} s", fault[2])
                yield mono
        except soundfile.LibsndfileError as error:
            what = f"damaged or cut off after {done / file.samplerate:.2f} s: {path}"
            raise AudioError("truncated audio", str(path), what, COPY_AGAIN) from error
    if done == 0:
        raise AudioError("zero length", str(path), "holds no samples", "remove it")
    if header.num_samples - done > (0 if header.exact else int(SLACK * header.sampling_rate)):
        what = f"ends at {done / header.sampling_rate:.2f} s of {header.duration:.2f} s: {path}"
        raise AudioError("truncated audio", str(path), what, COPY_AGAIN)


def write(path: Path, samples: NDArray[Any], sampling_rate: int) -> None:
    """Write (N,), int16 or floats in [-1, 1], as FLAC of 16 bits.

    Raises:
        OSError: it cannot be written, as on a full disk (which libsndfile does not tell).
    """
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, sampling_rate, format="FLAC", subtype="PCM_16")
    path.write_bytes(encoded.getbuffer())


def load(
    source: str | Path | Cut | Mapping[str, Any], sampling_rate: int | None = None, channel: int | None = None
) -> Samples:
    """Load a whole file or a cut as mono, resampled where needed (with a notice the first time).

    Args:
        source: an audio file, or a lhotse cut with its transforms (speed, gain, mixing, ...), or its manifest line.
        sampling_rate: wanted [Hz]; the source's own if None.
        channel: of a file with several; their mean if None (with a notice the first time).

    Returns:
        float32 (N,) in [-1, 1].

    Raises:
        AudioError: it cannot be decoded completely, is empty, or holds values that are not numbers or far too large.
    """
    if isinstance(source, str | Path):
        name, (samples, rate) = str(source), _load_file(source, channel)
    elif isinstance(source, Mapping):
        require_files(source)
        segment = plain_segment(source)
        name, (samples, rate) = str(source["id"]), segment.read() if segment else load_cut(schema.made(source))
    else:
        name, (samples, rate) = str(source.id), load_cut(source)
    fault = judge(samples, silence=False)
    if fault is not None:
        raise AudioError(fault[0], name, fault[1], fault[2])
    if sampling_rate is not None and sampling_rate != rate:
        notice_once(f"notice: resampling audio from {rate} Hz to {sampling_rate} Hz")
        samples = resample(samples, rate, sampling_rate)
    return samples


def load_cut(cut: Cut) -> tuple[Samples, int]:
    """The audio of any lhotse cut, channels averaged: float32 (N,) and the sampling rate [Hz].

    Raises:
        AudioError: it cannot be loaded.
    """
    data = cut.to_dict()
    require_files(data)
    segment = plain_segment(data) if type(cut).__name__ == "MonoCut" else None
    if segment is not None:
        return segment.read()
    try:
        samples = np.asarray(cut.load_audio(), dtype=np.float32)
    except Exception as error:  # lhotse raises many kinds, and a plain AssertionError for missing data
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise AudioError(
            "unreadable audio", cut.id, f"lhotse cannot load it: {reason[0]}", "mend or remove it"
        ) from error
    if samples.ndim == 2 and len(samples) > 1:
        _notice_channels(len(samples))
    return samples.mean(axis=0) if samples.ndim == 2 else samples, int(cut.sampling_rate)


def require_files(cut: Mapping[str, Any]) -> None:
    """Raise AudioError if a cut (as in a manifest's line) names a command or an address: nothing is run or fetched."""
    refused = schema.refusal(cut)
    if refused is not None:
        kind, what, fix = refused
        raise AudioError("not a cut" if kind == "not a cut" else "source not a file", str(cut.get("id")), what, fix)


def resample(samples: Samples, rate: int, wanted: int) -> Samples:
    """Band-limited resampling of (N,): by torchaudio, or where its kernel would be huge, by `voxkit.data.sinc`."""
    if rate == wanted:
        return samples
    if not is_ordinary(rate, wanted):
        return interpolator(rate, wanted).whole(samples)
    import torch
    from torchaudio.functional import resample as sinc

    return cast(Samples, sinc(torch.from_numpy(samples), rate, wanted).numpy())


def judge(samples: Samples, silence: bool = True) -> tuple[AudioFault, str, str] | None:
    """What is wrong with decoded samples (N,): kind, what and fix; None if nothing is.

    Args:
        silence: whether a constant signal is a fault.
    """
    if len(samples) == 0:
        return "zero length", "holds no samples", "remove it"
    low, high = float(samples.min()), float(samples.max())
    if not np.isfinite(low + high):
        count = int((~np.isfinite(samples)).sum())
        return "NaN audio", f"{count} of {len(samples)} samples are not numbers", "export it again, or remove it"
    if (peak := max(abs(low), abs(high))) > LOUDEST:
        return (
            "out-of-range audio",
            f"samples up to {peak:.3g} (full scale: 1)",
            "scale it to -1..1 (16-bit integers: over 32768), or remove it",
        )
    if silence and high - low <= SILENCE:
        level = "digital silence" if peak <= SILENCE else f"stuck at {high:.3g}"
        return "silent audio", f"no signal at all ({level})", "record or export it again, or remove it"
    return None


def check_audio(path: str | Path) -> Problems:
    """Decode a whole file and say what is wrong with it: missing, unreadable, empty, truncated, NaN, ..."""
    problems = Problems()
    try:
        samples, _ = _load_file(path, channel=None, notice=False)
        fault = judge(samples)
    except AudioError as error:
        fault = (error.kind, error.what, error.fix)
    if fault is not None:
        problems.add(fault[0], str(path), Path(path).stem, fault[1], fault[2])
    return problems


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of one channel of one file: what most cuts are, readable without lhotse."""

    path: str
    start: int  # samples
    num_samples: int
    channel: int  # index in the file
    sampling_rate: int  # Hz, by the manifest

    def read(self) -> tuple[Samples, int]:
        """Decode it: float32 (N,) and the sampling rate [Hz]; raises AudioError."""
        return read(self.path, self.start, self.num_samples, self.channel)


def plain_segment(cut: Mapping[str, Any]) -> Segment | None:
    """The segment that a cut (as in a manifest's line) stands for; None if lhotse must make its audio.

    None for mixed and multi-channel cuts, recordings with transforms, and sources that are not files.
    """
    recording = cut.get("recording")
    if cut.get("type") != "MonoCut" or not recording or recording.get("transforms"):
        return None
    for source in recording["sources"]:
        if cut["channel"] in source["channels"] and source["type"] == "file":
            rate = int(recording["sampling_rate"])
            start = round(cut["start"] * rate)
            count = round(cut["duration"] * rate)
            if count - 1 <= recording["num_samples"] - start < count:  # a rounded duration
                count = recording["num_samples"] - start
            return Segment(source["source"], start, count, source["channels"].index(cut["channel"]), rate)
    return None


@cache
def notice_once(text: str) -> None:
    """Tell the user something once in a process."""
    say(text)


def _notice_channels(number: int) -> None:
    notice_once(f"notice: audio has {number} channels; the mean of them is used")


def _load_file(path: str | Path, channel: int | None, notice: bool = True) -> tuple[Samples, int]:
    channels = info(path).channels
    if notice and channel is None and channels > 1:
        _notice_channels(channels)
    return read(path, channel=channel)


def _require_whole(path: str | Path, format: str) -> None:
    """Raise AudioError if a WAV file was cut off, which libsndfile takes for a shorter one."""
    lengths = _wav_lengths(path) if format in RIFF else None
    if lengths is not None:
        there, told = lengths
        if told == 0:
            what = f"its header knows of no samples, and {there:.2f} s follow (a recording that was not ended?): {path}"
            raise AudioError("truncated audio", str(path), what, "write it anew: sox --ignore-length IN.wav OUT.wav")
        what = f"ends at {there:.2f} s of {told:.2f} s: {path}"
        raise AudioError("truncated audio", str(path), what, f"{COPY_AGAIN}; if it is whole, write it anew with sox")


def _wav_lengths(path: str | Path) -> tuple[float, float] | None:
    """How long a WAV file is and should be by its header [s], if it is clearly less, or should have nothing.

    Some writers count chunks or padding into the size. The sizes of RF64 are those of EBU Tech 3306.
    """
    long = block = bytes_a_second = 0
    with open(path, "rb") as file:
        if file.read(12)[:4] not in (b"RIFF", b"RF64"):  # RIFX has the other order of bytes
            return None
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", head)
            if name == b"data":
                size = long if size == 0xFFFFFFFF and long else size
                there = os.fstat(file.fileno()).st_size - file.tell()
                if bytes_a_second == 0 or (size >= UNTOLD and size != long):
                    return None
                short = size - there >= max(SLACK * bytes_a_second, block)
                odd = size == 0 and there / bytes_a_second > SLACK  # what follows may be chunks of text
                return (there / bytes_a_second, size / bytes_a_second) if short or odd else None
            body = file.read(min(size, 16))
            if name == b"ds64" and len(body) == 16:
                _, long = struct.unpack("<QQ", body)
            elif name == b"fmt " and len(body) == 16:
                bytes_a_second, block = struct.unpack("<8xIH2x", body)
            file.seek(size + size % 2 - len(body), os.SEEK_CUR)
    return None


def _unopened(path: str | Path, error: Exception) -> AudioError:
    file = Path(path)
    if not file.exists():
        from_where = "" if file.is_absolute() else f" (looked for from {Path.cwd()})"
        what, fix = f"no such file: {path}{from_where}", "restore it, or mend the path in the manifest"
        return AudioError("missing file", str(path), what, fix)
    if file.is_file() and file.stat().st_size == 0:
        return AudioError("zero length", str(path), f"the file is empty: {path}", COPY_AGAIN)
    if isinstance(error, UnicodeEncodeError):
        what = f"its name or that of a folder is not UTF-8: {path}"
        return AudioError("unreadable audio", str(path), what, "rename it, e.g. with convmv")
    reason = str(error).rpartition(": ")[2].strip() or "the decoder gave up"
    what, fix = f"cannot decode {path}: {reason}", "convert it to FLAC or WAV, or remove it"
    return AudioError("unreadable audio", str(path), what, fix)
