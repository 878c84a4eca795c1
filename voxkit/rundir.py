"""Folders that describe themselves and are complete or absent.

`output` is for commands that compute something once: the work happens in `<out>.partial/` and is renamed at the end.
`RunDir` is for training: the folder grows, is locked while in use, and knows the config it was made with.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import yaml

from voxkit import __version__
from voxkit.config import Config, diff, from_mapping, to_dict, to_yaml
from voxkit.errors import UserError, no_space
from voxkit.progress import say

CONFIG, COMMAND, ENVIRONMENT, METRICS, LOCK, DISPOSABLE = (
    "config.yaml",
    "command.txt",
    "env.json",
    "metrics.jsonl",
    ".lock",
    ".disposable",
)

_PACKAGES = (
    "torch torchaudio lhotse numpy pydantic typer safetensors sentencepiece soundfile kaldifst kaldi-decoder kaldilm "
    "kaldingram kaldialign k2 espeakng-loader wordfreq onnx onnxruntime submitit"
).split()


def make_folder(path: Path) -> None:
    """Make a folder and those that it is in, where they are not there.

    Raises:
        UserError: it cannot be.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot create the folder: {error.strerror}", fix="choose another --out") from error


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Output:
    """Where a data command writes: `work` until all is done, `out` afterwards; `done` if it already is."""

    out: Path
    work: Path
    done: bool


@contextmanager
def output(
    out: Path, command: str, spec: Mapping[str, Any], keep: str | None = None, resumable: bool = True
) -> Iterator[Output]:
    """Write a folder that is complete or absent.

    Args:
        out: the folder that will exist when the block has ended without an error.
        command: the command's name, for `config.yaml`.
        spec: what decides the content (inputs and settings, plain YAML values); a folder made with another one is
            refused, and so are leftovers of an interrupted run with another one.
        keep: a glob of names that may be in `out` already and stay there beside the result (the parts of a sharded
            run); `out` is then complete once it has its `config.yaml`, which arrives last.
        resumable: whether the block goes on with what it finds in `work`. If not, what such a run left behind is
            thrown away, whatever its spec was: what the user mended may be part of the spec.

    Yields:
        `Output`; with `done`, `out` is complete already and the block has nothing to do. Otherwise `work` is an
        existing folder, holding what an interrupted run with the same spec left behind.

    Raises:
        UserError: the folder belongs to another spec or to something else, or another process is writing it.
    """
    out = Path(out)
    wanted = {"command": command, "voxkit": __version__, **_plain(spec)}
    if _is_made(out, keep):
        _require_same(out, wanted)
        say(f"{out}: complete, nothing to do")
        yield Output(out, out, done=True)
        return
    work = out.with_name(out.name + ".partial")
    make_folder(work)
    with _lock(work):
        if _is_made(out, keep):  # another process finished between the look above and the lock
            shutil.rmtree(work)
            raise UserError(f"{out}: another process has just made it", fix="run the command again")
        if (work / DISPOSABLE).exists():
            _empty(work)
        if (work / CONFIG).exists():
            _require_same(work, wanted, unfinished=True)
        else:
            if not resumable:
                (work / DISPOSABLE).touch()
            write_atomic(work / CONFIG, yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True))
        try:
            with writing(work):
                yield Output(out, work, done=False)
        except BaseException:
            if set(os.listdir(work)) <= {CONFIG, LOCK, DISPOSABLE}:  # nothing worth keeping
                shutil.rmtree(work, ignore_errors=True)
            raise
        with writing(work):
            write_atomic(work / COMMAND, os.fsencode(command_line() + "\n"))  # names may be in any encoding
            write_atomic(work / ENVIRONMENT, json.dumps(environment(), indent=2) + "\n")
            sync_tree(work)
            _publish(work, out)


