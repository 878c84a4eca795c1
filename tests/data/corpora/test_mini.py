"""The embedded corpus as a whole: parts, determinism, resuming, sound."""

from __future__ import annotations

import hashlib
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxkit.config import build
from voxkit.data import audio
from voxkit.data.corpora import mini, mini_lexicon, mini_speech
from voxkit.data.corpora.mini_config import MEN, WOMEN, MiniConfig
from voxkit.data.manifests import read_lines
from voxkit.errors import UserError

SMALL = ("hours=0.015", "lm_sentences=3000", "dialects=[en-us,en-gb-scotland]", "dev_share=0.2", "test_share=0.2")


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")
    return make(tmp_path_factory.mktemp("mini") / "out", jobs=1)


def make(out: Path, jobs: int, *sets: str) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mini_speech, "CHUNK", 6)
        mini.prepare(build(MiniConfig, sets=[*SMALL, *sets]), out, out, jobs)
    return out


def cuts(corpus: Path, part: str) -> list[dict[str, Any]]:
    return [line.data for line in read_lines([corpus / f"cuts_{part}.jsonl.gz"]) if line.data]


def supervisions(corpus: Path, part: str) -> list[dict[str, Any]]:
    return [cut["supervisions"][0] for cut in cuts(corpus, part)]


def test_same_bytes_whatever_the_number_of_jobs(corpus: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "out", jobs=3)
    first, second = digests(corpus / "audio"), digests(other / "audio")
    assert len(first) > 12
    assert first == second
    for name in ("lexicon.txt", "lexicon_en-us.txt", "text_train.txt"):
        assert (corpus / name).read_bytes() == (other / name).read_bytes()


def test_parts_share_neither_sentences_nor_voices(corpus: Path) -> None:
    parts = {part: supervisions(corpus, part) for part in mini.PARTS}
    training_text = set((corpus / "text_train.txt").read_text().splitlines())
    for part in ("dev", "test"):
        assert parts[part]
        assert not training_text & {s["text"] for s in parts[part]}
    variants = {part: {s["custom"]["variant"] for s in items} for part, items in parts.items()}
    assert not variants["train"] & variants["test"]
    assert not variants["dev"] & (variants["train"] | variants["test"])
    assert {s["language"] for s in parts["test"]} == {"en-us", "en-gb-scotland"}


def test_every_word_is_in_the_lexicons(corpus: Path) -> None:
    said = {word for part in mini.PARTS for s in supervisions(corpus, part) for word in s["text"].split()}
    told = {word for line in (corpus / "text_train.txt").read_text().splitlines() for word in line.split()}
    phones = set()
    for name in ("lexicon.txt", "lexicon_en-us.txt", "lexicon_en-gb-scotland.txt"):
        entries = [line.split() for line in (corpus / name).read_text().splitlines()]
        assert {entry[0] for entry in entries} >= said | told
        assert all(0 < float(entry[1]) <= 1 and entry[2:] for entry in entries)
        best = {entry[0]: float(entry[1]) for entry in reversed(entries)}
        assert set(best.values()) == {1.0}
        phones |= {phone for entry in entries for phone in entry[2:]}
    assert 40 < len(phones) < 100
    assert not [phone for phone in phones if any(mark in phone for mark in "ˈˌ():_ʲ")]
    assert {word for s in supervisions(corpus, "test") for word in s["text"].split()} <= told


def test_alignments(corpus: Path) -> None:
    for cut in cuts(corpus, "train"):
        (supervision,) = cut["supervisions"]
        words, phones = supervision["alignment"]["word"], supervision["alignment"]["phone"]
        assert [symbol for symbol, _, _ in words] == supervision["text"].split()
        for tier in (words, phones):
            assert all(a[1] + a[2] <= b[1] + 1e-3 for a, b in pairwise(tier))
            assert all(duration >= 0 for _, _, duration in tier)
            assert tier[0][1] >= 0
            assert tier[-1][1] + tier[-1][2] <= cut["duration"]
        samples, _ = audio.read(cut["recording"]["sources"][0]["source"])
        assert len(samples) == cut["recording"]["num_samples"]
        custom = supervision["custom"]
        assert 20 * np.log10(np.abs(samples).max()) == pytest.approx(custom["gain"], abs=0.05)
        assert ("snr" in custom) == (custom["noise"] != "none")


def test_another_seed_is_another_corpus(corpus: Path) -> None:
    one, two = (mini.make_plan(build(MiniConfig, sets=SMALL, seed=seed)) for seed in (1, 2))
    assert one.orders == mini.make_plan(build(MiniConfig, sets=SMALL, seed=1)).orders
    assert one.orders != two.orders


