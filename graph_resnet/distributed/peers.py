"""Waits until the other processes of a TensorFlow cluster are there, and then watches that they stay.

It calls `GetStatus` of TensorFlow's own worker service, as TensorFlow's multi-worker strategies do to check the health
of their peers, so nothing but TensorFlow's server listens or answers. Collective operations alone are not enough: they
fail at once when a peer is killed, but wait for ever when it hangs or its network is cut.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

import grpc

from graph_resnet.errors import UserError

PERIOD = 1  # seconds between two rounds of calls
PATIENCE = 4  # seconds for an answer
LIMIT = 8  # seconds without an answer after which a peer is lost; with the two above, at most 18 after its last answer
LINGER = 5  # seconds for which a process that has lost a peer still answers the others, so that all name the same peer
SEARCH = 10  # seconds to look for the peer that made a collective operation fail

# gRPC's default waits up to two minutes before it connects again.
_CHANNEL = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.min_reconnect_backoff_ms", 1000 * PATIENCE),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class Peers:
    """The other processes of a cluster.

    Args:
      addresses: from a peer's name, such as 'worker 1', to its 'host:port'.
    """

    def __init__(self, addresses: Mapping[str, str]):
        self._names = {name: f"{name} ({address})" for name, address in addresses.items()}
        self._calls = {
            name: grpc.insecure_channel(address, _CHANNEL).unary_unary("/tensorflow.WorkerService/GetStatus")
            for name, address in addresses.items()
        }
        # The answer of each at the start: it holds a random number that TensorFlow draws when a server starts.
        self._first: dict[str, bytes | str] = {}
        self._lost: dict[str, str] = {}  # found by the watch; final
        self._released = threading.Event()

    def wait(self, seconds: float, say: Callable[[str], object]) -> None:
        """Returns when all have answered.

        Args:
          seconds: how long to wait.
          say: called with one line that names the missing ones, if any.

        Raises:
          UserError: names those that did not come.
        """
        deadline = time.monotonic() + seconds
        missing = self.absent()
        if missing:
            say(f"[cluster]: waiting for {self._list(missing)}")
        while missing:
            if time.monotonic() > deadline:
                raise UserError(
                    f"{self._list(missing)} did not come within {seconds:g} s; start all workers, or allow more time "
                    "with --cluster-timeout"
                )
            time.sleep(PERIOD / 4)
            missing = self.absent()
        self._first = self._answers()

    def absent(self) -> list[str]:
        """The names of the peers that do not answer."""
        return [name for name, answer in self._answers().items() if isinstance(answer, str)]

    def watch(self, on_loss: Callable[[], object]) -> None:
        """Starts a thread that calls `on_loss` once when a peer is lost."""
        threading.Thread(target=self._watch, args=(on_loss,), name="peers", daemon=True).start()

    def release(self) -> None:
        """Stops the watch: from now on the others may end."""
        self._released.set()

    def lost(self) -> str | None:
        """Call it after an operation failed: a line that names the lost peers, or None if none is lost.

        It takes `SEARCH` seconds if none is lost, and `LINGER` seconds if one is.
        """
        deadline = time.monotonic() + SEARCH
        while not (missing := self._lost or self._changed()) and time.monotonic() < deadline:
            time.sleep(PERIOD)
        if not missing:
            return None
        self.release()
        time.sleep(LINGER)
        faults = "; ".join(f"{self._names[name]} {what}" for name, what in missing.items())
        return f"{faults}; look at its own output, then start all workers again with the same command"

    def _watch(self, on_loss: Callable[[], object]) -> None:
        since: dict[str, float] = {}
        while not self._released.wait(PERIOD):
            missing, now = self._changed(), time.monotonic()
            # Counted from the first call that failed: a process that was itself suspended must call again before it
            # blames a peer.
            since = {name: since.get(name, now) for name in missing}
            lost = {name: missing[name] for name, first in since.items() if now - first > LIMIT}
            if lost and not self._released.is_set():
                self._lost = lost
                on_loss()
                return

    def _answers(self) -> dict[str, bytes | str]:
        """The answer of each peer: bytes, or a phrase that says why there is none."""
        futures = {name: call.future(b"", timeout=PATIENCE) for name, call in self._calls.items()}
        answers: dict[str, bytes | str] = {}
        for name, future in futures.items():
            try:
                answers[name] = future.result()
            except grpc.RpcError as error:
                late = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
                answers[name] = "does not answer" if late else "has ended or cannot be reached"
        return answers

    def _changed(self) -> dict[str, str]:
        """For each peer that does not answer as it did at the start: what is wrong with it."""
        missing = {}
        for name, answer in self._answers().items():
            if isinstance(answer, str):
                missing[name] = answer
            elif answer != self._first[name]:
                missing[name] = "was started again, alone"
        return missing

    def _list(self, names: Iterable[str]) -> str:
        return ", ".join(self._names[name] for name in names)
