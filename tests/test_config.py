from pathlib import Path
from typing import Literal, Self

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from voxkit.config import Config, build, diff, from_mapping, to_dict, to_yaml
from voxkit.errors import UserError


class Optimiser(Config):
    """Nested settings."""

    lr: float = Field(1e-3, gt=0, le=1, description="peak learning rate")
    betas: tuple[float, float] = Field((0.9, 0.98), description="decay of the moments")
    schedule: Literal["cosine", "linear"] = Field("cosine", description="how the rate falls")


class Toy(Config):
    """What a verb's config looks like."""

    steps: int = Field(1000, ge=1, description="updates of the weights")
    name: str = Field("a b: #c", description="a text that YAML must quote")
    speeds: tuple[float, ...] = Field((0.9, 1.0), description="speed factors")
    limit: float | None = Field(None, description="most audio [s]")
    cache: bool = Field(False, description="keep the features")
    weights: dict[str, float] = Field({}, description="by name")
    optim: Optimiser = Optimiser()
    other: Optimiser | None = Field(None, description="a second optimiser")


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "toy.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults_file_settings_flags(tmp_path: Path) -> None:
    file = written(tmp_path, "steps: 5\noptim: {lr: 0.1, schedule: linear}\n")
    built = build(Toy, file, ["optim.lr=0.2", "cache=true"], steps=7, limit=None, optim={"betas": [0.5, 0.6]})
    assert built == Toy(
        steps=7, cache=True, optim=Optimiser(lr=0.2, schedule="linear", betas=(0.5, 0.6)), speeds=(0.9, 1.0)
    )


@pytest.mark.parametrize(
    "around",
    ["command: toy\n{}", "format: 1\nvoxkit: 1.0\nsystem: toy\nconfig:\n  {}", "{}"],
    ids=["run", "bundle", "own"],
)
def test_what_a_run_or_a_bundle_has_beside_its_settings_is_passed_over(around: str, tmp_path: Path) -> None:
    assert build(Toy, written(tmp_path, around.format("optim: {lr: 0.5}"))).optim.lr == 0.5
    with pytest.raises(UserError, match="unknown key 'format'"):
        build(Toy, written(tmp_path, "format: 1"))


def test_flags_that_are_none_do_not_override(tmp_path: Path) -> None:
    file = written(tmp_path, "optim: {lr: 0.1}\n")
    assert build(Toy, file, optim={"lr": None, "schedule": "linear"}).optim == Optimiser(lr=0.1, schedule="linear")


class Whole(Config):
    """What is wrong with it as a whole has no key."""

    optim: Optimiser = Optimiser()
    max_lr: float = Field(1.0, le=1, description="bound")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.optim.lr > self.max_lr:
            raise ValueError("optim.lr is above max_lr")
        return self


def test_what_is_wrong_is_named_once() -> None:
    with pytest.raises(UserError, match=r"^the config: optim\.lr is above max_lr\n"):
        build(Whole, None, ["optim.lr=0.5", "max_lr=0.25"])
    with pytest.raises(UserError, match=r"^--max-lr: Input should be less than or equal to 1 .given: 70"):
        build(Whole, max_lr=70)
    with pytest.raises(UserError, match=r"^--set max_lr=70: max_lr: Input should be less"):
        build(Whole, None, ["max_lr=70"])


def test_configs_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Toy().steps = 3  # type: ignore[misc]


def test_an_empty_file_is_no_change(tmp_path: Path) -> None:
    assert build(Toy, written(tmp_path, "")) == Toy()
    assert build(Toy, written(tmp_path, "# only a comment\n")) == Toy()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("optim.lr=1e-4", 1e-4),
        ("optim.lr=.5", 0.5),
        ("optim.lr = 0.25", 0.25),
        ("optim.lr=1E-2", 0.01),
    ],
)
def test_numbers_as_people_write_them(setting: str, expected: float) -> None:
    assert build(Toy, None, [setting]).optim.lr == expected


