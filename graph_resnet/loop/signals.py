"""Signals that ask a training run to stop: the run saves once, then leaves; a second signal does not wait for that."""

import signal
import threading
import time

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM) + ((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ())
ECHO = 0.1  # seconds within which a signal is the first one again: timeout(1) and a closed terminal send theirs twice


class Interrupted(KeyboardInterrupt):
    """A run stopped by a signal, its work saved. `signum` is the signal, 128 + signum the usual exit status."""

    def __init__(self, signum, message):
        super().__init__(message)
        self.signum = signum


class StopRequest:
    """Context manager: notes the first stop signal in `signum`; the second does what it would have done without this.

    So it ends a command or a script at once, and in a notebook it ends the cell and not the kernel. Outside the main
    thread, where Python delivers no signals, it never asks to stop.
    """

    def __init__(self):
        self.signum = None
        self._before = {}

    def __enter__(self):
        self._before = handle(self._receive)
        return self

    def __exit__(self, *exception):
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _receive(self, signum, frame):
        if self.signum is None:
            self.signum, self._when = signum, time.monotonic()
        elif time.monotonic() - self._when > ECHO:
            signal.signal(signum, self._before[signum])
            signal.raise_signal(signum)


def handle(handler):
    """Sets the handler of the stop signals, and returns those that they had. One that is ignored (as SIGHUP is under
    nohup) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {s: signal.getsignal(s) for s in STOP_SIGNALS if signal.getsignal(s) != signal.SIG_IGN}
    for signum in before:
        signal.signal(signum, handler)
    return before
