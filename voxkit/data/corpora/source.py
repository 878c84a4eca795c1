"""Where a corpus comes from: `--source`, `$VOXKIT_DATA/<corpus>`, or its official address.

An `Archive` is pinned to a git commit and verified by that commit's tree id, which git computes from every file name,
mode and byte (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects): it holds whatever way the host packs it.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from voxkit import progress
from voxkit.data.corpora.corpus import Archive, Listed
from voxkit.errors import UserError

CHUNK = 1 << 18


def locate(corpus: Listed, source: Path | None, download: bool = True) -> Path:
    """The folder that holds a corpus.

    Raises:
        UserError: none of the places has it; the message names each place, the fix says what to do.
    """
    if source is not None:
        return _check(corpus, source, "--source")
    root = os.environ.get("VOXKIT_DATA")
    if root and (Path(root) / corpus.name).is_dir():
        return _check(corpus, Path(root) / corpus.name, "$VOXKIT_DATA")
    if corpus.archive is None or not download:
        places = f"not in $VOXKIT_DATA ({root})" if root else "no $VOXKIT_DATA is set"
        reason = "it has no download that could be verified" if corpus.archive is None else "--no-download was given"
        raise UserError(
            f"{corpus.name}: no --source was given, {places}, and {reason}",
            fix=f"get it from {corpus.origin}, then give its folder with --source DIR, or put it in "
            f"$VOXKIT_DATA/{corpus.name}; what is read: {corpus.layouts}",
        )
    return install(corpus.archive, cache_folder() / f"{corpus.name}-{corpus.archive.tree[:12]}")


def cache_folder() -> Path:
    """The folder for downloads: `$XDG_CACHE_HOME/voxkit/corpora`, by default under `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voxkit" / "corpora"


def _check(corpus: Listed, folder: Path, given: str) -> Path:
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise UserError(f"{given}: no folder {folder}", fix=f"give the folder of {corpus.name}")
    if not any(all(any(folder.glob(marker)) for marker in layout) for layout in corpus.markers):
        raise UserError(
            f"{given}: {folder} does not look like {corpus.name}: no {_wanted(corpus)}",
            fix=f"give the folder of {corpus.layouts}",
        )
    return folder


def _wanted(corpus: Listed) -> str:
    return ", and no ".join(" with ".join(layout) for layout in corpus.markers)


def install(archive: Archive, folder: Path) -> Path:
    """Download, unpack and verify `archive` as `folder`, which then is complete or absent.

    Raises:
        UserError: the host cannot be reached, or what came is not the pinned commit.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    packed = fetch(archive.url, folder.parent / f"{folder.name}.tar.gz")
    work = folder.parent / f"{folder.name}.unpacked-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    try:
        with tarfile.open(packed) as tar:
            tar.extractall(work, filter="data")
        (top,) = work.iterdir()  # GitHub packs <repository>-<commit>/
        found = git_tree(top).hex()
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        packed.unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)
        raise UserError(f"{archive.url}: cannot be unpacked: {error}", fix="run the command again") from error
    if found != archive.tree:
        packed.unlink()
        shutil.rmtree(work)
        raise UserError(
            f"{archive.url}: the content has git tree {found}, not {archive.tree}",
            fix="run again; if it stays so, the host or a proxy changes the files: get them by git and give --source",
        )
    os.replace(top, folder)
    shutil.rmtree(work)
    packed.unlink()
    return folder


def fetch(url: str, target: Path, attempts: int = 6, timeout: float = 30.0, patience: float = 1.0) -> Path:
    """Download `url` to `target`; what a broken connection left in `<target>.part` is continued by HTTP Range.

    A server that ignores Range, or whose file changed meanwhile (If-Range with its ETag), sends the whole again.
    An attempt that brought bytes does not count; `patience` is the first pause in seconds and doubles each time.

    Raises:
        UserError: a status that another attempt will not change, or `attempts` in a row that brought nothing.
    """
    if target.exists():
        return target
    part, tag = target.with_name(target.name + ".part"), target.with_name(target.name + ".etag")
    progress.say(f"downloading {url}")
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _transfer(url, part, tag, timeout)
            break
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the range cannot be had: the part is of another file
                part.unlink(missing_ok=True)
            elif error.code not in (408, 429, 500, 502, 503, 504):
                raise UserError(f"{url}: {error.code} {error.reason}", fix="give the corpus with --source") from error
            reason: object = error
        except (OSError, http.client.HTTPException) as error:
            reason = error
        grown = part.exists() and part.stat().st_size > before
        failures = 0 if grown else failures + 1
        if failures >= attempts:
            raise UserError(
                f"{url}: cannot be downloaded: {reason}",
                fix="check the connection and run again (it goes on where it stopped), or give --source",
            )
        progress.say(f"connection lost ({reason}); going on")
        time.sleep(min(patience * 2 ** max(failures - 1, 0), 30.0))
    os.replace(part, target)
    tag.unlink(missing_ok=True)
    return target


def _transfer(url: str, part: Path, tag: Path, timeout: float) -> None:
    """One connection; raises when it ends before the announced length."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "voxkit"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag.exists():
            headers["If-Range"] = tag.read_text(encoding="utf-8")
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout) as response:
        if response.status != 206 or not _continues(response.headers.get("Content-Range"), have):
            have = 0
        etag = response.headers.get("ETag")
        if etag and not etag.startswith("W/"):
            tag.write_text(etag, encoding="utf-8")
        announced = response.headers.get("Content-Length")
        total = have + int(announced) if announced else None
        with part.open("ab" if have else "wb") as file:
            chunks = iter(lambda: response.read(CHUNK), b"")
            for chunk in progress.track(chunks, total, "download", unit="byte", amount=len):
                file.write(chunk)
            size = file.tell()
    if total is not None and size < total:
        raise http.client.IncompleteRead(b"", total - size)


def _continues(content_range: str | None, have: int) -> bool:
    return content_range is not None and content_range.startswith(f"bytes {have}-")


def git_tree(folder: Path) -> bytes:
    """The git tree id (20 bytes) of a folder: SHA-1 over modes, names and contents. Empty folders do not count."""
    entries = sorted(_entries(folder))
    body = b"".join(mode + b" " + name + b"\0" + digest for _, mode, name, digest in entries)
    return _object(b"tree", body)


def _entries(folder: Path) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    for path in folder.iterdir():
        name = os.fsencode(path.name)
        if path.is_symlink():
            yield name, b"120000", name, _object(b"blob", os.fsencode(os.readlink(path)))
        elif path.is_dir():
            if any(path.iterdir()):
                yield name + b"/", b"40000", name, git_tree(path)  # git sorts folders as if they ended in a slash
        else:
            mode = b"100755" if path.stat().st_mode & 0o100 else b"100644"
            yield name, mode, name, _object(b"blob", path.read_bytes())


def _object(kind: bytes, body: bytes) -> bytes:
    return hashlib.sha1(kind + b" %d\0" % len(body) + body, usedforsecurity=False).digest()
