"""SIGTERM, SIGUSR1 and Ctrl-C ask for a stop: they are noted, and the loop stops where it can be resumed.

A second Ctrl-C, by somebody who does not want to wait for that, stops at once.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

WATCHED = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
SAME = 1.0  # two Ctrl-C within so many seconds are one, which torchrun hands on to those who have it already


class Stop(BaseException):
    """Raised out of a block that may be abandoned; never leaves the loop."""


class Signals:
    """What was asked for since training began. `received` is the signal's name, or empty."""

    def __init__(self) -> None:
        self.received = ""
        self._abandon = False
        self._process = os.getpid()
        self._ctrl_c = math.inf  # when it came first

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
        if number == signal.SIGINT:
            if time.monotonic() - self._ctrl_c > SAME:
                raise KeyboardInterrupt
            self._ctrl_c = min(self._ctrl_c, time.monotonic())
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
    watched = set(WATCHED)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in the background of a script: Ctrl-C is for others
        watched.remove(signal.SIGINT)
    before = {number: signal.signal(number, signals._note) for number in watched}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
