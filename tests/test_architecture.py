"""The plan of the house, held by reading the source: who may import whom, and how files are called."""

import ast
import hashlib
import importlib
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from voxkit.commands import COMMANDS
from voxkit.config import build

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "voxkit"
SOURCES = sorted(PACKAGE.rglob("*.py"))
CONFIGS = sorted((ROOT / "conf").rglob("*.yaml"))
ROOMS = sorted(name.replace("-", "_") for name in COMMANDS)

GROUND = ("__init__", "errors", "progress", "config", "rundir", "bundle", "packed", "onnx_model", "onnx_session")
FLOORS = [  # from the ground up: a module imports from its own part of the house and from the floors below
    GROUND,
    ("data", "nn"),
    ("metrics", "cluster"),
    ("decode",),
    ("train",),
    ("commands",),
    ("cli",),
    ("__main__",),
]
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}
SIDEWAYS = {GROUND}  # the ground floor is one room
LOBBY = {"voxkit.commands", "voxkit.commands.options"}  # what every room, and bundle, may know of the commands
TOP = {
    *("pyproject.toml", "voxkit", "egs", "conf", "tests", "tools", "README.md", "LICENSE", "CHANGELOG.md"),
    *(".gitignore", ".gitattributes", ".ci"),
}
NAMELESS = {"utils", "util", "common", "helpers", "helper", "misc", "base"}
LONGEST = 500


def ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, those inside functions too; a name imported from a package is appended."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                is_module = (ROOT / full.replace(".", "/")).with_suffix(".py").exists() or (
                    ROOT / full.replace(".", "/") / "__init__.py"
                ).exists()
                yield node.lineno, full if is_module else str(node.module)


def part_of(module: str) -> str:
    """The part of the house that `voxkit.part.rest` is in."""
    words = module.split(".")
    return words[1] if len(words) > 1 else "__init__"


@pytest.mark.parametrize("path", SOURCES, ids=ids(SOURCES))
def test_imports_run_one_way(path: Path) -> None:
    me = module_name(path)
    mine = part_of(me)
    assert mine in FLOOR, f"{path.name} is on no floor of the house"
    wrong = []
    for line, module in imports(path):
        if module.split(".")[0] != "voxkit" or (mine == "bundle" and module == "voxkit.commands"):
            continue
        theirs = part_of(module)
        same = mine == theirs or any(mine in floor and theirs in floor for floor in SIDEWAYS)
        if not same and FLOOR[theirs] >= FLOOR[mine]:
            wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not wrong


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_another(room: str) -> None:
    allowed = f"voxkit.commands.{room}"
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sorted((PACKAGE / "commands" / room).rglob("*.py"))
        for line, module in imports(path)
        if module.startswith("voxkit.commands")
        and module not in LOBBY
        and not (module == allowed or module.startswith(f"{allowed}."))
    ]
    assert not wrong


def test_the_rooms_are_those_of_the_lobby() -> None:
    inside = {path.name for path in (PACKAGE / "commands").iterdir() if path.name != "__pycache__"}
    assert inside == {"__init__.py", "options.py", *ROOMS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_room_has_a_door_with_a_sign(name: str) -> None:
    room = name.replace("-", "_")
    module = importlib.import_module(f"voxkit.commands.{room}.command")
    assert hasattr(module, "app") or (getattr(module, room).__doc__ or "").strip()
    assert COMMANDS[name].endswith(".")
    assert "\n" not in COMMANDS[name]


def test_command_modules_do_not_import_torch() -> None:
    modules = ["voxkit.cli", *(f"voxkit.commands.{room}.command" for room in ROOMS)]
    heavy = ("torch", "torchaudio", "lhotse", "k2", "matplotlib", "kaldifst", "sentencepiece", "tensorboard")
    code = (
        f"import importlib, sys\nfor name in {modules!r}:\n    importlib.import_module(name)\n"
        f"    found = sorted(set({heavy!r}) & set(sys.modules))\n    assert not found, (name, found)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_init_files_are_empty() -> None:
    with_content = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("__init__.py")
        if path.read_text(encoding="utf-8").strip()
    }
    assert with_content <= {"__init__.py", "commands/__init__.py"}


def test_names_say_something() -> None:
    nameless = [
        str(path.relative_to(ROOT))
        for folder in ("voxkit", "tools", "tests", "egs", "conf")
        for path in (ROOT / folder).rglob("*")
        if path.stem.removeprefix("test_") in NAMELESS and "__pycache__" not in path.parts
    ]
    assert not nameless


def test_modules_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


@pytest.mark.parametrize("path", CONFIGS, ids=ids(CONFIGS))
def test_every_config_file_builds(path: Path) -> None:
    room, *rest = path.relative_to(ROOT / "conf").parts
    assert room in ROOMS, "conf/<room>/<name>.yaml belongs to a command"
    assert len(rest) == 1
    config = importlib.import_module(f"voxkit.commands.{room}.command").CONFIG
    build(config, path)


UNSAFE = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "eval", "exec", "os.system", "os.popen"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load"),
}


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def keyword(call: ast.Call, name: str) -> object:
    return next((ast.unparse(word.value) for word in call.keywords if word.arg == name), None)


