"""`cuts add-noise`: the ratio is what was asked for, and nobody babbles at himself."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, SupervisionSegment

from voxkit.commands.cuts import noises
from voxkit.commands.cuts.noises import Noise
from voxkit.commands.cuts.noisy import Choice, add_noise
from voxkit.data import audio
from voxkit.data.manifests import check_cuts, open_cuts, write_cuts
from voxkit.errors import DataError, UserError

RATE = 16000
TONES = {"low": 200.0, "mid": 700.0, "high": 2500.0}  # each speaker's voice


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve cuts of three speakers; the last two share one recording."""
    folder = tmp_path_factory.mktemp("speech")
    rng = np.random.default_rng(0)
    cuts = []
    for number in range(11):
        speaker = list(TONES)[number % 3]
        times = np.arange(int(RATE * rng.uniform(0.5, 1.5))) / RATE
        voice = 0.2 * np.sin(2 * np.pi * TONES[speaker] * times) * rng.uniform(0.1, 1, len(times))
        soundfile.write(folder / f"utt{number}.wav", voice, RATE)
        recording = Recording.from_file(folder / f"utt{number}.wav")
        for part in ("", "b") if number == 10 else ("",):
            cut = recording.to_cut()
            cut = (cut.truncate(offset=0.1, duration=0.3123) if part else cut).with_id(f"{recording.id}{part}")
            cut.supervisions = [SupervisionSegment(cut.id, recording.id, 0, cut.duration, text="x", speaker=speaker)]
            cuts.append(cut)
    write_cuts(cuts, folder / "cuts.jsonl.gz")
    return folder / "cuts.jsonl.gz"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noises, "SECONDS", 4.0)


def choice(*snrs: float, kinds: str | None = None, noise: Path | None = None, clean: bool = False) -> Choice:
    return Choice.of(snrs, kinds, noise, clean, seed=1)


def write_noise(folder: Path, **signals: tuple[np.ndarray, int]) -> Path:
    cuts = []
    for name, (samples, rate) in signals.items():
        soundfile.write(folder / f"{name}.wav", samples, rate)
        cuts.append(Recording.from_file(folder / f"{name}.wav").to_cut().with_id(name))
    write_cuts(cuts, folder / "noise.jsonl.gz")
    return folder / "noise.jsonl.gz"


def parts_of(path: Path) -> list[tuple[Any, np.ndarray, np.ndarray]]:
    """Each noisy cut, its speech and its noise, as they are read back."""
    found = []
    for cut in check_cuts(open_cuts(path), path):
        if type(cut).__name__ == "MixedCut":
            speech, mixed = audio.load(cut.tracks[0].cut), audio.load(cut)
            assert mixed.shape == speech.shape
            found.append((cut, speech.astype(float), mixed.astype(float) - speech))
    return found


def ratio(speech: np.ndarray, noise: np.ndarray) -> float:
    return float(10 * np.log10((speech**2).sum() / (noise**2).sum()))


def test_each_cut_at_each_ratio_and_clean(corpus: Path, tmp_path: Path) -> None:
    written = add_noise(corpus, tmp_path / "noisy", choice(0, 10, -2.5, kinds="pink,white,babble", clean=True))
    ids = [cut.id for cut in open_cuts(corpus)]
    names = ("clean", "snr0", "snr10", "snr-2.5")
    assert [cut.id for cut in open_cuts(written)] == [f"{id}-{name}" for id in ids for name in names]
    noise_of = defaultdict(set)
    for cut, speech, noise in parts_of(written):
        (supervision,) = cut.supervisions
        assert supervision.id == cut.id
        assert (supervision.text, supervision.duration) == ("x", pytest.approx(cut.duration))
        assert cut.id.endswith(f"-snr{supervision.custom['snr']:g}")
        assert ratio(speech, noise) == pytest.approx(supervision.custom["snr"], abs=0.02)
        noise_of[cut.id.rpartition("-snr")[0]].add((supervision.custom["noise"], cut.tracks[1].cut.start))
    assert all(len(found) == 1 for found in noise_of.values())
    assert {kind for found in noise_of.values() for kind, _ in found} == {"white", "pink", "babble"}
    clean = [cut for cut in open_cuts(written) if cut.id.endswith("-clean")]
    assert [cut.supervisions[0].custom for cut in clean] == [{"snr": None, "noise": "none"}] * 12
    assert {path.name for path in (tmp_path / "noisy").iterdir()} == {
        *("cuts.jsonl.gz", "noise", "config.yaml", "command.txt", "env.json")
    }


def test_plain_lhotse_reads_it(corpus: Path, tmp_path: Path) -> None:
    written = add_noise(corpus, tmp_path / "noisy", choice(5, kinds="white"))
    for cut in CutSet.from_file(written):
        assert cut.load_audio().shape == (1, cut.num_samples)


def test_babble_has_no_voice_of_the_speaker(corpus: Path, tmp_path: Path) -> None:
    written = add_noise(corpus, tmp_path / "noisy", choice(0, kinds="babble"))
    for cut, speech, noise in parts_of(written):

        def power(samples: np.ndarray, tone: float) -> float:
            spectrum = np.abs(np.fft.rfft(samples)) ** 2
            place = round(tone * len(samples) / RATE)
            return float(spectrum[place - 2 : place + 3].sum() / spectrum.sum())

        own = TONES[cut.supervisions[0].speaker]
        others = [power(noise, tone) for tone in TONES.values() if tone != own]
        assert power(speech, own) > 0.3
        assert max(others) > 0.3
        assert power(noise, own) < 0.02


