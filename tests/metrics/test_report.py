import json
from pathlib import Path

import numpy as np

from voxkit.metrics.plots import Span, confusion_table, spectrogram
from voxkit.metrics.report import Report, Scored, alignment_text


def utterances() -> list[Scored]:
    said = [("one two three", "one too three"), ("four", "four"), ("five six", "six"), ("seven", "seven oh")]
    return [
        Scored(f"utt{i}", ref, hyp, {"speaker": f"s{i % 2}", "dialect": "en"}) for i, (ref, hyp) in enumerate(said * 6)
    ]


def test_lines_and_score_file_agree(tmp_path: Path) -> None:
    report = Report(utterances())
    report.write(tmp_path)
    score = json.loads((tmp_path / "score.json").read_text())
    wer, cer, ser, note = report.lines("exp/x")
    assert wer == "%WER 42.86 [ 18 / 42, 6 ins, 6 del, 6 sub ] exp/x"
    assert cer.startswith("%CER ")
    assert ser == "%SER 75.00 [ 18 / 24 ] exp/x"
    assert note.startswith("normaliser none; WER lies in ")
    assert score["wer"]["errors"] == 18
    assert score["wer"]["low"] < score["wer"]["rate"] < score["wer"]["high"]
    assert score["ser"] == {"rate": 75.0, "errors": 18, "total": 24}
    assert sum(entry["errors"] for entry in score["by_speaker"].values()) == 18
    rows = (tmp_path / "by_speaker.tsv").read_text().splitlines()
    assert rows[-1].split("\t") == ["(all)", "42.86", "18", "42", "6", "6", "6"]
    assert (tmp_path / "by_dialect.tsv").exists()
    assert (tmp_path / "confusions.tsv").read_text().splitlines()[1:] == ["6\t-\toh", "6\tfive\t-", "6\ttwo\ttoo"]


def test_characters_count_spaces() -> None:
    report = Report([Scored("a", "ab c", "abc")])
    assert (report.characters.count, report.characters.total) == (1, 4)


def test_the_normaliser_goes_over_both_sides() -> None:
    report = Report([Scored("a", "It's  FINE.", "its' fine")], "asr_en")
    assert report.words.count == 1
    assert report.lines("x")[3].startswith("normaliser asr_en")


def test_the_interval_draws_speakers_where_there_are_some() -> None:
    many = [Scored(f"u{i}", "a b", "a b" if i % 3 else "a c", {"speaker": str(i % 6)}) for i in range(60)]
    low, high, unit = Report(many).interval()
    assert unit == "6 speakers"
    assert 0 <= low < 100 * 20 / 120 < high
    assert Report(many).interval() == (low, high, unit)
    assert Report([]).interval()[:2] == (0.0, 0.0)


def test_an_alignment_stands_in_columns() -> None:
    text = alignment_text(Scored("utt", "a 日本 c", "a b b c"))
    head, ref, hyp, op = text.splitlines()
    assert head == "utt  2 errors in 3 words"
    assert ref.split() == ["ref", "a", "日本", "*", "c"]
    assert hyp.split() == ["hyp", "a", "b", "b", "c"]
    assert op.split() == ["op", "S", "I"]
    assert hyp.index("c") == ref.index("c") + 2  # each of the two wide characters takes two columns


def test_pictures_are_drawn(tmp_path: Path) -> None:
    confusion_table(Report(utterances()), tmp_path / "confusions.png")
    confusion_table(Report([Scored("a", "b", "b")]), tmp_path / "none.png")
    samples = np.random.default_rng(0).normal(size=16000).astype(np.float32) / 10
    spans = [Span("one", 0.1, 0.4, True), Span("two", 0.5, 0.52, False), Span("three", 0.6, 0.9)]
    spectrogram(samples, 16000, [("said", spans), ("heard", spans)], "a title", tmp_path / "spectrogram.png")
    for name in ("confusions", "none", "spectrogram"):
        assert (tmp_path / f"{name}.png").stat().st_size > 3000
