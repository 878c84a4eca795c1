"""`lm-nce train`, from texts to a bundle: what it says, that it goes on, and what is refused."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.commands.lm_nce import small_texts
from voxkit import bundle
from voxkit.commands.lm_nce import corpora
from voxkit.commands.lm_nce.command import LmNce, train
from voxkit.commands.lm_nce.material import adopted, named, shares
from voxkit.commands.lm_nce.task import TOKENS, Batch, LmTask
from voxkit.errors import DataError, Interrupted, UserError
from voxkit.rundir import RunDir
from voxkit.train.task import Loss

ROOT = Path(__file__).parents[3]
CONF = ROOT / "conf" / "lm_nce" / "tiny.yaml"
SETS = ["train.device=cpu", "train.threads=1", "train.steps=12", "model.width=8", "batch.words=100"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    small_texts.talk(folder / "talk.txt", 120)
    small_texts.books(folder / "books.txt", 100)
    small_texts.talk(folder / "dev.txt", 60, seed=1)
    return folder


@pytest.fixture(scope="module")
def straight(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing has stopped."""
    return made(texts, tmp_path_factory.mktemp("straight") / "exp")


def made(texts: Path, out: Path, *sets: str, **options: object) -> Path:
    given = {"corpus": [f"home={texts / 'talk.txt'}", str(texts / "books.txt")], "dev": [texts / "dev.txt"]}
    train(**{**given, "out": out, "config": CONF, "set_": [*SETS, *sets], **options})  # type: ignore[arg-type]
    return out