def test_numbers_in_files_as_people_write_them(tmp_path: Path) -> None:
    assert build(Toy, written(tmp_path, "optim: {lr: 1e-4}")).optim.lr == 1e-4


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("speeds=[1.0, 1.1, 1.2]", "speeds", (1.0, 1.1, 1.2)),
        ("limit=null", "limit", None),
        ("limit=3", "limit", 3.0),
        ("name=", "name", ""),
        ("name=a=b", "name", "a=b"),
        ("weights.clean=2", "weights", {"clean": 2.0}),
        ("other.lr=0.5", "other", Optimiser(lr=0.5)),
    ],
)
def test_settings(setting: str, key: str, value: object) -> None:
    assert getattr(build(Toy, None, [setting]), key) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stesp: 3", ["toy.yaml", "'stesp'", "did you mean 'steps'"]),
        ("optim: {learning: 3}", ["toy.yaml", "'optim.learning'", "lr"]),
        ("optim: {scheduel: linear}", ["'optim.scheduel'", "did you mean 'optim.schedule'"]),
        ("lr: 3", ["'lr'", "did you mean 'optim.lr'"]),
        ("other: {Lr: 1}", ["'other.Lr'", "lr"]),
        ("steps: many", ["toy.yaml", "steps", "many"]),
        ("steps: 0", ["toy.yaml", "steps", "greater than or equal to 1"]),
        ("steps: 2.5", ["toy.yaml", "steps", "2.5"]),
        ("optim: {schedule: sine}", ["optim.schedule", "cosine", "linear"]),
        ("optim: {lr: .nan}", ["optim.lr", "finite"]),
        ("optim: 3", ["toy.yaml", "optim"]),
        ("optim: {1: 2}", ["toy.yaml", "optim"]),
        ("3: 4", ["toy.yaml"]),
        ("- a", ["toy.yaml", "map", "list"]),
        ("{", ["toy.yaml", "not valid YAML"]),
        ("!!python/object/apply:os.system ['true']", ["toy.yaml", "not valid YAML"]),
        ("steps: 1\nsteps: 2\n", ["toy.yaml", "steps", "twice"]),
        ("optim:\n  lr: 0.1\n  lr: 0.2\n", ["toy.yaml", "lr", "twice"]),
        ("speeds: &a [*a]", ["toy.yaml", "line 1", "holds itself"]),
        ("optim: &a\n  lr: *a\n", ["toy.yaml", "line 1", "holds itself"]),
        ("speeds: " + 2000 * "[", ["toy.yaml", "too deeply"]),
        ("name: 2024-13-45", ["toy.yaml", "not valid YAML", "month"]),
        ("steps: true", ["toy.yaml", "steps", "a number, not true or false", "True"]),
        ("speeds: [1, yes]", ["toy.yaml", "speeds", "a number, not true or false"]),
        ("weights: {clean: on}", ["toy.yaml", "weights", "a number, not true or false"]),
        ("limit: off", ["toy.yaml", "limit", "a number, not true or false"]),
        ("optim: {lr: true}", ["toy.yaml", "optim.lr", "a number, not true or false"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as stop:
        build(Toy, written(tmp_path, text))
    message = str(stop.value)
    assert [word for word in words if word not in message] == []
    assert stop.value.fix


def test_all_that_is_wrong_is_named_with_its_source(tmp_path: Path) -> None:
    file = written(tmp_path, "steps: -1\noptim: {lr: 7}\n")
    with pytest.raises(UserError) as stop:
        build(Toy, file, ["nam=x", "optim.schedule=3"], limit="wide")
    lines = stop.value.message.splitlines()
    assert len(lines) == 5
    assert [str(file) in line for line in lines].count(True) == 2
    assert any(line.startswith("--set nam=x") and "'name'" in line for line in lines)
    assert any(line.startswith("--set optim.schedule=3") for line in lines)
    assert any(line.startswith("--limit") for line in lines)


def test_an_alias_is_no_loop(tmp_path: Path) -> None:
    file = written(tmp_path, "optim: &a {lr: 0.5}\nother: *a\n")
    assert build(Toy, file).other == Optimiser(lr=0.5)


@pytest.mark.parametrize(
    "setting",
    ["steps", "=3", ".=3", "optim..lr=3", "steps=[", "optim.lr.x=1", "speeds=&a [*a]", "steps=true", "name=2024-13-45"],
)
def test_bad_settings(setting: str) -> None:
    with pytest.raises(UserError, match="--set"):
        build(Toy, None, [setting])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UserError, match="cannot read"):
            build(Toy, path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary\.yaml"):
        build(Toy, tmp_path / "binary.yaml")


def test_from_mapping_names_the_place() -> None:
    assert from_mapping(Toy, {"steps": 3}, "exp/am") == Toy(steps=3)
    with pytest.raises(UserError, match=r"exp/am: unknown key 'step'; did you mean 'steps'"):
        from_mapping(Toy, {"step": 3}, "exp/am")


def test_yaml_carries_meaning_range_and_choices() -> None:
    text = to_yaml(Toy())
    assert "# updates of the weights; >= 1\nsteps: 1000\n" in text
    assert "  # how the rate falls; one of cosine, linear\n  schedule: cosine\n" in text
    assert "  # peak learning rate; > 0, <= 1\n" in text


finite = st.floats(allow_nan=False, allow_infinity=False)
optimisers = st.builds(
    Optimiser,
    lr=st.floats(1e-12, 1),
    betas=st.tuples(finite, finite),
    schedule=st.sampled_from(["cosine", "linear"]),
)
printable = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
toys = st.builds(
    Toy,
    steps=st.integers(1, 10**12),
    name=printable,
    speeds=st.lists(finite, max_size=4).map(tuple),
    limit=st.none() | finite,
    cache=st.booleans(),
    weights=st.dictionaries(printable, finite, max_size=3),
    optim=optimisers,
    other=st.none() | optimisers,
)


@given(toys)
@example(Toy(name="\xa0@"))
@example(Toy(name="a\xa0"))
def test_yaml_and_dict_are_read_back(toy: Toy) -> None:
    assert from_mapping(Toy, yaml.safe_load(to_yaml(toy)), "yaml") == toy
    assert from_mapping(Toy, to_dict(toy), "dict") == toy


@given(toys, toys)
def test_diff_is_empty_only_for_equal_configs(one: Toy, two: Toy) -> None:
    assert diff(to_dict(one), to_dict(one)) == []
    assert (diff(to_dict(one), to_dict(two)) == []) == (to_dict(one) == to_dict(two))


def test_diff_names_nested_keys() -> None:
    changed = diff({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4, "d": 3}, "e": 5})
    assert changed == ["b.c: 2 -> 4", "e: (absent) -> 5"]
