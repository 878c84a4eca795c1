"""Reading audio, and saying what is wrong with it."""

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voxkit.data import audio

RATE = 16000


def tone(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def noise(seconds: float = 2.0) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def cut_off(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def kinds(path: Path) -> list[str]:
    return [problem.kind for problem in audio.check_audio(path)]


def test_reads_a_part_of_a_channel(tmp_path: Path) -> None:
    stereo = np.stack([noise(), -noise()], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    samples, rate = audio.read(tmp_path / "a.wav", start=100, num_samples=50, channel=1)
    assert rate == RATE
    np.testing.assert_array_equal(samples, stereo[100:150, 1])


def test_several_channels_are_averaged_with_a_notice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([noise(), 0 * noise()], axis=1), RATE, subtype="FLOAT")
    audio.notice_once.cache_clear()
    samples = audio.load(tmp_path / "a.wav")
    np.testing.assert_allclose(samples, noise() / 2, atol=1e-7)
    assert "2 channels" in capsys.readouterr().err
    np.testing.assert_array_equal(audio.load(tmp_path / "a.wav", channel=0), noise())


def test_the_notice_about_channels_comes_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lhotse import Recording

    audio.notice_once.cache_clear()
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.stack([noise(), noise()], axis=1), RATE)
        audio.load(tmp_path / f"{name}.wav")
        audio.load(Recording.from_file(tmp_path / f"{name}.wav").to_cut())
    assert capsys.readouterr().err.count("2 channels") == 1


@pytest.mark.parametrize(("name", "channels"), [("a.wav", 1), ("a.flac", 2), ("a.ogg", 1)])
def test_blocks_are_the_whole_in_parts(tmp_path: Path, name: str, channels: int) -> None:
    soundfile.write(tmp_path / name, np.stack([noise(), 0 * noise()][:channels], axis=1), RATE)
    parts = list(audio.blocks(tmp_path / name, 7000))
    assert {len(part) for part in parts[:-1]} == {7000}
    np.testing.assert_array_equal(np.concatenate(parts), audio.load(tmp_path / name))


def test_blocks_take_no_more_memory_for_a_longer_file(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "long.wav", "w", RATE, 1) as file:
        for _ in range(100):
            file.write(noise(5.0))
    tracemalloc.start()
    assert sum(map(len, audio.blocks(tmp_path / "long.wav", RATE))) == 500 * RATE
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e6  # of 32 MB


def test_blocks_tell_what_is_wrong(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", noise(), RATE)
    soundfile.write(tmp_path / "none.wav", noise(0), RATE)
    soundfile.write(tmp_path / "nan.wav", np.where(np.arange(RATE) == 9000, np.nan, 0.1), RATE, subtype="FLOAT")
    cases = {
        cut_off(tmp_path / "a.flac", 0.5): "damaged or cut off after",
        tmp_path / "none.wav": "holds no samples",
        tmp_path / "nan.wav": "1 of 8000 samples are not numbers before 1.00 s",
        tmp_path / "absent.wav": "no such file",
    }
    for path, told in cases.items():
        with pytest.raises(audio.AudioError, match=told):
            list(audio.blocks(path, 8000))


def test_a_channel_that_is_not_there(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(), RATE)
    with pytest.raises(audio.AudioError, match="has 1 channels, wanted number 3") as caught:
        audio.read(tmp_path / "a.wav", channel=3)
    assert caught.value.kind == "missing channel"


def test_resampling_keeps_the_tone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio.notice_once.cache_clear()
    soundfile.write(tmp_path / "a.wav", tone(rate=8000), 8000)
    samples = audio.load(tmp_path / "a.wav", RATE)
    assert "from 8000 Hz to 16000 Hz" in capsys.readouterr().err
    np.testing.assert_allclose(samples[800:-800], tone()[800:-800], atol=5e-3)


def test_a_cut_is_what_lhotse_loads(tmp_path: Path) -> None:
    from lhotse import Recording

    soundfile.write(tmp_path / "a.flac", noise(), RATE)
    whole = Recording.from_file(tmp_path / "a.flac").to_cut()
    for cut in (whole.truncate(offset=0.3, duration=0.5), whole.perturb_volume(0.5), whole.perturb_speed(1.1)):
        np.testing.assert_allclose(audio.load(cut), cut.load_audio()[0], atol=1e-6)
    assert len(audio.load(whole, sampling_rate=8000)) == len(noise()) // 2


@pytest.mark.parametrize("share", [0.99, 0.5, 0.05])
def test_a_truncated_flac_with_its_header_is_found(tmp_path: Path, share: float) -> None:
    soundfile.write(tmp_path / "a.flac", noise(), RATE)
    path = cut_off(tmp_path / "a.flac", share)
    assert audio.info(path).num_samples == len(noise())  # the header knows nothing of it
    assert kinds(path) == ["truncated audio"]
    with pytest.raises(audio.AudioError, match="cut off"):
        audio.load(path)


@pytest.mark.parametrize("format", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_wav_that_is_cut_off_is_found(tmp_path: Path, format: str, subtype: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([noise(), noise()], axis=1), RATE, format=format, subtype=subtype)
    assert kinds(path) == []
    os.truncate(path, path.stat().st_size - 8)
    assert kinds(path) == []  # as what counts more than its samples does
    for share in (0.9, 0.5):
        cut_off(path, share)
        assert kinds(path) == ["truncated audio"]
        for use in (audio.info, audio.load, audio.read, lambda path: list(audio.blocks(path, 1000))):
            with pytest.raises(audio.AudioError, match=r"ends at (1\.80|0\.90) s of 2\.00 s"):
                use(path)
    samples, _ = audio.read(path, start=100, num_samples=1000)
    assert len(samples) == 1000  # what is there may be used


@pytest.mark.parametrize("size", [0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_wav_whose_writer_did_not_know_its_length(tmp_path: Path, size: int) -> None:
    soundfile.write(tmp_path / "a.wav", noise(), RATE, subtype="PCM_16")
    content = (tmp_path / "a.wav").read_bytes()
    place = content.index(b"data") + 4
    (tmp_path / "a.wav").write_bytes(content[:place] + struct.pack("<I", size) + content[place + 4 :])
    assert "truncated audio" not in kinds(tmp_path / "a.wav")


def test_a_wav_that_was_not_ended(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(), RATE, subtype="PCM_16")
    content = (tmp_path / "a.wav").read_bytes()
    place = content.index(b"data") + 4
    (tmp_path / "a.wav").write_bytes(content[:place] + struct.pack("<I", 0) + content[place + 4 :])
    with pytest.raises(audio.AudioError, match=r"knows of no samples, and 2\.00 s follow"):
        audio.load(tmp_path / "a.wav")
    (tmp_path / "a.wav").write_bytes(content[:place] + struct.pack("<I", 0))
    assert kinds(tmp_path / "a.wav") == ["zero length"]


@pytest.mark.parametrize("more", [1, 36])
def test_a_wav_whose_writer_counted_other_things(tmp_path: Path, more: int) -> None:
    soundfile.write(tmp_path / "a.wav", noise(1), RATE, subtype="PCM_16")
    content = (tmp_path / "a.wav").read_bytes()
    place = content.index(b"data") + 4
    size = len(content) - place - 4 + more
    (tmp_path / "a.wav").write_bytes(content[:place] + struct.pack("<I", size) + content[place + 4 :])
    assert kinds(tmp_path / "a.wav") == []


def test_a_wav_with_other_chunks_around_its_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(1), RATE, subtype="PCM_16")
    content = (tmp_path / "a.wav").read_bytes()
    place = content.index(b"data")
    odd = b"note" + struct.pack("<I", 3) + b"abc\0"
    (tmp_path / "a.wav").write_bytes(content[:place] + odd + content[place:] + odd)
    assert kinds(tmp_path / "a.wav") == []
    (tmp_path / "a.wav").write_bytes(content[:place] + odd + content[place:-4000])
    assert kinds(tmp_path / "a.wav") == ["truncated audio"]


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    soundfile.write(tmp_path / "a.wav", noise(1), RATE)
    (tmp_path / "a.wav").rename(folder / "a.wav")
    for use in (audio.info, audio.load, audio.read, lambda path: list(audio.blocks(path, 1000))):
        with pytest.raises(audio.AudioError, match="not UTF-8") as caught:
            use(folder / "a.wav")
        assert str(caught.value).encode().count(b"\\udcff\\udcfe") == 2  # can be printed and kept
        assert "rename" in caught.value.fix
    assert kinds(folder / "absent.wav") == ["missing file"]


def test_samples_that_no_microphone_gives(tmp_path: Path) -> None:
    for name, scale in {"huge": 1e20, "int16": 32768, "loud": 100}.items():
        soundfile.write(tmp_path / f"{name}.wav", tone() * scale, RATE, subtype="FLOAT")
    assert {path.stem: kinds(path) for path in tmp_path.iterdir()} == {
        "huge": ["out-of-range audio"],
        "int16": ["out-of-range audio"],
        "loud": [],
    }
    for use in (audio.load, lambda path: list(audio.blocks(path, 1000))):
        with pytest.raises(audio.AudioError, match="full scale: 1") as caught:
            use(tmp_path / "huge.wav")
        assert "scale it to -1..1" in caught.value.fix


def test_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "good.flac", noise(), RATE)
    soundfile.write(tmp_path / "none.wav", noise(0), RATE)
    soundfile.write(tmp_path / "nan.wav", np.where(np.arange(100) == 7, np.nan, 0.1), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "inf.wav", np.where(np.arange(100) == 7, np.inf, 0.1), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "zero.flac", 0 * noise(), RATE)
    soundfile.write(tmp_path / "stuck.wav", 0 * noise() + 0.999, RATE)
    (tmp_path / "empty.flac").touch()
    (tmp_path / "text.wav").write_text("this is no audio at all")
    found = {path.name: kinds(path) for path in tmp_path.iterdir()}
    assert found == {
        "good.flac": [],
        "none.wav": ["zero length"],
        "nan.wav": ["NaN audio"],
        "inf.wav": ["NaN audio"],
        "zero.flac": ["silent audio"],
        "stuck.wav": ["silent audio"],
        "empty.flac": ["zero length"],
        "text.wav": ["unreadable audio"],
    }
    assert kinds(tmp_path / "absent.wav") == ["missing file"]
    assert len(audio.load(tmp_path / "zero.flac")) == len(noise())  # silence may be listened to
    with pytest.raises(audio.AudioError, match="1 of 100 samples are not numbers"):
        audio.load(tmp_path / "nan.wav")


def test_reading_beyond_the_end_is_an_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(1), RATE)
    with pytest.raises(audio.AudioError, match=r"ends at 1\.00 s of 1\.50 s"):
        audio.read(tmp_path / "a.wav", start=RATE // 2, num_samples=RATE)
