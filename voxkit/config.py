"""Typed configs: pydantic defaults <- YAML (`--config`) <- `--set key=value` <- flags.

A config is a frozen pydantic model; its fields are the only place where an option's default, unit and range exist.
YAML files hold scalars, lists and maps and only what differs from the defaults.
"""

from __future__ import annotations

import difflib
import enum
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from voxkit.errors import UserError

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML with what differs from the defaults.", show_default=False),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Override one setting (repeatable).", show_default=False),
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print the resulting config as commented YAML and stop.")
]


class Config(BaseModel):
    """Base of every config: frozen, unknown keys refused, defaults checked like any other value."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_not_one(cls, value: object, info: ValidationInfo) -> object:
        """Python counts with true and false, and so does pydantic."""
        if info.field_name is not None and _has_bool(value):
            wanted = list(_leaves(cls.model_fields[info.field_name].annotation))
            if (int in wanted or float in wanted) and bool not in wanted and Any not in wanted:
                raise ValueError("is a number, not true or false")
        return value


C = TypeVar("C", bound=Config)


def build(cls: type[C], config: Path | None = None, sets: Sequence[str] | None = None, **flags: Any) -> C:
    """Merge defaults, a YAML file, `key=value` settings and flags (those that are not None), later ones winning.

    Raises:
        UserError: a file that cannot be read, an unknown key, a wrong type or a value out of range; every
            problem is named with its source and key, unknown keys with the nearest known one.
    """
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    if config is not None:
        _merge(merged, _settings(read_yaml(config), cls), origin, str(config))
    for setting in sets or ():
        _merge(merged, _parse_setting(setting), origin, f"--set {setting}")
    for name, value in _without_none(flags).items():
        given = "the options of the command" if isinstance(value, Mapping) else _flag(name)
        _merge(merged, {name: value}, origin, given)
    return _validate(cls, merged, origin, default="the config")


def _settings(loaded: dict[str, Any], cls: type[Config]) -> dict[str, Any]:
    """Without what voxkit writes beside the settings into the config.yaml of a run or a bundle."""
    inner = loaded.get("config")
    if "format" in loaded and "system" in loaded and isinstance(inner, dict):
        return inner
    own = isinstance(loaded.get("command"), str) and "command" not in cls.model_fields
    return {key: value for key, value in loaded.items() if key != "command"} if own else loaded


def from_mapping(cls: type[C], mapping: Mapping[str, Any], where: str) -> C:
    """Build a config from a plain mapping; `where` names its source in errors."""
    return _validate(cls, dict(mapping), {}, default=where)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a map.

    Raises:
        UserError: no such file, not YAML, not a map, or a key given twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        loaded = _parse(text)
    except OSError as error:
        raise UserError(
            f"{path}: cannot read the config: {error.strerror}", fix="check the path given to --config"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file", fix="give a YAML file") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}", fix="mend the line named") from error
    except RecursionError as error:
        raise UserError(f"{path}: maps or lists nested too deeply", fix="mend the file") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise UserError(
            f"{path}: the top level must be a map of names, not {type(loaded).__name__}",
            fix="write `key: value` lines",
        )
    return loaded


def to_dict(config: Config) -> dict[str, Any]:
    """A config as plain scalars, lists and maps."""
    return config.model_dump(mode="json")


def to_yaml(config: Config) -> str:
    """A config as YAML with each field's description, range and default as a comment; `--config` takes it back."""
    return "\n".join(_yaml_lines(config, indent=0)) + "\n"