@pytest.mark.parametrize("path", SOURCES, ids=ids(SOURCES))
def test_manners(path: Path) -> None:
    """No `assert` on what users give; no pickles, no YAML that builds objects, no shell strings, no eval."""
    wrong = [f"{node.lineno}: assert" for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]
    wrong += [
        f"{line}: imports {module}"
        for line, module in imports(path)
        if module.split(".")[0] in ("cloudpickle", "dill", "joblib", "shelve", "marshal")
    ]
    for call, name in calls(path):
        unsafe = (
            name in UNSAFE
            or keyword(call, "shell") == "True"
            or (name == "torch.load" and keyword(call, "weights_only") != "True")
            or (name in ("np.load", "numpy.load") and keyword(call, "allow_pickle") == "True")
        )
        if unsafe:
            wrong.append(f"{call.lineno}: {name}")
    assert not wrong, path


def test_k2_has_one_door() -> None:
    importers = {
        str(path.relative_to(PACKAGE))
        for path in SOURCES
        for _, module in imports(path)
        if module.split(".")[0] == "k2"
    }
    assert importers <= {"nn/k2_package.py"}


def test_audio_files_have_one_door() -> None:
    importers = {
        str(path.relative_to(PACKAGE))
        for path in SOURCES
        for call, name in calls(path)
        if name in ("torchaudio.load", "torchaudio.save", "torchaudio.info")
    }
    assert not importers, "torchaudio has no file input and output any more; data/audio.py does it"


def test_no_function_is_written_twice() -> None:
    """The second room that needs a thing moves it down: bodies of more than five statements must differ."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            has_docstring = ast.get_docstring(node, clean=False) is not None
            body = node.body[1:] if has_docstring else node.body
            if sum(isinstance(inner, ast.stmt) for statement in body for inner in ast.walk(statement)) > 5:
                digest = hashlib.sha256("".join(map(ast.dump, body)).encode()).hexdigest()
                places[digest].append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert [copies for copies in places.values() if len(copies) > 1] == []


def test_the_top_level_is_fixed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so ignored files cannot be told apart")
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert {name.split("/")[0] for name in listing.stdout.split("\0") if name} <= TOP


def test_there_are_no_symbolic_links() -> None:
    links = []
    for folder, names, files in os.walk(ROOT):
        names[:] = [name for name in names if not name.startswith((".git", ".venv", "exp", "data")) or name == ".ci"]
        links += [os.path.join(folder, name) for name in (*names, *files) if os.path.islink(os.path.join(folder, name))]
    assert not links


def test_nothing_is_left_open() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")
    found = [
        f"{path.relative_to(ROOT)}: {mark}"
        for folder in ("voxkit", "tools", "egs", "conf")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".sh", ".yaml", ".md") and path.is_file()
        for mark in marks
        if mark in path.read_text(encoding="utf-8")
    ]
    assert not found


def test_every_test_folder_mirrors_the_package() -> None:
    parts = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= parts | {"bench"}
    assert not list((ROOT / "tests").rglob("__init__.py"))