def _is_made(out: Path, keep: str | None) -> bool:
    """Whether `out` exists as more than a place for the parts named by `keep`."""
    if keep is not None and out.is_dir() and not (out / CONFIG).exists() and any(out.glob(keep)):
        return False
    return out.exists() or out.is_symlink()


def _publish(work: Path, out: Path) -> None:
    """Rename `work` to `out`, or move its content into an `out` that holds parts, with `config.yaml` last."""
    if out.is_dir():
        for name in [*(set(os.listdir(work)) - {CONFIG, LOCK, DISPOSABLE}), CONFIG]:
            if (out / name).is_dir():
                shutil.rmtree(out / name)  # a move that was interrupted
            os.replace(work / name, out / name)
        _fsync(out)
        shutil.rmtree(work)
    else:
        os.replace(work, out)  # the lock goes along, so that nobody else can take the folder before it is complete
        for name in (LOCK, DISPOSABLE):
            (out / name).unlink(missing_ok=True)
    _fsync(out.parent)


def _empty(work: Path) -> None:
    """Remove all but the lock, the mark that it may be removed last."""
    for name in [*(set(os.listdir(work)) - {LOCK, DISPOSABLE}), DISPOSABLE]:
        remove(work / name)


class RunDir:
    """An experiment folder: `config.yaml`, `command.txt`, `env.json`, `metrics.jsonl` and what training adds.

    One process at a time holds it. Opening it with another config is refused with the difference shown.
    """

    def __init__(self, path: Path, lock: IO[str], metrics: Path) -> None:
        self.path = path
        self._lock = lock
        self._metrics = open(metrics, "a", encoding="utf-8", buffering=1)

    @classmethod
    def open(cls, path: Path, command: str, config: Config, resumable: Sequence[str] = ()) -> RunDir:
        """Create the folder, or go on in it if it was made with the same config.

        Of the processes that torchrun starts, the first one (rank 0) does so for all; the others write nothing.

        Args:
            resumable: dotted keys that may change between runs (such as "train.epochs").

        Raises:
            UserError: another process holds it, it was made with another config, or it cannot be written.
        """
        path = Path(path)
        make_folder(path)
        if int(os.environ.get("RANK", "0")) > 0:
            nowhere = Path(os.devnull)
            return cls(path, open(nowhere), nowhere)
        lock = _acquire(path)
        try:
            cls.require_same(path, command, config, resumable)
            write_atomic(path / CONFIG, f"command: {command}\n" + to_yaml(config))
            with writing(path / COMMAND), open(path / COMMAND, "a", encoding="utf-8") as file:
                file.write(f"# {_now()}\n{command_line()}\n")
            write_atomic(path / ENVIRONMENT, json.dumps(environment(), indent=2) + "\n")
            return cls(path, lock, path / METRICS)
        except BaseException:
            lock.close()
            raise

    @staticmethod
    def require_same(path: Path, command: str, config: Config, resumable: Sequence[str] = ()) -> None:
        """Raise the UserError of `open` if a folder was made with another config, or for something else."""
        if (path / CONFIG).exists():
            found, wanted = _with_new_keys(read_config(path), config), {"command": command, **to_dict(config)}
            changed = [line for line in diff(found, wanted) if line.split(":")[0] not in resumable]
            if changed:
                raise UserError(
                    f"{path}: made with another config\n  " + "\n  ".join(changed),
                    fix="choose another --out, or go back to the old settings to go on in this one",
                )
        elif any(not name.startswith(".") for name in os.listdir(path)):  # a kill may leave a lock and a .tmp
            raise UserError(f"{path}: not empty and not an experiment folder", fix="choose another --out")

    def log(self, **values: Any) -> None:
        """Append one record to `metrics.jsonl`."""
        with writing(self.path / METRICS):
            self._metrics.write(json.dumps(values) + "\n")

    def close(self) -> None:
        self._metrics.close()
        self._lock.close()

    def __enter__(self) -> RunDir:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _with_new_keys(found: dict[str, Any], config: Config) -> dict[str, Any]:
    """What an older version wrote, with the defaults of the settings that are new since then."""
    settings = {key: value for key, value in found.items() if key != "command"}
    try:
        return {**found, **to_dict(from_mapping(type(config), settings, CONFIG))}
    except UserError:  # a setting is gone, or has other limits: the difference will tell
        return found


