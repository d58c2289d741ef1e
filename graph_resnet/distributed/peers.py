"""Waits for the other processes of a TensorFlow cluster to start, then watches that they stay alive.

It calls `GetStatus` of TensorFlow's own worker service, like the health checks of TensorFlow's multi-worker strategies,
so no extra server is needed. Collective operations alone are not enough: they fail at once when a peer is killed, but
wait forever when it hangs or its network fails.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

import grpc

from graph_resnet.errors import UserError

PERIOD = 1  # seconds between two rounds of calls
PATIENCE = 4  # seconds to wait for an answer
LIMIT = 8  # seconds without an answer until a peer is lost; with the two above, at most 18 after its last answer
LINGER = 5  # seconds that a process still answers after losing a peer, so that all processes name the same peer
SEARCH = 10  # seconds to look for the peer that made a collective operation fail

# By default gRPC waits up to two minutes before it reconnects.
_CHANNEL = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.min_reconnect_backoff_ms", 1000 * PATIENCE),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class Peers:
    """The other processes of a cluster.

    Args:
      addresses: {name of a peer, such as 'worker 1': 'host:port'}.
    """

    def __init__(self, addresses: Mapping[str, str]):
        self._names = {name: f"{name} ({address})" for name, address in addresses.items()}
        self._calls = {
            name: grpc.insecure_channel(address, _CHANNEL).unary_unary("/tensorflow.WorkerService/GetStatus")
            for name, address in addresses.items()
        }
        # Each peer's first answer: it contains a random number that TensorFlow draws when a server starts.
        self._first: dict[str, bytes | str] = {}
        self._lost: dict[str, str] = {}  # found by the watch; final
        self._released = threading.Event()

    def wait(self, seconds: float, say: Callable[[str], object]) -> None:
        """Returns when all peers have answered.

        Args:
          seconds: maximum time to wait.
          say: called with a line that names the missing peers, if any.

        Raises:
          UserError: names the peers that did not answer.
        """
        deadline = time.monotonic() + seconds
        missing = self.absent()
        if missing:
            say(f"[cluster]: waiting for {self._list(missing)}")
        while missing:
            if time.monotonic() > deadline:
                raise UserError(
                    f"{self._list(missing)} did not answer within {seconds:g} s; start all workers, or allow more time "
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
        """Stops the watch: from now on the others may exit."""
        self._released.set()

    def lost(self) -> str | None:
        """Call it after an operation failed: returns a line that names the lost peers, or None.

        It takes `SEARCH` seconds if none is lost, else `LINGER` seconds.
        """
        deadline = time.monotonic() + SEARCH
        while not (missing := self._lost or self._changed()) and time.monotonic() < deadline:
            time.sleep(PERIOD)
        if not missing:
            return None
        self.release()
        time.sleep(LINGER)
        faults = "; ".join(f"{self._names[name]} {what}" for name, what in missing.items())
        return f"{faults}; see its own output, then start all workers again with the same command"

    def _watch(self, on_loss: Callable[[], object]) -> None:
        since: dict[str, float] = {}
        while not self._released.wait(PERIOD):
            missing, now = self._changed(), time.monotonic()
            # Counted from the first failed call: a process that was suspended itself must call again before it reports
            # a peer as lost.
            since = {name: since.get(name, now) for name in missing}
            lost = {name: missing[name] for name, first in since.items() if now - first > LIMIT}
            if lost and not self._released.is_set():
                self._lost = lost
                on_loss()
                return

    def _answers(self) -> dict[str, bytes | str]:
        """The answer of each peer: bytes, or a phrase for why there is none."""
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
        """What is wrong with each peer that does not answer as it did at the start."""
        missing = {}
        for name, answer in self._answers().items():
            if isinstance(answer, str):
                missing[name] = answer
            elif answer != self._first[name]:
                missing[name] = "was restarted alone"
        return missing

    def _list(self, names: Iterable[str]) -> str:
        return ", ".join(self._names[name] for name in names)