def weights(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(bundle.weights(path))
    return found


def same(one: Path, other: Path) -> bool:
    """Whether two runs ended with the same bits."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


# ---------------------------------------------------------------------------------------------- what it makes


def test_what_is_told_and_what_is_made(texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = made(texts, tmp_path / "exp")
    told = capsys.readouterr()
    assert told.out == f"{out / 'bundle'}\n"
    lines = told.err.splitlines()
    assert any(line.startswith("%PPL ") and "[ normalised, " in line and line.endswith(" dev") for line in lines)
    assert any(line.startswith("%PPL ") and "[ self-normalised, " in line for line in lines)
    assert any(line.startswith("ln Z mean ") for line in lines)
    size = sum(part.numel() for part in bundle.load(out).model.parameters())
    account = lines[-1]
    assert account.startswith(f"{size / 1e6:.2f} M parameters; ")
    assert " words; corpora: books " in account
    loaded = bundle.load(out)
    assert loaded.system == "lm_nce"
    assert set(loaded.config["data"]["digests"]) == {str(texts / f"{name}.txt") for name in ("talk", "books", "dev")}
    found = json.loads((loaded.assets / "weights.json").read_text())
    assert list(found["weights"]) == ["books", "home"]
    assert found["weights"]["home"] > 0.9  # dev is talk
    scores = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert {"ppl", "self_ppl", "mean_ln_z", "var_ln_z"} <= next(
        line for line in scores if line["kind"] == "score"
    ).keys()


def test_a_finished_run_has_nothing_to_do(
    texts: Path, straight: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "count_all", None)  # nor are texts read again
    made(texts, straight)
    told = capsys.readouterr()
    assert f"{straight}: training is finished (12 steps), nothing to do" in told.err
    assert told.out == f"{straight / 'bundle'}\n"


def test_another_config_is_refused_before_texts_are_read(texts: Path, straight: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in (straight / TOKENS).iterdir()}
    with pytest.raises(UserError) as caught:
        made(texts, straight, "vocabulary.size=20", "objective.noise=5")
    told = caught.value.message.splitlines()
    assert told[0] == f"{straight}: made with another config"
    assert sorted(line.strip() for line in told[1:]) == ["objective.noise: 64 -> 5", "vocabulary.size: 1000 -> 20"]
    assert {file: file.stat().st_mtime_ns for file in (straight / TOKENS).iterdir()} == before


def test_other_text_under_the_same_name_is_refused(texts: Path, tmp_path: Path) -> None:
    text = small_texts.talk(tmp_path / "some.txt", 50)
    out = made(texts, tmp_path / "exp", corpus=[str(text)])
    small_texts.talk(text, 50, seed=3)
    with pytest.raises(UserError, match=r"another config\n  data\.digests\.\S*some\.txt: \w+ -> \w+"):
        made(texts, out, corpus=[str(text)])


def test_a_folder_of_something_else_is_left_alone(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp" / "letter.txt").touch()
    with pytest.raises(UserError, match="not empty and not an experiment folder"):
        made(texts, tmp_path / "exp")
    assert {file.name for file in (tmp_path / "exp").iterdir()} <= {"letter.txt", ".lock"}


# ---------------------------------------------------------------------------------------------- the same again


def test_the_same_seed_gives_the_same_weights(texts: Path, straight: Path, tmp_path: Path) -> None:
    torch.manual_seed(99)  # what happened in the process before does not matter
    assert same(made(texts, tmp_path / "again"), straight)
    assert not same(made(texts, tmp_path / "other", seed=1), straight)


def terminating(step: int) -> Callable[[LmTask, nn.Module, Batch], Loss]:
    """A loss in whose computation SIGTERM comes, once."""
    loss, calls = LmTask.loss, iter(range(1, 1000))

    def terminated(self: LmTask, model: nn.Module, batch: Batch) -> Loss:
        if next(calls) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(self, model, batch)

    return terminated


@pytest.mark.parametrize("step", [1, 9])
def test_a_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not(
    texts: Path, straight: Path, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "exp"
    with monkeypatch.context() as patch:
        patch.setattr(LmTask, "loss", terminating(step))
        with pytest.raises(Interrupted, match=f"at step {step + 1}, saved; the same command goes on"):
            made(texts, out)
    assert not (out / "bundle").exists()
    with monkeypatch.context() as patch:
        patch.setattr(corpora, "count_all", None)  # its tokens were kept
        assert same(made(texts, out), straight)


@pytest.mark.parametrize("kind", ["softmax", "sampled"])
def test_other_objectives_go_on_too(texts: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ["model.kind=transformer", "model.heads=2"]
    with monkeypatch.context() as patch:
        patch.setattr(LmTask, "loss", terminating(7))
        with pytest.raises(Interrupted):
            made(texts, tmp_path / "stopped", *small, objective=kind)
    stopped = made(texts, tmp_path / "stopped", *small, objective=kind)
    assert same(stopped, made(texts, tmp_path / "whole", *small, objective=kind))


def test_data_processes_change_nothing(texts: Path, straight: Path, tmp_path: Path) -> None:
    assert same(made(texts, tmp_path / "exp", "train.workers=1"), straight)


# ---------------------------------------------------------------------------------------------- going on from a model


def test_fine_tuning_begins_where_the_model_is(texts: Path, straight: Path, tmp_path: Path) -> None:
    talk = [f"home={texts / 'talk.txt'}"]
    out = made(texts, tmp_path / "exp", "train.lr=1e-12", corpus=talk, init=straight)
    for name, tensor in weights(out).items():
        torch.testing.assert_close(tensor, weights(straight)[name], atol=1e-6, rtol=0)
    told = bundle.load(out)
    assert told.config["data"]["init"] == str(straight)
    assert (told.assets / "vocabulary.json").read_text() == (
        bundle.load(straight).assets / "vocabulary.json"
    ).read_text()
    assert str(straight) in told.config["data"]["digests"]
    assert not same(made(texts, tmp_path / "more", corpus=talk, init=straight), straight)


def test_the_network_is_that_of_the_model_to_start_from(texts: Path, tmp_path: Path) -> None:
    """And a config that a run wrote is taken back, with other corpora in place of its own."""
    wide = made(texts, tmp_path / "wide", "model.width=12", "model.tie=false", "train.steps=6")
    sets = ["train.device=cpu", "train.threads=1", "train.steps=6", "batch.words=100", "model.dropout=0.1"]
    talk = [f"home={texts / 'talk.txt'}"]
    for name, config in (("plain", None), ("again", wide / "config.yaml"), ("bundle", wide / "bundle" / "config.yaml")):
        out = tmp_path / name
        train(corpus=talk, dev=[texts / "dev.txt"], out=out, init=wide, set_=[*sets, "train.warmup=1"], config=config)
        told = bundle.load(out).config
        assert told["model"] == {**bundle.load(wide).config["model"], "dropout": 0.1}
        assert list(told["data"]["corpora"]) == ["home"]


def test_the_network_of_something_else_is_not_taken(texts: Path, tmp_path: Path) -> None:
    config = {"model": {"width": 64, "decoder_layers": 2}}
    bundle.save(tmp_path / "g2p", "g2p", config, {}, {})
    made_so = adopted(LmNce.model_validate({"data": {"init": str(tmp_path / "g2p")}}))
    assert made_so.model == LmNce().model


def test_given_weights_take_the_place_of_a_configs(texts: Path, tmp_path: Path) -> None:
    first = made(texts, tmp_path / "first", weights="given", weight=["home=1", "books=3"])
    talk = [f"talk={texts / 'talk.txt'}", f"books={texts / 'books.txt'}"]
    sets = ["train.device=cpu", "train.threads=1"]
    train(
        corpus=talk, weight=["talk=1", "books=1"], dev=[texts / "dev.txt"], config=first / "config.yaml", set_=sets,
        out=tmp_path / "next",
    )  # fmt: skip
    assert bundle.load(tmp_path / "next").config["weights"]["given"] == {"talk": 1, "books": 1}


def test_only_dropout_may_differ_from_the_model_to_start_from(texts: Path, straight: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        made(texts, tmp_path / "exp", "model.width=12", "model.tie=false", "model.dropout=0.5", init=straight)
    told = caught.value.message.splitlines()
    assert told[0].startswith(f"--init {straight / 'bundle'}: its model is not of the kind")
    assert [line.strip() for line in told[1:]] == ["model.width: 8 -> 12", "model.tie: True -> False"]
    assert not (tmp_path / "exp").exists()


def test_a_model_of_something_else_is_no_start(texts: Path, straight: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    loaded = bundle.load(straight)
    config = loaded.config
    bundle.save(other, "lm_nce", config, loaded.model.state_dict(), {})
    text = (other / "config.yaml").read_text().replace("system: lm_nce", "system: nothing")
    (other / "config.yaml").write_text(text)
    with pytest.raises(UserError, match="for 'nothing'"):
        made(texts, tmp_path / "exp", init=other)


def test_weights_that_are_no_numbers_are_no_start(texts: Path, straight: Path, tmp_path: Path) -> None:
    loaded = bundle.load(straight)
    state = loaded.model.state_dict()
    state["embedding.weight"][3:] = float("nan")
    assets = {path.name: path for path in loaded.assets.iterdir()}
    bundle.save(tmp_path / "broken", "lm_nce", loaded.config, state, assets)
    with pytest.raises(UserError, match=r"weights that are no numbers \(embedding\.weight"):
        made(texts, tmp_path / "exp", init=tmp_path / "broken")


# ---------------------------------------------------------------------------------------------- what is refused


def test_bad_text_in_an_existing_folder_leaves_it_free(texts: Path, tmp_path: Path) -> None:
    out, bad = tmp_path / "exp", tmp_path / "bad.txt"
    out.mkdir()
    for content in (b"f\xfcnf\n", (texts / "talk.txt").read_bytes()):
        bad.write_bytes(content)
        if content.startswith(b"f"):
            with pytest.raises(DataError):
                made(texts, out, corpus=[str(bad)])
            assert not out.exists() or not list(out.iterdir())
        else:
            assert (made(texts, out, corpus=[str(bad)]) / "bundle").is_dir()


def test_tokens_outlive_what_goes_wrong_after_them(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RunDir, "open", refused)
        with pytest.raises(UserError, match="no space"):
            made(texts, tmp_path / "exp")
    assert (tmp_path / "exp" / TOKENS / "corpora.json").exists()
    monkeypatch.setattr(corpora, "count_all", lambda *_: pytest.fail("read again"))
    assert (made(texts, tmp_path / "exp") / "bundle").is_dir()


def refused(*_: object, **__: object) -> None:
    raise UserError("no space left", fix="free some")


def test_another_run_that_came_first_keeps_the_folder(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes its config while this one waits for it."""
    alone = corpora._alone

    @contextmanager
    def late(home: Path) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(corpora, "_alone", alone)
            made(texts, tmp_path / "exp", "train.seed=5")
        with alone(home):
            yield

    monkeypatch.setattr(corpora, "_alone", late)
    with pytest.raises(UserError, match=r"made with another config\s+train\.seed: 5 -> 0"):
        made(texts, tmp_path / "exp")
    assert (tmp_path / "exp" / "bundle").is_dir()


def test_bad_text_leaves_nothing_behind(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("ein schöner Tag\n".encode("latin-1") * 3)
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match=r"latin\.txt:1"):
        made(texts, tmp_path / "exp", corpus=[str(tmp_path / "latin.txt")])
    with pytest.raises(UserError, match=r"empty\.txt: no sentence"):
        made(texts, tmp_path / "exp", corpus=[str(tmp_path / "empty.txt")])
    assert not (tmp_path / "exp").exists()


def test_all_that_is_missing_is_told(texts: Path, tmp_path: Path) -> None:
    two = [f"a={texts / 'talk.txt'}", f"b={texts / 'books.txt'}"]
    with pytest.raises(UserError, match="lm-nce train needs --corpus and --out"):
        train()
    with pytest.raises(UserError, match=r"needs --out\nseveral corpora are weighed .* no --dev"):
        train(corpus=two)
    with pytest.raises(UserError, match=r"no corpus has a --weight above 0"):
        train(corpus=two, weights="given", out=tmp_path / "exp")
    with pytest.raises(UserError, match=r"--weight: no corpus is called c, d"):
        train(corpus=two, weight=["c=1", "d=2"], out=tmp_path / "exp")
    with pytest.raises(UserError, match=r"--weight is for --weights given, not size"):
        train(corpus=two, weights="size", weight=["a=1"], out=tmp_path / "exp")
    with pytest.raises(UserError, match=r"--weight a=-1\.0: not finite"):
        train(corpus=two, weights="given", set_=["weights.given={a: -1}"], out=tmp_path / "exp")
    with pytest.raises(UserError, match=r"--words goes not with --init"):
        train(corpus=two[:1], words=texts / "dev.txt", init=tmp_path, out=tmp_path / "exp")
    with pytest.raises(UserError, match=r"--words is for vocabulary\.unit=word"):
        train(corpus=two[:1], words=texts / "dev.txt", set_=["vocabulary.unit=piece"], out=tmp_path / "exp")
    with pytest.raises(UserError, match=r"(?s)nowhere\.txt.*nothing\.txt.*--init .*no trained model"):
        train(corpus=["nowhere.txt"], dev=[Path("nothing.txt")], init=tmp_path, out=tmp_path / "exp")
    assert not (tmp_path / "exp").exists()


@pytest.mark.parametrize(
    ("option", "told"), [("weights", "'em', 'uniform'"), ("objective", "'nce', 'softmax' or 'sampled'")]
)
def test_unknown_choices_are_told_with_the_known(option: str, told: str) -> None:
    with pytest.raises(UserError, match=rf"kind: Input should be {told}"):
        train(**{option: "other"})  # type: ignore[arg-type]


def test_names_of_corpora() -> None:
    assert named(["a=x/y.txt", "data/talk.txt.gz", "b=c=d"]) == {"a": "x/y.txt", "talk": "data/talk.txt.gz", "b": "c=d"}
    with pytest.raises(UserError) as caught:
        named(["=x", "a=", "a=y", "dir/a.txt"])
    assert caught.value.message.splitlines() == [
        "--corpus =x: not of the form NAME=FILE",
        "--corpus a=: not of the form NAME=FILE",
        "--corpus dir/a.txt: the name a is given twice, also to y",
    ]


def test_weights_of_corpora() -> None:
    assert shares(["a=1", "b=0.25"]) == {"a": 1.0, "b": 0.25}
    with pytest.raises(UserError) as caught:
        shares(["a", "=1", "b=x", "c=2"])
    assert caught.value.message.splitlines() == [
        f"--weight {given}: not of the form NAME=NUMBER" for given in ("a", "=1", "b=x")
    ]
    with pytest.raises(UserError) as caught:
        shares(["a=1", "a=2", "b=-1", "c=inf", "d=nan"])
    assert caught.value.message.splitlines() == [
        "--weight a=2: a has a weight before, 1",
        *(f"--weight {given}: not a finite number of at least 0" for given in ("b=-1", "c=inf", "d=nan")),
    ]
