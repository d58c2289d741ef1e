"""Whether the other processes of a TensorFlow cluster are there: waited for at the start, watched from then on.

Asked is `GetStatus` of TensorFlow's own worker service, the call by which its multi-worker strategies check the health
of their peers: nothing but TensorFlow's server listens or answers. Collective operations alone would not do: they fail
at once where a peer's process was killed, but wait for ever where it hangs or its network is cut.
"""

import threading
import time

import grpc

from graph_resnet.errors import UserError

PERIOD = 1  # seconds between two rounds of questions
PATIENCE = 4  # seconds for an answer
LIMIT = 8  # seconds without an answer after which a peer is lost; with the above, 18 at most after its last one
LINGER = 5  # seconds for which a process that has lost a peer still answers the others, so that they blame the same
SEARCH = 10  # seconds in which a peer that made a collective operation fail is looked for

# As quick as the questions; the default waits up to two minutes before it tries to connect again.
_CHANNEL = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.min_reconnect_backoff_ms", 1000 * PATIENCE),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class Peers:
    """The other processes of a cluster.

    Args:
      addresses: dict from a peer's name, such as 'worker 1', to its 'host:port'.
    """

    def __init__(self, addresses):
        self._names = {name: f"{name} ({address})" for name, address in addresses.items()}
        self._calls = {
            name: grpc.insecure_channel(address, _CHANNEL).unary_unary("/tensorflow.WorkerService/GetStatus")
            for name, address in addresses.items()
        }
        self._first = {}  # status of each at the start, with a number in it that TensorFlow drew when it came up
        self._lost = {}  # what the watch found, for good
        self._released = threading.Event()

    def wait(self, seconds, say):
        """Returns when all have answered.

        Args:
          seconds: how long to wait.
          say: called with a line that names those that are not there yet.

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

    def absent(self):
        """The names of those that do not answer."""
        return [name for name, answer in self._answers().items() if isinstance(answer, str)]

    def watch(self, on_loss):
        """From now on a thread calls `on_loss` once when a peer is lost."""
        threading.Thread(target=self._watch, args=(on_loss,), name="peers", daemon=True).start()

    def release(self):
        """Stops watching: from now on the others may end."""
        self._released.set()

    def lost(self):
        """After an operation failed: a line that names the peers that are lost, or None.

        It takes `SEARCH` seconds where there are none, and `LINGER` seconds where there are.
        """
        deadline = time.monotonic() + SEARCH
        while not (missing := self._lost or self._changed()) and time.monotonic() < deadline:
            time.sleep(PERIOD)
        if not missing:
            return None
        self.release()
        time.sleep(LINGER)
        each = "; ".join(f"{self._names[name]} {what}" for name, what in missing.items())
        return f"{each}; look at its own output, then start all workers again with the same command"

    def _watch(self, on_loss):
        since = {}
        while not self._released.wait(PERIOD):
            missing, now = self._changed(), time.monotonic()
            # From the first failure on: a process that was itself asleep must ask again before it blames another.
            since = {name: since.get(name, now) for name in missing}
            lost = {name: missing[name] for name, first in since.items() if now - first > LIMIT}
            if lost and not self._released.is_set():
                self._lost = lost
                on_loss()
                return

    def _answers(self):
        """What each peer answers: bytes, or a phrase that says why it does not."""
        answers = {name: call.future(b"", timeout=PATIENCE) for name, call in self._calls.items()}
        for name, answer in answers.items():
            try:
                answers[name] = answer.result()
            except grpc.RpcError as error:
                late = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
                answers[name] = "does not answer" if late else "has ended or cannot be reached"
        return answers

    def _changed(self):
        """What is wrong with each peer that does not answer as it did at the start."""
        missing = {}
        for name, answer in self._answers().items():
            if isinstance(answer, str):
                missing[name] = answer
            elif answer != self._first[name]:
                missing[name] = "was started again, alone"
        return missing

    def _list(self, names):
        return ", ".join(self._names[name] for name in names)
