import errno
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from voxkit import __version__, cli
from voxkit.commands import COMMANDS
from voxkit.errors import Interrupted, UserError

ROOT = Path(__file__).resolve().parents[1]
WORDS = {"prepare": ["prepare", "mini"]}  # the only corpus that has a config


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "voxkit", *arguments], cwd=cwd, env=env, capture_output=True, text=True
    )


def configurable() -> list[str]:
    """The commands that have `--print-config` and a config of their own."""
    names = []
    for name in COMMANDS:
        room = name.replace("-", "_")
        module = importlib.import_module(f"voxkit.commands.{room}.command")
        function = getattr(module, room, None)
        if function and hasattr(module, "CONFIG") and "print_config" in inspect.signature(function).parameters:
            names.append(name)
    return names


@pytest.fixture(scope="module")
def help_page() -> str:
    result = run("--help")
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_command_with_its_line(help_page: str, name: str) -> None:
    lines = [line for line in help_page.splitlines() if line.lstrip("│ ").startswith(f"{name} ")]
    assert len(lines) == 1
    assert COMMANDS[name] in lines[0]


def test_help_is_quick() -> None:
    """Processor time, the best of five: a machine that is busy with other work must not fail this."""
    times = []
    for _ in range(5):
        before = os.times()
        run("--help")
        after = os.times()
        spent = after.children_user - before.children_user + after.children_system - before.children_system
        times.append(spent)
    assert min(times) < 0.7


def test_help_imports_neither_torch_nor_lhotse() -> None:
    code = (
        "import sys\nfrom voxkit import cli\nsys.argv = ['voxkit', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'lhotse', 'torchaudio', 'k2', 'matplotlib', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = run(name, "--help")
    assert result.returncode == 0, result.stderr
    assert f"voxkit {name}" in result.stdout


def test_completion_knows_the_options_of_a_command() -> None:
    asked = {"_VOXKIT_COMPLETE": "complete_bash", "COMP_WORDS": "voxkit submit --back", "COMP_CWORD": "2"}
    env = {**os.environ, "PYTHONPATH": str(ROOT), **asked}
    command = [sys.executable, "-m", "voxkit"]
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    assert result.stdout.split() == ["--backend"], result.stderr


def test_version() -> None:
    result = run("--version")
    assert (result.returncode, result.stdout.strip()) == (0, f"voxkit {__version__}")


def test_version_verbose_names_packages_and_devices() -> None:
    result = run("--version", "-v")
    assert result.returncode == 0, result.stderr
    words = set(result.stdout.split())
    assert {"voxkit", "git", "torch", "torchaudio", "lhotse", "GPU", "k2", "espeak-ng", "Slurm"} <= words


def test_no_command_shows_the_help() -> None:
    result = run()
    assert "featurize" in result.stdout + result.stderr


def test_unknown_command_is_answered_with_the_nearest() -> None:
    result = run("featurise")
    assert result.returncode == 2
    assert "featurize" in result.stderr
    assert "Traceback" not in result.stderr


def test_unknown_option_is_named() -> None:
    result = run("featurize", "--num-job", "3")
    assert result.returncode == 2
    assert "--num-jobs" in result.stderr


@pytest.mark.parametrize("name", configurable())
def test_printed_config_can_be_fed_back(name: str, tmp_path: Path) -> None:
    runner = CliRunner()
    app = registered()
    first = runner.invoke(app, [*WORDS.get(name, [name]), "--print-config"])
    assert first.exit_code == 0, first.output
    file = tmp_path / "printed.yaml"
    file.write_text(first.stdout, encoding="utf-8")
    second = runner.invoke(app, [*WORDS.get(name, [name]), "--print-config", "--config", str(file)])
    assert second.exit_code == 0, second.output
    assert second.stdout == first.stdout
    assert yaml.safe_load(first.stdout)
    assert "#" in first.stdout


@pytest.mark.parametrize("name", configurable())
def test_unknown_config_key_names_file_key_and_the_nearest(name: str, tmp_path: Path) -> None:
    room = name.replace("-", "_")
    config = importlib.import_module(f"voxkit.commands.{room}.command").CONFIG
    known = next(iter(config.model_fields))
    file = tmp_path / "mine.yaml"
    file.write_text(f"{known}x: 1\n")
    words = [*WORDS.get(name, [name]), "--print-config", "--config", str(file)]
    result = CliRunner().invoke(registered(), words)
    assert isinstance(result.exception, UserError)
    message = str(result.exception)
    assert str(file) in message
    assert f"{known}x" in message
    assert f"did you mean '{known}'" in message


def test_unknown_config_key_from_the_outside(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("features:\n  num_mel: 40\n")
    result = run("featurize", "--print-config", "--config", str(file))
    assert result.returncode == 2
    for words in (str(file), "features.num_mel", "num_mels", "fix:"):
        assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_set_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("features:\n  num_mels: 40\n  frame_shift: 0.02\n")
    result = run("featurize", "--print-config", "--config", str(file), "--set", "features.num_mels=64")
    assert result.returncode == 0, result.stderr
    features = yaml.safe_load(result.stdout)["features"]
    assert (features["num_mels"], features["frame_shift"]) == (64, 0.02)


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (UserError("no such cuts", fix="check the path"), 2, "error: no such cuts\nfix: check the path\n"),
        (Interrupted("after step 12"), 75, "stopped: after step 12\n"),
    ],
)
def test_exit_codes(
    raised: Exception, code: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "register", lambda only: _raiser(raised))
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == code
    assert capsys.readouterr().err == text


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "register", lambda only: _raiser(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["prepare", "mini", "--print-config"]])
def test_a_reader_that_went_away_is_no_bug(arguments: list[str]) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-m", "voxkit", *arguments]
    with subprocess.Popen(program, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_a_pipe_that_breaks_inside_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "register", lambda only: _raiser(BrokenPipeError(32, "a worker's")))
    with pytest.raises(BrokenPipeError, match="worker's"):
        cli.main()