def test_going_on_after_a_stop(corpus: Path, tmp_path: Path) -> None:
    plan = mini.make_plan(build(MiniConfig, sets=SMALL))
    orders = plan.orders["train"][:8]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mini_speech, "CHUNK", 4)
        arguments = (tmp_path / "audio", tmp_path / "parts", 16000, False, 1)
        first = mini_speech.speak_all(orders, *arguments)
        before = digests(tmp_path / "audio")
        (tmp_path / "parts" / "1.json").unlink()
        for order in orders[4:]:
            (tmp_path / "audio" / f"{order.id}.flac").unlink()
        spoken_before = (tmp_path / "audio" / f"{orders[0].id}.flac").stat().st_mtime_ns
        assert mini_speech.speak_all(orders, *arguments) == first
    assert digests(tmp_path / "audio") == before
    assert (tmp_path / "audio" / f"{orders[0].id}.flac").stat().st_mtime_ns == spoken_before


def test_large_requests_are_planned() -> None:
    config = build(MiniConfig, sets=["hours=3", "vocabulary=3000", "lm_sentences=0"])
    plan = mini.make_plan(config)
    sentences = [s.text for s in (*plan.sentences["dev"], *plan.sentences["test"])]
    assert len(set(sentences)) == len(sentences)
    assert not {s.text for s in plan.sentences["train"]} & set(sentences)
    assert len({order.id for orders in plan.orders.values() for order in orders}) == sum(map(len, plan.orders.values()))


def test_voices_are_divided() -> None:
    parts = mini.divide(WOMEN + MEN)
    assert sorted(chain.from_iterable(parts.values())) == sorted(WOMEN + MEN)
    assert all(set(parts[part]) & set(WOMEN) and set(parts[part]) & set(MEN) for part in mini.PARTS)
    for few in (("f1", "m1", "m2"), ("f1", "f2", "m1", "m2"), ("m1", "m2", "m3"), ("f1", "f2", "f3", "m1")):
        assert all(mini.divide(few).values())


def test_unknown_voices() -> None:
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")
    with pytest.raises(UserError, match="no variant f99"):
        mini.check_voices(build(MiniConfig, sets=["variants=[f1,f2,f99]"]))
    with pytest.raises(UserError, match="no dialect 'en-zz'"):
        mini.check_voices(build(MiniConfig, sets=["dialects=[en-us,en-zz]"]))


@pytest.mark.parametrize(
    "setting", ["snr=[30,20]", "rate=[10,100]", "dialects=[en-us,en-us]", "noises=[brown]", "hours=0"]
)
def test_settings_out_of_range(setting: str) -> None:
    with pytest.raises(UserError, match=setting.split("=")[0]):
        build(MiniConfig, sets=[setting])


@pytest.mark.parametrize("wanted", [8000, 16000, 22050])
def test_resampling(wanted: int) -> None:
    rate, seconds, pitch = 22050, 0.7, 1000
    samples = np.sin(2 * np.pi * pitch * np.arange(int(rate * seconds)) / rate).astype(np.float32)
    found = mini_speech.resample(samples, rate, wanted)
    ideal = np.sin(2 * np.pi * pitch * np.arange(len(found)) / wanted)
    assert len(found) == pytest.approx(wanted * seconds, abs=1)
    middle = slice(len(found) // 10, -len(found) // 10)
    assert np.abs(found - ideal)[middle].max() < 2e-3


def test_resampling_removes_what_would_fold() -> None:
    samples = np.sin(2 * np.pi * 10_000 * np.arange(22050) / 22050).astype(np.float32)
    assert np.abs(mini_speech.resample(samples, 22050, 16000)[800:-800]).max() < 1e-3


@pytest.mark.parametrize("noise", ["white", "pink", "babble"])
def test_noise_has_the_asked_level(noise: str) -> None:
    rng = np.random.default_rng(77)
    speech, others = rng.standard_normal(16000).astype(np.float32), [rng.standard_normal(5000).astype(np.float32)]
    order = mini_speech.Order("x", (), (), "en-us", "f1", 170, 50, 0.0, 0.0, noise, 6.0, -3.0, 1)
    clean = mini_speech.Order("x", (), (), "en-us", "f1", 170, 50, 0.0, 0.0, "none", 6.0, -3.0, 1)
    noisy = mini_speech.record(speech, others, order, 16000).astype(float)
    assert np.abs(noisy).max() == pytest.approx(32767 * 10 ** (-3 / 20), abs=1)
    dry = mini_speech.record(speech, others, clean, 16000).astype(float)
    scale = noisy @ dry / (dry @ dry)
    added = noisy - scale * dry
    assert 10 * np.log10(np.mean((scale * dry) ** 2) / np.mean(added**2)) == pytest.approx(6.0, abs=0.3)


def test_lexicon_lines() -> None:
    counts = mini_lexicon.count([(["a", "b"], [["x"], ["y", "z"]]), (["a", "a"], [["x"], ["w"]]), (["b"], [[]])])
    assert mini_lexicon.render(counts, 0.1) == "a 1 x\na 0.5 w\nb 1 y z\n"
    assert mini_lexicon.render(mini_lexicon.merge(counts, counts), 0.6) == "a 1 x\nb 1 y z\n"


def test_audio_is_read_back(corpus: Path) -> None:
    path = next((corpus / "audio").iterdir())
    assert audio.info(path).sampling_rate == 16000
    assert not audio.check_audio(path)
