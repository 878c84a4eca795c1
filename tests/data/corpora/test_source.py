"""Finding a corpus, and downloading one from a server that breaks off."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from voxkit.data.corpora import source
from voxkit.data.corpora.corpus import Archive, Corpus, Prepared
from voxkit.errors import UserError

CONTENT = os.urandom(1_500_000)


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content`; each number in `server.breaks` ends one response after so many bytes."""

    def do_GET(self) -> None:
        server = self.server
        content: bytes = server.content  # type: ignore[attr-defined]
        etag: str = server.etag  # type: ignore[attr-defined]
        asked = self.headers.get("Range")
        server.log.append(asked)  # type: ignore[attr-defined]
        if server.status is not None:  # type: ignore[attr-defined]
            self.send_error(server.status)  # type: ignore[attr-defined]
            return
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if not server.ranges or self.headers.get("If-Range", etag) != etag:  # type: ignore[attr-defined]
            begin = 0
        if begin >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.send_header("ETag", etag)
        self.end_headers()
        stop = server.breaks.pop(0) if server.breaks else len(content)  # type: ignore[attr-defined]
        self.wfile.write(content[begin : begin + stop])

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.etag, server.breaks, server.log = CONTENT, '"one"', [], []  # type: ignore[attr-defined]
    server.ranges, server.status = True, None  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/corpus.tar.gz"


def fetch(server: ThreadingHTTPServer, target: Path, attempts: int = 3) -> bytes:
    return source.fetch(url(server), target, attempts=attempts, patience=0.001).read_bytes()


def test_goes_on_where_the_connection_broke(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    server.breaks = [400_000, 700_000]
    assert fetch(server, tmp_path / "x") == CONTENT
    assert server.log == [None, "bytes=400000-", "bytes=1100000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_goes_on_in_another_process(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    server.breaks = [500_000] + [0] * 3
    with pytest.raises(UserError, match="cannot be downloaded"):
        fetch(server, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    server.log.clear()
    assert fetch(server, tmp_path / "x") == CONTENT
    assert server.log == ["bytes=500000-"]


def test_begins_again_when_the_file_changed(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    server.breaks = [500_000, 0, 0, 0]
    with pytest.raises(UserError):
        fetch(server, tmp_path / "x")
    server.etag, server.content = '"two"', CONTENT[::-1]
    assert fetch(server, tmp_path / "x") == CONTENT[::-1]


def test_server_without_ranges(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    server.ranges, server.breaks = False, [300_000]
    assert fetch(server, tmp_path / "x") == CONTENT


def test_part_longer_than_the_file(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"0" * (len(CONTENT) + 5))
    assert fetch(server, tmp_path / "x") == CONTENT


def test_refusal_is_final(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(UserError, match="404"):
        fetch(server, tmp_path / "x")
    assert len(server.log) == 1


def make_tree(folder: Path) -> Path:
    (folder / "audio").mkdir(parents=True)
    (folder / "audio" / "a.wav").write_bytes(b"RIFF")
    (folder / "audio.txt").write_text("sorts between audio and audio/\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "empty").mkdir()
    return folder


def pack(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(folder, arcname="corpus-0123456789")
    return buffer.getvalue()


def test_tree_id_is_that_of_git(tmp_path: Path) -> None:
    folder = make_tree(tmp_path / "corpus")
    git = ["git", "-C", str(folder)]
    try:
        subprocess.run([*git, "init", "-q"], check=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    subprocess.run([*git, "add", "."], check=True)
    found = subprocess.run([*git, "write-tree"], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["rm", "-rf", str(folder / ".git")], check=True)
    assert source.git_tree(folder).hex() == found


def test_install_verifies_the_content(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    folder = make_tree(tmp_path / "corpus")
    server.content = pack(folder)
    tree = source.git_tree(folder).hex()
    installed = source.install(Archive(url(server), tree), tmp_path / "cache" / "corpus")
    assert (installed / "audio" / "a.wav").read_bytes() == b"RIFF"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["corpus"]
    with pytest.raises(UserError, match=f"git tree {tree}, not {'0' * 40}"):
        source.install(Archive(url(server), "0" * 40), tmp_path / "cache" / "other")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["corpus"]


def test_install_of_something_else(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be unpacked"):
        source.install(Archive(url(server), "0" * 40), tmp_path / "corpus")
    assert list(tmp_path.iterdir()) == []


def corpus(archive: Archive | None = None) -> Corpus:
    return Corpus(
        name="toy",
        what="",
        hours=1,
        licence="",
        megabytes=1,
        origin="https://example.org",
        markers=(("a.tsv", "b"),),
        read=lambda *_: Prepared({}),
        layouts="a.tsv",
        archive=archive,
    )


def test_places_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("given", "data/toy"):
        (tmp_path / name / "b").mkdir(parents=True)
        (tmp_path / name / "a.tsv").touch()
    monkeypatch.setenv("VOXKIT_DATA", str(tmp_path / "data"))
    assert source.locate(corpus(), tmp_path / "given") == tmp_path / "given"
    assert source.locate(corpus(), None) == tmp_path / "data" / "toy"
    monkeypatch.delenv("VOXKIT_DATA")
    with pytest.raises(UserError, match="no download that could be verified") as error:
        source.locate(corpus(), None)
    assert "https://example.org" in error.value.fix
    with pytest.raises(UserError, match="--no-download"):
        source.locate(corpus(Archive("http://127.0.0.1:9/x", "0")), None, download=False)


def test_download_is_the_last_place(
    server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_tree(tmp_path / "corpus")
    server.content = pack(folder)
    monkeypatch.delenv("VOXKIT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive = Archive(url(server), source.git_tree(folder).hex())
    first = source.locate(corpus(archive), None)
    assert (first / "run.sh").exists()
    assert source.locate(corpus(archive), None) == first
    assert len(server.log) == 1


def test_wrong_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not look like toy"):
        source.locate(corpus(), tmp_path)
    with pytest.raises(UserError, match="no folder"):
        source.locate(corpus(), tmp_path / "none")
