"""What can go wrong and how it is told.

`UserError` and `DataError` are the user's to mend: a report, exit status 2, no traceback. `Interrupted` means that
work was saved and can go on (exit status 75, `EX_TEMPFAIL`, which schedulers requeue on). Ctrl-C where there is nothing
to save gives 130, and a reader that went away (`voxkit ... | head`) 141, as the shell has it. Anything else is a bug.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

EXIT_USER = 2
EXIT_BUG = 1
EXIT_INTERRUPTED = 75
EXIT_CTRL_C = 128 + signal.SIGINT
EXIT_BROKEN_PIPE = 128 + signal.SIGPIPE


NO_SPACE = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EFBIG: "a file would be larger than is allowed (ulimit -f)",
}


class UserError(Exception):
    """A mistake that the user can mend; `fix` says how."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\nfix: {self.fix}" if self.fix else self.message


class Interrupted(Exception):
    """A signal asked for a stop; the work so far is saved and the same command goes on from there."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the data: `where` is `file` or `file:line`, `id` the cut, utterance or word."""

    kind: str
    where: str
    id: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}  {self.id}  {self.what}; {self.fix}"


class Problems:
    """Collects everything that is wrong, so that the user sees it all at once and not one item a run.

    Attributes:
        good: items without problems, where who reads them counts them here and others do not know.
    """

    def __init__(self) -> None:
        self._items: list[Problem] = []
        self.good = 0

    def add(self, kind: str, where: str, id: str, what: str, fix: str) -> None:
        self._items.append(Problem(kind, where, id, what, fix))

    def extend(self, problems: Problems) -> None:
        self._items.extend(problems)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._items)

    @property
    def bad_ids(self) -> set[str]:
        """The ids that have at least one problem."""
        return {problem.id for problem in self._items}

    def report(self, limit: int = 5) -> str:
        """The first `limit` problems of each kind in order of appearance, and how many there are of it."""
        lines: list[str] = []
        for kind, count in Counter(problem.kind for problem in self._items).items():
            lines.append(f"{kind}: {count}")
            of_kind = [problem for problem in self._items if problem.kind == kind]
            lines += [f"  {problem}" for problem in of_kind[:limit]]
            if count > limit:
                lines.append(f"  ... and {count - limit} more")
        return "\n".join(lines)

    def settle(
        self, total: int, max_bad: float = 0.0, rejected: Path | None = None, count: int | None = None
    ) -> set[str]:
        """Decide whether to go on without the bad items.

        Args:
            total: how many items were looked at.
            max_bad: the share of bad items in [0, 1] that is tolerated.
            rejected: where to list what is left out, one JSON object per problem.
            count: how many items are bad, where several may have the same id; else as many as there are bad ids.

        Returns:
            The ids to leave out (empty when all is well).

        Raises:
            DataError: more than `max_bad` of the items are bad, or all of them are.
        """
        bad = self.bad_ids
        if not bad:
            return bad
        many = max(len(bad), count or 0)
        if many >= total or many / total > max_bad:
            raise DataError(self, total, max_bad, many)
        if rejected is not None:
            rejected.parent.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(asdict(problem), ensure_ascii=False) + "\n" for problem in self._items)
            rejected.write_text(text, encoding="utf-8", errors="backslashreplace")  # names may be in any encoding
        return bad


class DataError(UserError):
    """The data have problems; the message is the whole report."""

    def __init__(self, problems: Problems, total: int, max_bad: float = 0.0, count: int | None = None) -> None:
        bad = len(problems.bad_ids) if count is None else count
        share = f"{bad} of {total} items" if total >= bad else f"{bad} items"
        head = f"{share} have problems" + (f" (at most {max_bad:.1%} are allowed)" if max_bad else "")
        super().__init__(
            f"{head}\n{problems.report()}",
            fix="mend the items above, or leave them out with --max-bad SHARE where the command has it",
        )
        self.problems = problems


def system_errors(error: BaseException | None) -> Iterator[OSError]:
    """What the operating system said: an error itself and those it came from, also where a library made text of it."""
    while error is not None:
        if told := re.search(r"\(os error (\d+)\)", str(error)):  # by Rust, so by safetensors
            yield OSError(int(told[1]), os.strerror(int(told[1])))
        elif re.fullmatch(r"\d+ requested and \d+ written", str(error)):  # numpy's tofile
            yield OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif isinstance(error, OSError):
            yield error
        error = error.__cause__ or error.__context__


def no_space(error: BaseException) -> OSError | None:
    """The error of a full or read-only disk (`NO_SPACE`), if that is what an error came from."""
    return next((found for found in system_errors(error) if found.errno in NO_SPACE), None)
