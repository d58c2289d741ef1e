"""Signals that stop a training run: after the first the run saves and exits; a second one ends it at once."""

import signal
import threading
import time

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM) + ((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ())
ECHO = 0.1  # seconds in which a second signal is ignored: timeout(1) and a closed terminal send theirs twice


class Interrupted(KeyboardInterrupt):
    """A signal stopped the run, which was saved. `signum` is the signal; the usual exit status is 128 + signum."""

    def __init__(self, signum, message):
        super().__init__(message)
        self.signum = signum


class StopRequest:
    """Context manager that stores the first stop signal in `signum`; a second signal goes to the previous handler.

    The second one therefore ends a script at once, and in a notebook it ends the cell but not the kernel. Outside the
    main thread Python delivers no signals, so `signum` stays None.
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
    """Sets the handler of the stop signals and returns the previous ones. An ignored signal (SIGHUP under nohup) stays
    ignored."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {s: signal.getsignal(s) for s in STOP_SIGNALS if signal.getsignal(s) != signal.SIG_IGN}
    for signum in before:
        signal.signal(signum, handler)
    return before
