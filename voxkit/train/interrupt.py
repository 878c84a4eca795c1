"""SIGTERM and SIGUSR1 ask for a stop: they are noted, and the loop stops where it can be resumed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

WATCHED = (signal.SIGTERM, signal.SIGUSR1)


class Stop(BaseException):
    """Raised out of a block that may be abandoned; never leaves the loop."""


class Signals:
    """What was asked for since training began. `received` is the signal's name, or empty."""

    def __init__(self) -> None:
        self.received = ""
        self._abandon = False
        self._process = os.getpid()

    def __bool__(self) -> bool:
        return bool(self.received)

    def attempt(self, work: Callable[[], None]) -> bool:
        """Do `work`, but drop it at once when a signal comes (or has come). True if it was finished."""
        try:
            self._abandon = True
            if not self.received:
                work()
                self._abandon = False
                return True
        except Stop:
            pass
        finally:
            self._abandon = False
        return False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked child that inherited this handler: die of it as usual
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.received = signal.Signals(number).name
        if self._abandon:
            self._abandon = False
            raise Stop


@contextmanager
def listening() -> Iterator[Signals]:
    """Note the signals while the block runs. Outside the main thread Python takes none, and none is noted."""
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, signals._note) for number in WATCHED}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