def test_ctrl_c_is_one_line() -> None:
    code = "import os, signal\nfrom voxkit import cli\n"
    raising = "os.kill(os.getpid(), signal.SIGINT)\n"
    inside = "from voxkit.commands.prepare import command\ncommand._table = lambda: " + raising
    outside = "cli.register = lambda only: " + raising
    for place in (inside, outside):
        program = f"{code}{place}import sys\nsys.argv = ['voxkit', 'prepare', '--list']\ncli.main()"
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (130, "stopped: by Ctrl-C\n")


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "no space left on the disk: /a/b"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/a/b"), "the disk quota is used up: /a/b"),
        (OSError(errno.EROFS, "Read-only file system", "/a/b"), "the disk is read-only: /a/b"),
        (OSError(errno.EFBIG, "File too large", "/a/b"), "a file would be larger than is allowed (ulimit -f): /a/b"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on the disk: standard output or a temporary"),
        (OSError("6394 requested and 4064 written"), "no space left on the disk"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "no space left on the disk"),
    ],
)
def test_a_full_disk_is_no_bug(
    raised: Exception, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "register", lambda only: _raiser(raised))
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {text}")


def test_other_errors_of_the_system_are_bugs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "register", lambda only: _raiser(PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(PermissionError):
        cli.main()


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["prepare", "mini", "--print-config"]])
def test_a_full_standard_output_is_told(arguments: list[str], unbuffered: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "voxkit", *arguments]
        done = subprocess.run(command, env=env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no space left on the disk: standard output")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["featurize", "missing", "--out", "x"], ["featurize", "--nonsense"]])
def test_the_status_needs_no_standard_error(arguments: list[str], tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "voxkit", *arguments], cwd=tmp_path, env=env, stderr=full)
    assert done.returncode == 2


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_nowhere(closed: str, tmp_path: Path) -> None:
    """Neither what is said nor what is printed gets into the other stream, or into files that are opened."""
    program = (
        "import sys; from voxkit import cli; from voxkit.progress import say\n"
        "def command(prog_name):\n"
        "    with open('file.txt', 'w') as file:\n"
        "        print('result', sys.stdout.isatty(), flush=True); say('note'); file.write('content')\n"
        "    raise cli.UserError('in the end')\n"
        "cli.register = lambda only: command\n"
        "cli.main()"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, program]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ("" if " >&-" in f" {closed}" else "result False\n")
    assert done.stderr == ("" if "2>&-" in closed else "note\nerror: in the end\n")
    assert (tmp_path / "file.txt").read_text() == "content"


def test_a_terminal_that_lacks_letters() -> None:
    program = (
        "from voxkit import cli; cli.register = lambda only: lambda prog_name: print('caf\\xe9 \\udce9'); cli.main()"
    )
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "caf\\xe9 \\udce9\n", "")


def _raiser(error: Exception):
    def command(**_: object) -> None:
        raise error

    return command


def registered():
    """The app with all commands; a second registration would list them twice."""
    if not cli.app.registered_commands and not cli.app.registered_groups:
        cli.register()
    return cli.app