def read_config(path: Path) -> dict[str, Any]:
    """The `config.yaml` of a folder that voxkit made.

    Raises:
        UserError: there is none, or it is damaged.
    """
    file = Path(path) / CONFIG
    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: not a folder made by voxkit (no {CONFIG})", fix="check the path") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read: {error}", fix="make the folder again") from error
    if not isinstance(loaded, dict):
        raise UserError(f"{file}: damaged", fix="make the folder again")
    return loaded


def digest(path: Path) -> str:
    """A file's SHA-256 in hexadecimal: what a spec knows an input by.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", fix="check the path") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Have a full or read-only disk told as an OSError that names a file; where none is named, that is `path`."""
    try:
        yield
    except Exception as error:
        full = no_space(error)
        if full is None or isinstance(error, UserError):
            raise
        if full.filename is None:
            full.filename = str(path)
        if full is error:
            raise
        raise full from error


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write a file that is whole or not there, even if the machine stops."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path), open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder` to the disk."""
    paths = [Path(root) / name for root, _, names in os.walk(folder) for name in ("", *names)]
    with ThreadPoolExecutor(32) as pool:  # together, many small files share the disk's commits: 30 times as fast
        for _ in pool.map(_fsync, paths):
            pass


def command_line() -> str:
    """This process's command, quoted so that a shell takes it back."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def environment() -> dict[str, Any]:
    """Versions and the machine's shape: what somebody needs to get the same result again."""
    versions: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "time": _now(),
        "voxkit": __version__,
        "git": _git_revision(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)),
        "packages": versions,
    }


def _git_revision() -> str | None:
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists() or shutil.which("git") is None:
        return None
    result = subprocess.run(
        ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
    )
    return result.stdout.strip() or None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec as it reads back from disk, so that tuples, paths and the like compare equal."""
    return dict(json.loads(json.dumps(spec, default=str)))


def _require_same(folder: Path, wanted: Mapping[str, Any], unfinished: bool = False) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder}: exists and is not a folder", fix="choose another --out")
    if not (folder / CONFIG).exists():
        raise UserError(f"{folder}: exists and was not made by this command", fix="choose another --out")
    found = read_config(folder)
    changed = diff(
        {k: v for k, v in found.items() if k != "voxkit"}, {k: v for k, v in wanted.items() if k != "voxkit"}
    )
    if changed and unfinished:
        raise UserError(
            f"{folder}: unfinished work with other settings\n  " + "\n  ".join(changed),
            fix=f"finish it with those settings, choose another --out, or remove {folder} to begin anew",
        )
    if changed:
        raise UserError(
            f"{folder}: made with other settings\n  " + "\n  ".join(changed),
            fix=f"choose another --out, or remove {folder} to make it again",
        )


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    file = _acquire(folder)
    try:
        yield
    finally:
        file.close()


def _acquire(folder: Path) -> IO[str]:
    """Hold `<folder>/.lock` until the returned file is closed or the process ends, however it ends."""
    try:
        file = open(folder / LOCK, "a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}", fix="choose another --out") from error
    if not try_lock(file):
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise UserError(f"{folder}: in use by {holder}", fix="wait for it to end, or choose another --out")
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()}\n")
    file.flush()
    return file


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file until it is closed everywhere; False if another process holds it.

    On a file system without locks the work goes on without, with a note: two processes in one folder are then the
    user's to avoid.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        _say_unlocked(error.strerror or str(error))
    return True


@cache
def _say_unlocked(reason: str) -> None:
    """Once in a process is enough."""
    say(f"notice: this file system has no locks ({reason}): do not run two commands on one folder at a time")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