def test_what_is_drawn_depends_on_seed_and_id_alone(corpus: Path, tmp_path: Path) -> None:
    chosen = choice(3, kinds="white,pink,babble")
    whole = (tmp_path / "whole", add_noise(corpus, tmp_path / "whole", chosen))
    cuts = list(open_cuts(corpus))[::-1]
    write_cuts(cuts, tmp_path / "reversed.jsonl.gz")
    other = (tmp_path / "other", add_noise(tmp_path / "reversed.jsonl.gz", tmp_path / "other", chosen))
    shards = [
        (tmp_path / f"shard{n}", add_noise(corpus, tmp_path / f"shard{n}", chosen, shard=f"{n}/2")) for n in (1, 2)
    ]

    def lines(*made: tuple[Path, Path]) -> dict[str, str]:
        return {
            cut.id: json.dumps(cut.to_dict()).replace(str(folder), "")
            for folder, path in made
            for cut in open_cuts(path)
        }

    assert lines(whole) == lines(other) == lines(*shards)
    for name in ("white-16000", "pink-16000", "babble1-16000"):
        files = [folder / "noise" / f"{name}.flac" for folder, _ in (whole, other, *shards)]
        assert len({file.read_bytes() for file in files}) == 1


def test_recorded_noise_of_another_rate_shorter_than_the_speech(corpus: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = write_noise(
        tmp_path,
        hum=(0.1 * rng.standard_normal(44100), 44100),
        hiss=(0.1 * rng.standard_normal(3307), 11025),
    )
    written = add_noise(corpus, tmp_path / "noisy", choice(7, kinds=None, noise=given))
    found = parts_of(written)
    assert {cut.supervisions[0].custom["noise"] for cut, _, _ in found} == {"hum", "hiss"}
    assert max(len(cut.tracks) for cut, _, _ in found) > 3
    for cut, speech, noise in found:
        assert ratio(speech, noise) == pytest.approx(7, abs=0.1)
        assert cut.sampling_rate == RATE
    assert not (tmp_path / "noisy" / "noise").exists()


def test_no_piece_of_recorded_noise_is_silent(corpus: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bark = np.zeros(10 * RATE)
    bark[2 * RATE : 2 * RATE + 800] = 0.3 * rng.standard_normal(800)
    written = add_noise(corpus, tmp_path / "noisy", choice(0, noise=write_noise(tmp_path, bark=(bark, RATE))))
    for _, speech, noise in parts_of(written):
        assert ratio(speech, noise) == pytest.approx(0, abs=0.02)
    silent = write_noise(tmp_path, nothing=(np.zeros(10 * RATE), RATE))
    with pytest.raises(UserError, match="noise nothing: silent"):
        add_noise(corpus, tmp_path / "silent", choice(0, noise=silent))


def test_cuts_longer_than_made_noise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "long.wav", 0.1 * rng.standard_normal(9 * RATE + 7), RATE)
    write_cuts([Recording.from_file(tmp_path / "long.wav").to_cut()], tmp_path / "cuts.jsonl.gz")
    ((cut, speech, noise),) = parts_of(
        add_noise(tmp_path / "cuts.jsonl.gz", tmp_path / "noisy", choice(6, kinds="white"))
    )
    assert len(cut.tracks) == 4
    assert ratio(speech, noise) == pytest.approx(6, abs=0.02)
    assert all(part.std() == pytest.approx(noise.std(), rel=0.05) for part in np.array_split(noise, 7))


def test_pieces_lie_inside_the_noise() -> None:
    rng = np.random.default_rng(0)
    for seconds in (0.2, 0.33, 1.7, 5.0):
        for rate in (8000, 11025, 44100):
            count = round(seconds * rate)
            cut = {"id": "n", "duration": count / rate, "recording": {"sampling_rate": rate}}
            noise = Noise("n", cut, samples=rng.standard_normal(count).astype(np.float32))
            for length in (0.01, 0.1, noise.longest):
                starts = [noise.start(length, rng) for _ in range(200)]
                assert min(starts) >= 0
                assert max(starts) + length <= count / rate


def test_what_is_wrong_is_told(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        choice(10, 10.0, 1e9, kinds="white,brown")
    assert "--kinds brown" in str(error.value)
    assert "--snr 10: given twice" in str(error.value)
    assert "--snr 1e+09: not from -200 to 200 dB" in str(error.value)
    with pytest.raises(UserError, match="either --kinds or --noise"):
        choice(10)
    mixed = add_noise(corpus, tmp_path / "noisy", choice(5, kinds="white"))
    with pytest.raises(DataError, match="not plain: 12"):
        add_noise(mixed, tmp_path / "again", choice(5, kinds="white"))
    cuts = [cut for cut in open_cuts(corpus) if cut.supervisions[0].speaker == "low"]
    write_cuts(cuts, tmp_path / "one.jsonl.gz")
    with pytest.raises(UserError, match="babble is made of other speakers"):
        add_noise(tmp_path / "one.jsonl.gz", tmp_path / "again", choice(5, kinds="babble"))
    write_cuts([cut.drop_supervisions() for cut in cuts], tmp_path / "none.jsonl.gz")
    with pytest.raises(DataError, match="no speaker: 4"):
        add_noise(tmp_path / "none.jsonl.gz", tmp_path / "again", choice(5, kinds="babble"))
    lost = [cut.to_dict() for cut in cuts]
    lost[1]["recording"]["sources"][0]["source"] = "/nowhere/at/all.wav"
    write_cuts(lost, tmp_path / "lost.jsonl.gz")
    with pytest.raises(DataError, match=r"lost\.jsonl\.gz:2"):
        add_noise(tmp_path / "lost.jsonl.gz", tmp_path / "again", choice(5, kinds="white"))
    assert not list(tmp_path.glob("again*"))
