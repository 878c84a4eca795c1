"""The command on folders as decode leaves them."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands.select_data.made_pools import WORDS, cut, decoded, said
from tests.commands.test_decode import cuts, exp, hearing, job, lang  # noqa: F401
from voxkit.commands.decode.task import run as decode
from voxkit.commands.select_data import results
from voxkit.commands.select_data.command import SelectData, select_data
from voxkit.commands.train_am.command import TrainAm
from voxkit.commands.train_am.data import open_examples
from voxkit.config import build
from voxkit.data.lang import Lang
from voxkit.data.manifests import open_cuts, write_cuts
from voxkit.decode.confusion import ConfusionNetwork
from voxkit.errors import DataError, Interrupted, UserError

METHODS = ["entropy", "random", "confidence", "germ"]
BEE, DEE, TEN, NET = (WORDS.index(word) for word in ("bee", "dee", "ten", "net"))


def networks(count: int = 24, seed: int = 0) -> Iterator[tuple[str, ConfusionNetwork]]:
    draw = np.random.default_rng(seed)
    for number in range(count):
        words = draw.integers(1, len(WORDS), draw.integers(1, 5)).tolist()
        doubts = draw.uniform(0, 0.45, len(words)).tolist()
        bins = [{word: 1 - doubt, word % 8 + 1: doubt} for word, doubt in zip(words, doubts, strict=True)]
        yield f"u{seed}-{number}", said(*bins)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    found = dict(networks())
    found["silent"] = said()
    references = {name: " ".join(WORDS[word] for word in one.hypothesis) for name, one in found.items()}
    references["u0-0"] += " bee"
    return decoded(tmp_path / "pool", found, references)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    rows = [cut(f"taught-{n}", text, speaker="s0") for n, text in enumerate(["bee dee ten", "net", "zoo bee"])]
    write_cuts(rows, tmp_path / "labelled.jsonl.gz")
    return tmp_path / "labelled.jsonl.gz"


def choose(pool: Path | list[Path], labelled: Path, out: Path | None, hours: float = 0.005, **options: Any) -> None:
    select_data(pool if isinstance(pool, list) else [pool], labelled, hours, out=out, **options)


def table(out: Path) -> list[dict[str, str]]:
    head, *rows = [line.split("\t") for line in (out / "selected.tsv").read_text().splitlines()]
    return [dict(zip(head, row, strict=True)) for row in rows]


@pytest.mark.parametrize("method", METHODS)
def test_each_method_writes_a_training_set(
    pool: Path, labelled: Path, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    choose(pool, labelled, out, method=method, weight=0.5)
    printed = capsys.readouterr()
    assert "%SELECTED " in printed.out
    assert "%LER " in printed.out
    assert "%POOL-LER " in printed.out
    assert "1 cuts of 0.001 h were recognised as nothing" in printed.err
    chosen = list(open_cuts(out / "selected.jsonl.gz"))
    assert 0 < sum(one.duration for one in chosen) <= 0.005 * 3600
    for one in chosen:
        custom = one.supervisions[0].custom
        assert custom["weight"] == 0.5
        assert set(custom["selection"]) == {"method", "score", "rank", "block", "reason"}
        assert custom["reference"].startswith(one.supervisions[0].text)
    assert sorted(one.supervisions[0].custom["selection"]["rank"] for one in chosen) == [*range(1, len(chosen) + 1)]
    trained = [one.id for one in open_cuts(out / "train.jsonl.gz")]
    assert trained == ["taught-0", "taught-1", "taught-2", *(one.id for one in chosen)]
    rows = table(out)
    assert {row["id"] for row in rows} == {name for name, _ in networks()}
    assert [row["status"] for row in rows[: len(chosen)]] == ["chosen"] * len(chosen)
    assert {row["id"] for row in rows[: len(chosen)]} == {one.id for one in chosen}
    if method == "entropy":
        (reason, *_) = chosen[0].supervisions[0].custom["selection"]["reason"]
        assert set(reason) == {"word", "rival", "before", "after", "for", "against"}
        assert ">" in rows[0]["reason"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["utterances"] == len(chosen)
    assert summary["pool"]["without_words"] == 1
    assert (out / "selected.png").stat().st_size > 10_000


def test_the_same_command_gives_the_same_and_then_has_nothing_to_do(
    pool: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two", "one"):
        choose(pool, labelled, tmp_path / name)
    assert "one: complete, nothing to do" in capsys.readouterr().err
    for file in ("selected.jsonl.gz", "train.jsonl.gz", "selected.tsv", "summary.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    with pytest.raises(UserError, match=r"weight: 0.7 -> 0.3"):
        choose(pool, labelled, tmp_path / "one", weight=0.3)


def test_a_dry_run_prints_the_same_and_writes_nothing(
    pool: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(pool, labelled, tmp_path / "out")
    real = capsys.readouterr().out
    before = sorted(tmp_path.iterdir())
    choose(pool, labelled, None, dry_run=True)
    assert capsys.readouterr().out == real.replace(str(tmp_path / "out"), "(dry run)")
    assert sorted(tmp_path.iterdir()) == before


def test_a_budget_beyond_the_pool_takes_all_that_is_not_contradicted(
    pool: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = {"torn": said({TEN: 0.55, NET: 0.45}), **{f"n{i}": said({NET: 0.55, TEN: 0.45}) for i in range(30)}}
    other = decoded(tmp_path / "other", torn)
    choose([pool, other], labelled, tmp_path / "out", hours=5)
    told = capsys.readouterr().err
    assert "the budget of 5 h is larger than what can be chosen" in told
    assert re.search(r"[1-9] of 55 utterances are contradicted by the rest of the pool: never chosen", told)
    status = {row["id"]: row["status"] for row in table(tmp_path / "out")}
    assert set(status.values()) == {"chosen", "refused"}
    assert status["torn"] == "refused"
    choose([pool, other], labelled, tmp_path / "few", hours=5, set_=["entropy.least=0"])
    fewer = [row["id"] for row in table(tmp_path / "few") if row["status"] == "chosen"]
    assert len(fewer) < list(status.values()).count("chosen")
    assert ", or worth too little: never chosen" in capsys.readouterr().err


def test_limits_leave_utterances_out(pool: Path, labelled: Path, tmp_path: Path) -> None:
    choose(pool, labelled, tmp_path / "out", method="random", hours=5, min_confidence=0.75)
    rows = table(tmp_path / "out")
    assert {row["status"]: float(row["confidence"]) >= 0.75 for row in rows} == {"chosen": True, "left out": False}
    with pytest.raises(UserError, match="leave no utterance"):
        choose(pool, labelled, tmp_path / "none", max_duration=1.0)


def test_the_least_sure_word_can_count(pool: Path, labelled: Path, tmp_path: Path) -> None:
    choose(pool, labelled, tmp_path / "out", method="confidence", hours=5, set_=["average=min"])
    scores = [float(row["score"]) for row in table(tmp_path / "out")]
    assert scores == sorted(scores, reverse=True)
    posteriors = {
        one.id: one.supervisions[0].custom["posterior"] for one in open_cuts(tmp_path / "out/selected.jsonl.gz")
    }
    first = table(tmp_path / "out")[0]
    assert float(first["score"]) == pytest.approx(min(posteriors[first["id"]]), abs=1e-4)


def test_several_pools_and_a_decode_of_the_labelled(pool: Path, labelled: Path, tmp_path: Path) -> None:
    other = decoded(tmp_path / "other", dict(networks(seed=1)))
    told = decoded(tmp_path / "told", {"taught-0": said({BEE: 0.9, DEE: 0.1}, {TEN: 0.6, NET: 0.4})})
    choose([pool, other], labelled, tmp_path / "out", hours=5, labelled_decode=told)
    names = {row["id"] for row in table(tmp_path / "out")}
    assert names == {name for seed in (0, 1) for name, _ in networks(seed=seed)}


def test_word_confidence_is_used_where_it_is_known(pool: Path, labelled: Path, tmp_path: Path) -> None:
    rows = [one.to_dict() for one in open_cuts(pool / "hypotheses.jsonl.gz")]
    for row in rows:
        row["supervisions"][0]["custom"]["confidence"] = [0.25] * len(row["supervisions"][0]["text"].split())
    write_cuts(rows, pool / "hypotheses.jsonl.gz")
    choose(pool, labelled, tmp_path / "out", hours=5)
    rows_of = table(tmp_path / "out")
    assert {row["confidence"] for row in rows_of} == {"0.250"}
    wrong, words = (sum(float(row[name]) for row in rows_of) for name in ("expected_errors", "words"))
    assert wrong > 0.4 * words


def test_what_does_not_go_together_is_told(pool: Path, labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    other = decoded(tmp_path / "other", dict(networks(seed=1)), words=[*WORDS[:-1], "boo"])
    write_cuts([cut("u0-3", "bee"), cut("u0-5", "bee")], tmp_path / "both.jsonl.gz")
    write_cuts([cut("mute", "")], tmp_path / "mute.jsonl.gz")
    with pytest.raises(DataError, match=r"labelled cut in the pool: 2\n.*u0-3.*\n.*u0-5"):
        choose(pool, tmp_path / "both.jsonl.gz", out)
    with pytest.raises(DataError, match="duplicate id: 25"):
        choose([pool, pool], labelled, out)
    with pytest.raises(UserError, match=r"its word table is not that of .*'boo' for 'net'"):
        choose([pool, other], labelled, out)
    with pytest.raises(UserError, match="hours"):
        choose(pool, labelled, out, hours=0)
    with pytest.raises(UserError, match="needs --labelled"):
        select_data([pool], out=out)
    with pytest.raises(UserError, match="needs --out"):
        select_data([pool], labelled)
    with pytest.raises(DataError, match="empty text"):
        choose(pool, tmp_path / "mute.jsonl.gz", out)
    assert not out.exists()


def test_a_signal_stops_it_and_the_next_run_begins_anew(
    pool: Path, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminated(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    with monkeypatch.context() as patch:
        patch.setattr(results, "write_table", terminated)
        with pytest.raises(Interrupted):
            choose(pool, labelled, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    choose(pool, labelled, tmp_path / "out")
    assert (tmp_path / "out" / "selected.tsv").exists()


def test_pools_without_networks_durations_or_confidence(pool: Path, labelled: Path, tmp_path: Path) -> None:
    rows = [one.to_dict() for one in open_cuts(pool / "hypotheses.jsonl.gz")]
    for row in rows:
        del row["supervisions"][0]["custom"]["posterior"]
    write_cuts(rows, pool / "hypotheses.jsonl.gz")
    with pytest.raises(UserError, match=r"24 of 24 utterances have no confidence[^\n]*\nfix: decode with --confusion"):
        choose(pool, labelled, tmp_path / "out", method="confidence")
    for row in rows:
        row["duration"] = 0
    write_cuts(rows, pool / "hypotheses.jsonl.gz")
    with pytest.raises(DataError, match="no duration: 25"):
        choose(pool, labelled, tmp_path / "out")
    (pool / "confusion" / "1.npz").unlink()
    with pytest.raises(UserError, match="no confusion networks"):
        choose(pool, labelled, tmp_path / "out")


def test_tables_that_are_not_the_networks_are_told_together(pool: Path, labelled: Path, tmp_path: Path) -> None:
    other = decoded(tmp_path / "other", dict(networks(seed=1)))
    (pool / "words.txt").write_text("".join(f"{word} {i}\n" for i, word in enumerate(WORDS[:2])))
    (other / "words.txt").write_text("".join(f"Q{word} {i}\n" for i, word in enumerate(WORDS)))
    with pytest.raises(
        UserError, match=r"pool/words\.txt: .* the table only 2\n.*other/words\.txt: another word table"
    ):
        choose([pool, other], labelled, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("hearing")
def test_from_decode_to_train_am(exp: Path, cuts: Path, lang: Lang, tmp_path: Path) -> None:  # noqa: F811
    rows = [one.to_dict() for one in open_cuts(cuts)]
    write_cuts(rows[:2], tmp_path / "taught.jsonl.gz")
    write_cuts(rows[2:], tmp_path / "rest.jsonl.gz")
    decode(job(exp, tmp_path / "rest.jsonl.gz", lang.path, confusion=True), tmp_path / "pool", None, False, [])
    choose(tmp_path / "pool", tmp_path / "taught.jsonl.gz", tmp_path / "out", hours=1, lang=lang.path, weight=0.6)
    config = build(TrainAm)
    examples = open_examples(str(tmp_path / "out" / "train.jsonl.gz"), lang, config, tmp_path / "rejected.jsonl")
    assert {example.cut.id for example in examples[:2]} == {"utt0", "utt1"}
    assert len(examples) > 2
    assert [example.weight for example in examples] == [1.0, 1.0] + [0.6] * (len(examples) - 2)


def test_defaults_are_in_range() -> None:
    config = SelectData()
    similarity = config.entropy.similarity
    assert similarity.left + similarity.right + similarity.voice + similarity.pace < 1
