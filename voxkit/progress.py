"""How far long work is: a bar on a terminal, `key=value` lines in logs. Always on stderr; results own stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

LINE_EVERY = 10.0  # seconds between two lines in a log


def say(text: str) -> None:
    """Print one line to stderr, above a running bar if there is one."""
    if _console is not None:
        _console(text)
    else:
        print(text, file=sys.stderr, flush=True)


def track(
    iterable: Iterable[T],
    total: float | None,
    what: str,
    unit: str = "items",
    amount: Callable[[T], float] | None = None,
) -> Iterator[T]:
    """Pass the items on and show progress.

    Args:
        total: the sum of all amounts (of all items, if there is no `amount`), or None when it is not known.
        what: what is being done, for example "features".
        unit: what is counted, for example "s of audio".
        amount: how much an item counts; 1 if absent.
    """
    meter = Meter(total, what, unit)
    with meter:
        for item in iterable:
            yield item
            meter.advance(1.0 if amount is None else amount(item))


class Meter:
    """Progress that is advanced by hand: `with Meter(total, "training", "steps") as m: m.advance(1, loss=2.1)`."""

    def __init__(self, total: float | None, what: str, unit: str = "items", done: float = 0.0) -> None:
        self.total, self.what, self.unit, self.done = total, what, unit, done
        self._begun_at = done
        self._bar: _Bar | None = None

    def __enter__(self) -> Meter:
        self._start = self._last_line = time.monotonic()
        if sys.stderr.isatty():
            self._bar = _Bar(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None and self.done > self._begun_at:
            self._line(time.monotonic())

    def advance(self, amount: float = 1.0, **notes: float | str) -> None:
        """Count `amount` more; `notes` are shown beside it."""
        self.done += amount
        if self._bar is not None:
            self._bar.update(notes)
        elif (now := time.monotonic()) - self._last_line >= LINE_EVERY:
            self._last_line = now
            self._line(now, notes)

    def _line(self, now: float, notes: dict[str, float | str] | None = None) -> None:
        seconds = now - self._start
        rate = (self.done - self._begun_at) / max(seconds, 1e-9)
        words = [f"progress={self.what.replace(' ', '-')}", f"done={self.done:.6g}"]
        if self.total:
            words += [
                f"total={self.total:.6g}",
                f"left={_clock(max(self.total - self.done, 0) / max(rate, 1e-9))}",
            ]
        words += [f"unit={self.unit.replace(' ', '-')}", f"rate={rate:.4g}/s", f"elapsed={_clock(seconds)}"]
        words += [f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in (notes or {}).items()]
        say(" ".join(words))


def _clock(seconds: float) -> str:
    seconds = int(min(seconds, 359999))
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02d}:{seconds % 60:02d}"


_console: Callable[[str], None] | None = None


class _Bar:
    """One rich progress bar; rich is imported only when there is a terminal."""

    def __init__(self, meter: Meter) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        global _console
        self.meter = meter
        console = Console(stderr=True)
        self.outer = _console
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[notes]}"),
            console=console,
            disable=self.outer is not None,  # a bar inside a bar would tear both
        )
        self.task = self.progress.add_task(meter.what, total=meter.total, completed=int(meter.done), count="", notes="")
        self.progress.start()
        if self.outer is None:
            _console = lambda text: console.print(text, markup=False, highlight=False)  # noqa: E731

    def update(self, notes: dict[str, float | str]) -> None:
        meter = self.meter
        rate = (meter.done - meter._begun_at) / max(time.monotonic() - meter._start, 1e-9)
        total = f"/{meter.total:.6g}" if meter.total else ""
        shown = " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in notes.items())
        count = f"{meter.done:.6g}{total} {meter.unit} ({rate:.3g}/s)"
        self.progress.update(self.task, completed=int(meter.done), count=count, notes=shown)

    def close(self) -> None:
        global _console
        self.progress.stop()
        _console = self.outer
