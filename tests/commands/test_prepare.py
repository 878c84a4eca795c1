"""`voxkit prepare` from the command line."""

# ruff: noqa: RUF001
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]


def voxkit(*arguments: object, program: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    program = program + "from voxkit.commands.prepare.command import prepare\n" + RUN
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **environment},
    )


RUN = """
import sys, typer
from voxkit.errors import UserError
app = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False)
app.command()(prepare)
if __name__ == "__main__":
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        slow = {"torch", "lhotse"} & set(sys.modules)
        if slow:
            print("imported", slow, file=sys.stderr)
            sys.exit(3)
"""


KILLED = """
import os, signal
from voxkit.data.corpora import writing
inner = writing.write_cuts
def write_cuts(items, path):
    inner(items, path)
    os.kill(os.getpid(), signal.SIGKILL)
writing.write_cuts = write_cuts
"""


OTHER_ESPEAK = """
from importlib import metadata
inner = metadata.version
def version(name):
    return "0.0.0" if name == "espeakng-loader" else inner(name)
metadata.version = version
"""


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in "abcd":
        soundfile.write(folder / f"{name}.wav", 0.1 * np.sin(np.arange(8000) / 9), 16000)
    (folder / "transcripts.tsv").write_text("".join(f"{name}.wav\tword {name}\tme\n" for name in "abcd"))
    return folder


