"""Signals that ask a training run to stop: the run saves once, then leaves; a second signal leaves at once."""

import os
import signal
import threading

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM) + ((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ())


class Interrupted(KeyboardInterrupt):
    """A run stopped by a signal, its work saved. `signum` is the signal, 128 + signum the usual exit status."""

    def __init__(self, signum, message):
        super().__init__(message)
        self.signum = signum


class StopRequest:
    """Context manager: notes the first stop signal in `signum`; the second ends the process.

    Outside the main thread, where Python delivers no signals, it never asks to stop.
    """

    def __init__(self):
        self.signum = None
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            # A signal that is ignored (as SIGHUP is under nohup) stays ignored.
            self._before = {s: signal.getsignal(s) for s in STOP_SIGNALS if signal.getsignal(s) != signal.SIG_IGN}
            for signum in self._before:
                signal.signal(signum, self._receive)
        return self

    def __exit__(self, *exception):
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _receive(self, signum, frame):
        if self.signum is not None:
            os._exit(128 + signum)
        self.signum = signum