def diff(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What changed between two plain configs: one `key: old -> new` line each."""
    lines: list[str] = []
    for key in list(dict.fromkeys([*old, *new])):
        before, after = old.get(key, "(absent)"), new.get(key, "(absent)")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += diff(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {before} -> {after}")
    return lines


def _without_none(flags: Mapping[str, Any]) -> dict[str, Any]:
    """What was given on the command line: options left alone are None, in nested maps too."""
    return {
        name: _without_none(value) if isinstance(value, Mapping) else value
        for name, value in flags.items()
        if value is not None
    }


def _parse(text: str) -> Any:
    """The value of a YAML document.

    Raises:
        yaml.YAMLError, ValueError: not YAML, a key given twice, a value that holds itself, or no such date.
        RecursionError: nested too deeply.
    """
    _require_plain(yaml.compose(text, Loader=yaml.SafeLoader), above=[], seen=set())
    return yaml.safe_load(text)


def _require_plain(node: yaml.Node | None, above: Sequence[yaml.Node], seen: set[int]) -> None:
    """Refuse what YAML lets pass: a key that a map holds twice (the last one would win), and `&a [*a]`."""
    if any(node is other for other in above):
        raise yaml.YAMLError(f"line {above[-1].start_mark.line + 1}: a value that holds itself")
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return
    seen.add(id(node))
    keys: set[str] = set()
    for item in node.value:
        if isinstance(node, yaml.MappingNode):
            key, item = item
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: {key.value!r} is given twice")
            keys.add(str(key.value))
        _require_plain(item, [*above, node], seen)


def _has_bool(value: object) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    return any(map(_has_bool, value)) if isinstance(value, list | tuple) else isinstance(value, bool)


def _leaves(annotation: Any) -> Iterator[Any]:
    """The types that an annotation such as `tuple[int, ...] | None` is made of; models check their own fields."""
    inner = typing.get_args(annotation)
    if inner and typing.get_origin(annotation) is not typing.Literal:
        for part in inner:
            yield from _leaves(part)
    else:
        yield Any if isinstance(annotation, type) and issubclass(annotation, BaseModel) else annotation


def _parse_setting(setting: str) -> dict[str, Any]:
    key, equals, text = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UserError(f"--set {setting}: not of the form key=value", fix="write for example --set train.lr=0.001")
    try:
        value = _parse(text) if text.strip() else ""
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = str(error).partition("\n")[0]
        raise UserError(f"--set {setting}: the value is not valid YAML: {what}", fix="quote the value") from error
    if isinstance(value, str):
        try:  # YAML 1.1 reads `1e-3` as a string; people write it all the time
            value = float(value) if value.strip().lower() not in ("nan", "inf", "-inf", "infinity") else value
        except ValueError:
            pass
    for part in reversed(parts):
        value = {part: value}
    return typing.cast(dict[str, Any], value)


def _merge(into: dict[str, Any], new: Mapping[str, Any], origin: dict[str, str], source: str, prefix: str = "") -> None:
    for key, value in new.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and isinstance(into.get(key, {}), dict):
            origin.setdefault(name, source)
            _merge(into.setdefault(key, {}), value, origin, source, f"{name}.")
        else:
            into[key] = value
            origin[name] = source


def _validate(cls: type[C], values: dict[str, Any], origin: Mapping[str, str], default: str) -> C:
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        lines: list[str] = []
        for item in error.errors(include_url=False):
            parts = [str(part) for part in item["loc"]]
            key = ".".join(parts)
            source = next(
                (origin[name] for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in origin),
                default,
            )
            if item["type"] == "extra_forbidden":
                known = _keys_at(cls, parts[:-1])
                close = difflib.get_close_matches(parts[-1], known, n=1, cutoff=0.5)
                near = [".".join([*parts[:-1], name]) for name in close]
                near += [name for name in _all_keys(cls) if name.rpartition(".")[2] == parts[-1]]
                hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
                lines.append(f"{source}: unknown key {key!r}; {hint}")
            elif item["type"] == "missing":
                lines.append(f"{source}: {key!r} is required")
            else:
                given = item["input"]
                shown = "" if isinstance(given, Mapping) else f" (given: {given!r})"
                named = [source, key] if key and source != _flag(key) else [source]
                lines.append(f"{': '.join(named)}: {item['msg'].removeprefix('Value error, ')}{shown}")
        raise UserError("\n".join(lines), fix="--print-config shows every key with its meaning and range") from None


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model inside an annotation such as `M`, `M | None`, if there is one."""
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _keys_at(cls: type[BaseModel], path: Sequence[str]) -> list[str]:
    model: type[BaseModel] | None = cls
    for part in path:
        field = model.model_fields.get(part) if model else None
        model = _model_of(field.annotation) if field else None
    return list(model.model_fields) if model else []


def _all_keys(cls: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in cls.model_fields.items():
        keys.append(prefix + name)
        inner = _model_of(field.annotation)
        if inner is not None:
            keys += _all_keys(inner, f"{prefix}{name}.")
    return keys


def _limits(metadata: Sequence[Any]) -> str:
    signs = {
        "ge": ">=",
        "gt": ">",
        "le": "<=",
        "lt": "<",
        "min_length": "length >=",
        "max_length": "length <=",
    }
    found = [
        f"{sign} {getattr(item, name)}" for item in metadata for name, sign in signs.items() if hasattr(item, name)
    ]
    return ", ".join(found)


def _yaml_lines(config: BaseModel, indent: int) -> list[str]:
    pad = "  " * indent
    lines: list[str] = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        notes = [field.description or ""]
        if typing.get_origin(field.annotation) is typing.Literal:
            notes.append("one of " + ", ".join(str(choice) for choice in typing.get_args(field.annotation)))
        notes.append(_limits(field.metadata))
        comment = "; ".join(note for note in notes if note)
        if comment:
            lines.append(f"{pad}# {' '.join(comment.split())}")
        if isinstance(value, BaseModel):
            inner = _yaml_lines(value, indent + 1)
            lines += [f"{pad}{name}:", *inner] if inner else [f"{pad}{name}: {{}}"]
        else:
            lines.append(f"{pad}{name}: {_scalar(value)}")
    return lines


def _scalar(value: Any) -> str:
    text = yaml.safe_dump(_plain(value), default_flow_style=True, allow_unicode=True, width=10**9)
    return text.rstrip("\n").removesuffix("...").rstrip("\n")  # what else is blank, as U+00A0 is, belongs to a text


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, enum.Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value