def test_a_corpus_as_its_repository_has_it(tmp_path: Path) -> None:
    for keyword in ("alexa", "view glass"):
        (tmp_path / "repository" / "audio" / keyword).mkdir(parents=True)
        path = tmp_path / "repository" / "audio" / keyword / "1.flac"
        soundfile.write(path, 0.1 * np.sin(np.arange(8000) / 9), 16000)
    done = voxkit("wake_words", "--source", tmp_path / "repository", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("wake_words: all 2 utterances")


def test_text(tmp_path: Path) -> None:
    (tmp_path / "input.txt").write_text("First Citizen:\nSpeak, speak.\n\nAll:\nWe know't,\nwe know't. Go!\n\n" * 10)
    out = tmp_path / "out"
    done = voxkit("lm_tinyshakespeare", "--source", tmp_path, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lm_tinyshakespeare: train 27 lines with 63 words, dev ")
    assert (out / "train.txt").read_text().splitlines()[:4] == [
        "Speak, speak.", "We know't, we know't.", "Go!", "Speak, speak.",
    ]  # fmt: skip


def test_list() -> None:
    done = voxkit("--list")
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == [
        "NAME", "mini", "spoken", "an4", "fsdd", "kathleen_en", "librispeech_mini", "esc10", "wake_words", "espeak",
        "sigmorphon2020_g2p", "sigmorphon2021_g2p_high", "wikipron", "cmudict", "snips", "wnut17", "ner_btc",
        "germeval2014", "lm_war_and_peace", "lm_tinyshakespeare", "lm_wikitext2", "multiwoz21", "topical_chat", "dir",
    ]  # fmt: skip


def test_help_shows_examples() -> None:
    done = voxkit("--help")
    assert done.returncode == 0, done.stderr
    assert "dialects=[en-us,en-029]" in done.stdout


def test_own_audio(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = voxkit("dir", "--source", recordings, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"dir: all 4 utterances 0.00 h -> {out}\n"
    assert {path.name for path in out.iterdir()} >= {"cuts_all.jsonl.gz", "config.yaml", "env.json", "command.txt"}
    again = voxkit("dir", "--source", recordings, "--out", out)
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    other = voxkit("dir", "--source", recordings, "--out", out, "--max-bad", 0.1)
    assert other.returncode == 2
    assert "max_bad: 0.0 -> 0.1" in other.stderr


def test_bad_audio_is_reported_and_nothing_written(recordings: Path, tmp_path: Path) -> None:
    (recordings / "b.wav").write_bytes(b"")
    (recordings / "c.wav").write_bytes((recordings / "c.wav").read_bytes()[:5000])
    out = tmp_path / "out"
    done = voxkit("dir", "--source", recordings, "--out", out)
    assert done.returncode == 2
    assert f"{recordings}/transcripts.tsv:2" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
    tolerant = voxkit("dir", "--source", recordings, "--out", out, "--max-bad", 0.5)
    assert tolerant.returncode == 0, tolerant.stderr
    assert (out / "rejected.jsonl").exists()


def test_what_an_interrupted_run_left_is_no_obstacle_to_other_settings(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed = voxkit("dir", "--source", recordings, "--out", out, program=KILLED)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "out.partial" / "recordings_all.jsonl.gz").exists()
    other = voxkit("dir", "--source", recordings, "--out", out, "--max-bad", 0.5)
    assert other.returncode == 0, other.stderr
    assert not (tmp_path / "out.partial").exists()
    assert not (out / ".disposable").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no corpus named"),
        (("an44", "--out", "x"), "did you mean an4"),
        (("an4",), "no --out given"),
        (("an4", "--hours", "3", "--out", "x"), "an4 is recorded and has no --hours"),
        (("mini", "--source", "x", "--out", "x"), "mini is spoken on the spot"),
        (
            ("spoken", "--hours", "0.01", "--out", "x"),
            "fix: write --set train_hours=0.01, and dev_hours and test_hours",
        ),
        (("spoken", "--max-bad", "0.1", "--out", "x"), "spoken is spoken on the spot and has no --max-bad"),
        (("spoken", "--text", "train=nowhere", "--out", "x"), "nowhere: cannot be read: No such file or directory"),
        (("mini", "--set", "vocabulry=500", "--out", "x"), "did you mean 'vocabulary'"),
        (("esc10", "--out", "x"), "get it from https://github.com/karolpiczak/ESC-50"),
        (("esc10", "--out", "x"), "what is read: the repository (meta/, audio/)"),
        (("librispeech_mini", "--out", "x"), "what is read: clips of your choice with metadata.tsv (a line for each"),
        (("wake_words", "--source", ".", "--out", "x"), "first the names: utt_id path keyword)"),
        (("an4", "--no-download", "--out", "x"), "--no-download was given"),
        (("an4", "--source", "nowhere", "--out", "x"), "no folder"),
        (("dir", "--out", "x"), "no --source"),
        (("cmudict", "--seed", "3", "--out", "x"), "cmudict is read from files and has no --seed"),
        (("sigmorphon2020_g2p", "--out", "x"), "get it from https://github.com/sigmorphon/2020"),
        (("snips", "--hours", "3", "--out", "x"), "snips is read from files and has no --hours"),
        (("snips", "--out", "x"), "get it from https://github.com/sonos/nlu-benchmark"),
        (("ner_btc",), "no --out given"),
        (("multiwoz21", "--seed", "3", "--out", "x"), "multiwoz21 is read from files and has no --seed"),
        (("lm_wikitext2", "--source", ".", "--out", "x"), "no wiki.valid.txt*, and no wiki.valid.tokens*, and no"),
        (("topical_chat",), "no --out given"),
        (("wikipron", "--source", ".", "--out", "x"), "no *_broad*.tsv*, and no *_narrow*.tsv*"),
        (("espeak", "--hours", "3", "--out", "x"), "espeak is pronounced on the spot and has no --hours"),
        (("espeak", "--set", "language=de", "--out", "x"), "did you mean 'languages'"),
        (("espeak", "--set", "words=nowhere", "--out", "x"), "nowhere: cannot be read"),
        (("espeak",), "no --out given"),
        (("dir", "--source", "nowhere", "--out", "x"), "no folder nowhere"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = voxkit(*arguments, VOXKIT_DATA=str(tmp_path))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_config_can_be_fed_back(tmp_path: Path) -> None:
    printed = voxkit("mini", "--hours", "0.5", "--set", "snr=[0,20]", "--print-config")
    assert printed.returncode == 0, printed.stderr
    assert "hours: 0.5" in printed.stdout
    file = tmp_path / "mini.yaml"
    file.write_text(printed.stdout)
    assert voxkit("mini", "--config", file, "--print-config").stdout == printed.stdout


def test_mini(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")
    out = tmp_path / "mini"
    settings = ("--hours", "0.005", "--set", "lm_sentences=2000")
    done = voxkit("mini", "--out", out, *settings)
    assert done.returncode == 0, done.stderr
    assert (out / "lexicon.txt").exists()
    assert not (out / "parts").exists()
    checked = voxkit("mini", "--out", out, *settings)
    assert "nothing to do" in checked.stderr
    assert done.stdout.startswith("mini: train ")


def test_pronunciations_as_their_repository_has_them(tmp_path: Path) -> None:
    source, out = tmp_path / "wikipron", tmp_path / "out"
    source.mkdir()
    (source / "nld_latn_broad.tsv").write_text("".join(f"woord{n}\tʋ oː r t\n" for n in range(50)))
    done = voxkit("wikipron", "--source", source, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("wikipron: train ")
    assert done.stdout.endswith(f", 1 language -> {out}\n")
    assert {path.name for path in out.iterdir()} >= {"train.tsv", "dev.tsv", "test.tsv", "config.yaml"}
    assert "nothing to do" in voxkit("wikipron", "--source", source, "--out", out).stderr
    with (source / "nld_latn_broad.tsv").open("a") as file:
        file.write("alleen\n")
    changed = voxkit("wikipron", "--source", source, "--out", out)
    assert changed.returncode == 2
    assert "made with other settings" in changed.stderr
    assert "files.nld_latn_broad.tsv: " in changed.stderr
    bad = voxkit("wikipron", "--source", source, "--out", tmp_path / "bad")
    assert bad.returncode == 2
    assert f"{source}/nld_latn_broad.tsv:51  alleen:{source}/nld_latn_broad.tsv:51  no phones" in bad.stderr
    assert not (tmp_path / "bad").exists()
    tolerant = voxkit("wikipron", "--source", source, "--out", tmp_path / "bad", "--max-bad", 0.05)
    assert tolerant.returncode == 0, tolerant.stderr
    assert (tmp_path / "bad" / "rejected.jsonl").exists()


def test_tagged_sentences_as_their_repository_has_them(tmp_path: Path) -> None:
    source, out = tmp_path / "wnut", tmp_path / "out"
    source.mkdir()
    for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"):
        (source / name).write_text("New\tB-location\nYork\tI-location\n\nno\tO\n\n")
    done = voxkit("wnut17", "--source", source, "--out", out)
    assert done.returncode == 0, done.stderr
    parts = ", ".join(f"{part} 2 sentences with 1 entities" for part in ("train", "dev", "test"))
    assert done.stdout == f"wnut17: {parts}, 1 label -> {out}\n"
    assert {path.name for path in out.iterdir()} >= {"train.conll", "dev.conll", "test.conll", "config.yaml"}
    assert "nothing to do" in voxkit("wnut17", "--source", source, "--out", out).stderr
    with (source / "emerging.dev.conll").open("a") as file:
        file.write("New\tlocation\n")
    changed = voxkit("wnut17", "--source", source, "--out", out)
    assert changed.returncode == 2
    assert "files.emerging.dev.conll: " in changed.stderr
    bad = voxkit("wnut17", "--source", source, "--out", tmp_path / "bad")
    assert bad.returncode == 2
    assert f"{source}/emerging.dev.conll:6  dev:6  the tag 'location' of 'New'; write O, B-label" in bad.stderr
    assert not (tmp_path / "bad").exists()
    tolerant = voxkit("wnut17", "--source", source, "--out", tmp_path / "bad", "--max-bad", 0.2)
    assert tolerant.returncode == 0, tolerant.stderr
    assert (tmp_path / "bad" / "rejected.jsonl").exists()


def test_espeak(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")
    words, out = tmp_path / "words", tmp_path / "out"
    words.write_text("nacht\nnight\ten-us\n")
    settings = (
        "--set",
        f"words={words}",
        "--set",
        "languages=[de,nl]",
        "--set",
        "dev_share=0",
        "--set",
        "test_share=0",
    )
    done = voxkit("espeak", "--out", out, *settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("espeak: train 3 pronunciations of 3 words")
    assert (out / "train.tsv").read_text() == "nacht\tn a x t\tde\nnacht\tn ɑ x t\tnl\nnight\tn aɪ t\ten-us\n"
    assert "nothing to do" in voxkit("espeak", "--out", out, *settings).stderr
    newer = voxkit("espeak", "--out", out, *settings, program=OTHER_ESPEAK)
    assert newer.returncode == 2
    assert "espeakng-loader: " in newer.stderr
    words.write_text("nacht\n")
    other = voxkit("espeak", "--out", out, *settings)
    assert other.returncode == 2
    assert "words_sha256" in other.stderr
    printed = voxkit("espeak", *settings, "--print-config").stdout
    (tmp_path / "espeak.yaml").write_text(printed)
    assert voxkit("espeak", "--config", tmp_path / "espeak.yaml", "--print-config").stdout == printed


def test_spoken_of_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")
    books = tmp_path / "books"
    (books / "sub").mkdir(parents=True)
    (books / "a.txt").write_text("The taxi left.\nI paid $20\n")
    (books / "README.md").write_text("Nothing to speak.\n")
    (tmp_path / "dev").write_text("Where is the bus?\n")
    (tmp_path / "test").write_text("1\n")
    texts = [part for name in ("dev", "test") for part in ("--text", f"{name}={tmp_path / name}")]
    given = ("spoken", "--out", tmp_path / "out", "--text", f"train={books}", *texts, "--set", "train_hours=0.002")
    refused = voxkit(*given)
    assert refused.returncode == 2
    assert f"{tmp_path / 'test'}:1 (not of letters: 1)" in refused.stderr
    assert not (tmp_path / "out.partial").exists()  # what is mended is no obstacle
    (tmp_path / "test").write_text("Here it is.\n")
    done = voxkit(*given)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"notice: {books}: 1 file; passed over: README.md, sub") == 1
    rows = (tmp_path / "out" / "left_out.tsv").read_text().splitlines()[1:]
    assert rows == [f"train\t{books / 'a.txt'}:2\tnot of letters: 20\tI paid $20"]
    assert (tmp_path / "out" / "text_train.txt").read_text() == "THE TAXI LEFT\n"
